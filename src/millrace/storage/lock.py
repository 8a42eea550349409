"""One process per SQLite file: an OS lock beside the database, which vanishes with its holder, however that ends."""

import fcntl
import json
import os
from pathlib import Path


class DatabaseInUse(Exception):
    """Another process holds the database; the message names it."""


class DatabaseLock:
    """Held from `acquire` until `release` or the death of the process."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises `DatabaseInUse` with the holder's process id."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise DatabaseInUse(
                f"the database {self.path.with_suffix('')} is in use by process {holder}; "
                "stop that one, or give this one a MILLRACE_HOME of its own"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid()}).encode(), 0)
        self._file = descriptor

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _holder(descriptor: int) -> str:
    try:
        return str(json.loads(os.pread(descriptor, 1_000, 0))["pid"])
    except (ValueError, KeyError):
        return "(unknown)"
