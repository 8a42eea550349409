"""Which SQLite files tasks may open: those under allowed folders, and never a file of Millrace's own database.

A file is known by where it really is and by its inode, so that no link and no spelling gets around the rule.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from millrace.runners.sql.faults import SqlFault, refused

SETTING = "MILLRACE_SQLITE_ALLOWED_DIRS"
COMPANIONS = ("", "-wal", "-shm", "-journal", ".lock")
"""Files that belong to a database, by what is added to its name."""


def allowed_file(path: str, allowed_dirs: tuple[Path, ...], own_database: Path | None) -> str:
    """The real path of a file that a task may open, or `SqlFault`. Blocks; for use in a thread."""
    if ".." in Path(path).parts:
        raise refused("connection_string: the path must not contain `..`; write the path itself")
    real = "/" + os.path.realpath(path).lstrip("/")
    if not any(_is_below(real, os.path.realpath(folder)) for folder in allowed_dirs):
        raise _outside(allowed_dirs)
    if own_database is not None and _is_own(real, own_database):
        raise refused("connection_string: this is Millrace's own database, which tasks may not open")
    if not os.path.isdir(os.path.dirname(real)):
        raise SqlFault("connection_string: the folder of the SQLite file does not exist")
    if os.path.exists(real) and not os.path.isfile(real):
        raise refused("connection_string: the path is not a file")
    return real


def _is_below(real: str, folder: str) -> bool:
    return real != folder and os.path.commonpath((real, folder)) == folder


def _outside(allowed_dirs: tuple[Path, ...]) -> SqlFault:
    where = ", ".join(map(str, allowed_dirs)) or "none"
    return refused(
        f"connection_string: SQLite files may only be opened under allowed folders ({where}); the setting is {SETTING}"
    )


def _is_own(real: str, own_database: Path) -> bool:
    """True for a file of the own database, and for one whose journal would be such a file."""
    own = os.path.realpath(own_database)
    own_files = {own + companion for companion in COMPANIONS}
    files = {real + companion for companion in COMPANIONS}
    return bool(files & own_files) or bool(set(_inodes(files)) & set(_inodes(own_files)))


def _inodes(paths: set[str]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        yield found.st_dev, found.st_ino
