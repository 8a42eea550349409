"""Folders of attempts: every command has one of its own, for its files, which are removed with the attempt.

A folder in which nothing was left is kept for another attempt of the same worker, since to make and remove one may wait
for whatever else is written to that disk. Its name says which worker incarnation has made it (as `MILLRACE_ATTEMPT`
does), so those that a killed worker left behind are known to the next.
"""

import asyncio
import errno
import logging
import os
import secrets
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from millrace.ports.confinement import SystemUser

logger = logging.getLogger(__name__)

PREFIX = "millrace-"

MOST_KEPT = 64


def place_of_folders(allowed: Sequence[Path]) -> Path:
    """Where they are made: where commands may run, else with the other temporary files."""
    return (allowed[0] if allowed else Path(tempfile.gettempdir())).resolve()


class OwnFolders:
    """Those of the commands of one worker, for one task type."""

    def __init__(self, place: Path, owner: SystemUser | None) -> None:
        self._place = place
        self._owner = owner
        self._empty: dict[Path, str] = {}
        """Which could be used again, each with the worker that made it."""

    def take(self, attempt: str) -> Path:
        """An empty folder that nobody but its owner may look into. Raises `OSError`."""
        worker = attempt.rpartition(":")[0]
        while self._empty:
            folder, maker = self._empty.popitem()
            if maker == worker and self._is_as_made(folder):
                return folder
            _remove_empty(folder)
        folder = self._place / f"{PREFIX}{worker.replace(':', '.')}.{secrets.token_hex(16)}"
        folder.mkdir(mode=0o700)
        with opened(folder, os.geteuid()) as made:
            hand_over(made, self._owner)
        return folder

    async def give_back(self, folder: Path, attempt: str) -> None:
        """Whatever is in it is removed."""
        if self._is_as_made(folder) and len(self._empty) < MOST_KEPT:
            self._empty[folder] = attempt.rpartition(":")[0]
        elif not _remove_empty(folder):
            await asyncio.shield(asyncio.to_thread(remove_folder, folder))

    def close(self) -> None:
        while self._empty:
            _remove_empty(self._empty.popitem()[0])

    def _is_as_made(self, folder: Path) -> bool:
        """Whether it is there, empty, and as it was made: it was somebody's own meanwhile."""
        try:
            with os.scandir(folder) as content:
                if next(content, None) is not None:
                    return False
            found = folder.lstat()
        except OSError:
            return False
        return found.st_uid == uid_of(self._owner) and stat.S_IMODE(found.st_mode) == 0o700


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def opened(folder: str | Path, uid: int, within: int | None = None) -> Iterator[int]:
    """A folder that is this user's, opened. Raises `OSError`, also for a link.

    Whoever owns a folder may put something else in its place at any moment, so a worker that is root does nothing in
    one by its path.
    """
    found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    try:
        if os.fstat(found).st_uid != uid:
            raise PermissionError(errno.EPERM, "it is somebody else's", str(folder))
        yield found
    finally:
        os.close(found)


def hand_over(made: int, owner: SystemUser | None) -> None:
    """Make what we have made, and opened, the property of whom commands run as."""
    if owner is not None:
        os.fchown(made, owner.uid, owner.gid)


def uid_of(owner: SystemUser | None) -> int:
    """The user whose the folders of commands are."""
    return os.geteuid() if owner is None else owner.uid


def may_enter(folder: os.stat_result, user: SystemUser) -> bool:
    """Whether somebody who is in no further groups may work in a folder."""
    if folder.st_uid == user.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == user.gid else stat.S_IXOTH))


def may_read(file: os.stat_result, user: SystemUser) -> bool:
    if file.st_uid == user.uid:
        return bool(file.st_mode & stat.S_IRUSR)
    return bool(file.st_mode & (stat.S_IRGRP if file.st_gid == user.gid else stat.S_IROTH))


def reaches(user: SystemUser, folder: Path) -> bool:
    """Whether somebody may enter a folder by its path. One that is not there stops nobody yet."""
    real = folder.resolve()
    return all(may_enter(one.stat(), user) for one in (real, *real.parents) if one.exists())


@contextmanager
def entered(folder: Path, user: SystemUser | None) -> Iterator[Path]:
    """A folder, whose real path this is, held open: by the name that this gives, nothing else can come in its place.

    Every folder on the way must be one that `user` may enter. A worker that is root goes into any, and a command that
    began in one would be past the folders around it. Raises `OSError`, also for a link.
    """
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folder.parts[1:]:
            there = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = there
            if user is not None and not may_enter(os.fstat(here), user):
                raise PermissionError(errno.EACCES, f"{user.name} may not enter {folder}", str(folder))
        yield Path(f"/proc/self/fd/{here}")
    finally:
        os.close(here)


def remove_folder(folder: Path) -> None:
    """By programs of their own: what a command leaves may be deeper than Python's recursion goes."""
    said = _told_by("rm", "-rf", "--", str(folder))
    if said and os.geteuid() != 0:
        # Only root is not kept out of folders that their owner has shut. Links are not followed.
        _told_by("find", str(folder), "-type", "d", "-exec", "chmod", "u+rwx", "{}", ";")
        said = _told_by("rm", "-rf", "--", str(folder))
    if said:
        logger.warning("the folder %s of an attempt cannot be removed: %s", folder, said)


def _told_by(*command: str) -> str:
    """What a program that failed has said."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    return done.stderr.strip()[:500] or command[0] if done.returncode else ""


class AttemptFolders:
    """Meets `worker.orphans.Folders`."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def owners(self, installation_id: str) -> frozenset[str]:
        return frozenset(_owner(folder) for folder in self._of(installation_id))

    def remove(self, installation_id: str, owners: frozenset[str]) -> int:
        left = [folder for folder in self._of(installation_id) if _owner(folder) in owners]
        for folder in left:
            remove_folder(folder)
        return len(left)

    def _of(self, installation_id: str) -> Iterator[Path]:
        return self._place.glob(f"{PREFIX}{installation_id}.*")


def _owner(folder: Path) -> str:
    return folder.name.split(".")[1]
