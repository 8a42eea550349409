"""Orphans: child processes that outlived the worker that started them, and the folders of their attempts.

A child carries `MILLRACE_ATTEMPT=<installation>:<incarnation>:<token>` in its environment. Before a worker takes
work, and now and then where others share its host, it ends every process group on its host with this installation's id
and an incarnation that is not alive. Found by environment and not by remembered pid: a pid may have been given to
somebody else since. First comes the look at what is there, then the question who is alive: a worker registers before it
starts anything, so whoever is seen and not known then is dead.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from millrace.engine.service import Service
from millrace.ports.store import Store

logger = logging.getLogger(__name__)

MARK = b"MILLRACE_ATTEMPT="
PROC = Path("/proc")


class Folders(Protocol):
    """The folders of attempts on this host."""

    def owners(self, installation_id: str) -> frozenset[str]:
        """The incarnations that made those that are there."""
        ...

    def remove(self, installation_id: str, owners: frozenset[str]) -> int:
        """Remove those of these incarnations; answers how many."""
        ...


class Orphans(Service):
    """One round ends and removes what dead workers of this installation have left behind on this host."""

    interval = 10.0

    def __init__(self, store: Store, folders: Folders, installation_id: str) -> None:
        super().__init__()
        self._store = store
        self._folders = folders
        self._installation_id = installation_id

    async def run_once(self) -> float | None:
        seen = await asyncio.to_thread(self._owners)
        if seen:
            dead = seen - await self._store.live_incarnations()
            if dead:
                await asyncio.to_thread(self._clear_up, dead)
        return None

    async def end_now(self, incarnation_id: str) -> None:
        """End what a dead incarnation of this process still runs, without another word."""
        await asyncio.to_thread(end_groups, self._installation_id, frozenset({incarnation_id}))

    def _owners(self) -> frozenset[str]:
        working = {incarnation for _, incarnation in groups_here(self._installation_id)}
        return self._folders.owners(self._installation_id) | working

    def _clear_up(self, dead: frozenset[str]) -> None:
        end_groups(self._installation_id, dead)
        self._folders.remove(self._installation_id, dead)


def end_groups(installation_id: str, dead: frozenset[str]) -> int:
    """Kill the process groups of these incarnations; answers how many. Our own group is never touched."""
    groups = {group for group, owner in groups_here(installation_id) if owner in dead} - {os.getpgrp()}
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
        logger.warning("ended the process group %d, which a dead worker had left behind", group)
    return len(groups)


def orphan_groups(installation_id: str, alive: frozenset[str]) -> Iterator[int]:
    """Process groups on this host that belong to attempts of incarnations that are not `alive`."""
    return (group for group, owner in groups_here(installation_id) if owner not in alive)


def groups_here(installation_id: str) -> Iterator[tuple[int, str]]:
    """Process groups on this host that belong to attempts of this installation, each with its incarnation."""
    for directory in PROC.iterdir():
        if not directory.name.isdigit():
            continue
        owner = _owner(directory)
        if owner is None or owner[0] != installation_id:
            continue
        try:
            yield os.getpgid(int(directory.name)), owner[1]
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
