"""Which SQLite files tasks may open: those under allowed folders, and never a file of Millrace's own database.

A file is known by where it really is and by its inode, so that no link and no spelling gets around the rule. Nor may
it be another when it is opened: commands of a worker that is root run as somebody else, who may rearrange his folders.
SQLite says where a link has led it, and follows none after that at the end of a path; on the way there must be nothing
that he could put something else in the place of.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from millrace.ports.confinement import SystemUser
from millrace.runners.sql.faults import SqlFault, refused

SETTING = "MILLRACE_SQLITE_ALLOWED_DIRS"
COMPANIONS = ("", "-wal", "-shm", "-journal", ".lock")
"""Files that belong to a database, by what is added to its name."""


def allowed_file(
    path: str, allowed_dirs: tuple[Path, ...], own_database: Path | None, others: SystemUser | None = None
) -> str:
    """The real path of a file that a task may open, or `SqlFault`. Blocks; for use in a thread.

    `others`: whom commands run as, where that is not the user of this process.
    """
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
    if others is not None and (moved := _movable(Path(real).parent, others)) is not None:
        raise refused(
            f"connection_string: {others.name}, whom commands run as, could put another folder in the place of "
            f"{moved}; name a file that lies directly in his folder, or in one where he cannot"
        )
    return real


def check_opened(connection: sqlite3.Connection, real: str) -> None:
    """Raise `SqlFault` unless SQLite has opened this very file: since it was judged a link may have come there."""
    (_, _, opened), *_ = connection.execute("pragma database_list")
    if opened != real:
        raise refused("connection_string: a link took the place of the file while it was opened")


def _movable(folder: Path, user: SystemUser) -> Path | None:
    """The first folder on the way that this user could give another name."""
    for one in (folder, *folder.parents)[:-1]:
        above, found = os.stat(one.parent), os.stat(one)
        if above.st_uid == user.uid:
            return one
        others_write = above.st_mode & (stat.S_IWGRP if above.st_gid == user.gid else stat.S_IWOTH)
        if others_write and (found.st_uid == user.uid or not above.st_mode & stat.S_ISVTX):
            return one
    return None


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
