"""Folders of attempts: a command that leaves files gets one of its own, which is removed with the attempt.

Its name is that of the attempt (`MILLRACE_ATTEMPT`), so those that a killed worker left behind are known to the next.
"""

import logging
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

PREFIX = "millrace-"


def place_of_folders(allowed: Sequence[Path]) -> Path:
    """Where they are made: where commands may run, else with the other temporary files."""
    return allowed[0] if allowed else Path(tempfile.gettempdir())


def make_folder(place: Path, attempt: str) -> Path:
    """Raises `OSError`, also when it is there already: nobody else can know the name."""
    folder = place / f"{PREFIX}{attempt.replace(':', '.')}"
    folder.mkdir(mode=0o700)
    return folder


def remove_folder(folder: Path) -> None:
    """By a program of its own: what a command leaves may be deeper than Python's recursion goes."""
    done = subprocess.run(["rm", "-rf", "--", str(folder)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        logger.warning("the folder %s of an attempt cannot be removed: %s", folder, done.stderr.strip()[:500])


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
