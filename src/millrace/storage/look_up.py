"""Questions that an index answers with a row or two, put to SQLite where the caller stands: on the event loop.

A thread takes five times as long to be woken as such an answer takes to be found, and every request begins with one.
The loop has a connection of its own, which only reads and never waits: what it does not get at once is left to the
threads.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.sqlite import dialect

if TYPE_CHECKING:
    from sqlalchemy import Select

DIALECT = dialect(paramstyle="named")

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class LookUps:
    """Opened with the first question; `connect` gives a connection that only reads."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def rows(self, question: "Select[Any]", values: Mapping[str, object]) -> Sequence[sqlite3.Row] | None:
        """What there is; `None` if somebody is in the way at this moment."""
        words, constants = _in_words(question)
        try:
            return self._open().execute(words, {**constants, **values}).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in BUSY:
                raise
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("pragma busy_timeout = 0")
        return self._connection


@cache
def _in_words(question: "Select[Any]") -> tuple[str, Mapping[str, object]]:
    """What SQLite is to be asked, and the values of those parameters that the question has itself."""
    compiled = question.compile(dialect=DIALECT)
    return str(compiled), {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
