"""Rows on their way into a file: written one by one to the disk while they come, so they never are in memory at once.

The file has no name and goes with the attempt. It becomes an artifact when the script has done all its work: rows of a
script that is rolled back are never kept.
"""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

import orjson

from millrace.core.failures import FailureKind
from millrace.core.values import JsonValue
from millrace.runners.sql.faults import SqlFault

Format: TypeAlias = Literal["jsonl", "csv"]

MEDIA_TYPES: Mapping[Format, str] = {"jsonl": "application/jsonl", "csv": "text/csv"}
BUFFER = 1024 * 1024
READ_AT_ONCE = 256 * 1024


class Spool:
    """The rows of the last statement that had any. One thread at a time uses it."""

    def __init__(self, kind: Format, largest: int) -> None:
        self.kind = kind
        self._largest = largest
        self._file = tempfile.TemporaryFile(buffering=BUFFER)  # noqa: SIM115  `close` closes it
        self._size = 0

    def close(self) -> None:
        self._file.close()

    def begin(self, names: Sequence[str]) -> None:
        """Forget the rows of an earlier statement."""
        self._file.seek(0)
        self._file.truncate()
        self._size = 0
        if self.kind == "csv":
            self._write(_csv_line(names))

    def add(self, row: Mapping[str, JsonValue]) -> None:
        """Raises `SqlFault` when the file is full, or the disk is."""
        if self.kind == "csv":
            self._write(_csv_line([_csv_cell(value) for value in row.values()]))
        else:
            self._write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Have all rows on the disk. Raises `SqlFault` when there is no room."""
        with _in_our_words():
            self._file.flush()

    async def parts(self) -> AsyncIterator[bytes]:
        await asyncio.to_thread(self._file.seek, 0)
        while part := await asyncio.to_thread(self._file.read, READ_AT_ONCE):
            yield part

    def _write(self, line: bytes) -> None:
        self._size += len(line)
        if self._size > self._largest:
            raise SqlFault(
                f"the rows have more than {self._largest} bytes as {self.kind}; "
                "the setting MILLRACE_MAX_ARTIFACT_BYTES says how much a file may have",
                FailureKind.INVALID_OUTPUT,
            )
        with _in_our_words():
            self._file.write(line)


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SqlFault(f"the rows cannot be written to {tempfile.gettempdir()}: {error.strerror}") from None


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _csv_cell(value: JsonValue) -> str:
    """Nothing as nothing, text as it is, and the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
