"""Orphans: child processes that outlived the worker that started them.

A child carries `MILLRACE_ATTEMPT=<installation>:<incarnation>:<token>` in its environment. Before a worker takes
work it ends, on its host, every process group with this installation's id and an incarnation that is not alive.
Found by environment and not by remembered pid: a pid may have been given to somebody else since.
"""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

MARK = b"MILLRACE_ATTEMPT="
PROC = Path("/proc")


def end_orphans(installation_id: str, alive: frozenset[str]) -> int:
    """Kill the process groups of dead incarnations; answers how many. Our own group is never touched."""
    groups = set(orphan_groups(installation_id, alive)) - {os.getpgrp()}
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
        logger.warning("ended the process group %d, which a dead worker had left behind", group)
    return len(groups)


def orphan_groups(installation_id: str, alive: frozenset[str]) -> Iterator[int]:
    """Process groups on this host that belong to attempts of incarnations that are not `alive`."""
    for directory in PROC.iterdir():
        if not directory.name.isdigit():
            continue
        owner = _owner(directory)
        if owner is None or owner[0] != installation_id or owner[1] in alive:
            continue
        try:
            yield os.getpgid(int(directory.name))
        except ProcessLookupError:
            continue


def _owner(directory: Path) -> tuple[str, str] | None:
    """Installation and incarnation that a process was started by, if it is one of ours and still there."""
    try:
        environment = (directory / "environ").read_bytes()
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(MARK):
            parts = entry[len(MARK) :].decode(errors="replace").split(":")
            return (parts[0], parts[1]) if len(parts) == 3 else None
    return None
