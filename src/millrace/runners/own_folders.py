"""Folders of attempts: a command that leaves files gets one of its own, which is removed with the attempt.

Its name is that of the attempt (`MILLRACE_ATTEMPT`), so those that a killed worker left behind are known to the next.
"""

import logging
import subprocess
import tempfile
from collections.abc import Sequence
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


def remove_left_folders(place: Path, installation_id: str, alive: frozenset[str]) -> int:
    """Remove those of dead incarnations of this installation; answers how many."""
    left = [folder for folder in place.glob(f"{PREFIX}{installation_id}.*") if folder.name.split(".")[1] not in alive]
    for folder in left:
        remove_folder(folder)
    return len(left)
