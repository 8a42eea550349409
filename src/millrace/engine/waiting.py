"""Waiting for the end of a run that other processes may bring about: a hint or a moment, then a look at one row,
which all share who wait.

The run itself, which may have thousands of tasks, is loaded only when it has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Any, TypeAlias

from millrace.core.run import RunState
from millrace.engine.cell import Cell, Stage
from millrace.engine.loading import patiently
from millrace.engine.looks import SharedLooks
from millrace.ports.bus import Bus

Unfinished: TypeAlias = Callable[[Set[str]], Awaitable[Set[str]]]
"""Those of the runs that are there and have not finished, by what the database knows; a cheap question."""

LOOK_SECONDS = 1.0
"""How long a hint is waited for before there is a look without one."""

BREATH_SECONDS = 0.02
"""Between two looks at a busy run."""


class Elsewhere:
    def __init__(self, bus: Bus, unfinished: Unfinished) -> None:
        async def ask(run_ids: Set[str]) -> Mapping[str, bool]:
            return dict.fromkeys(await patiently(lambda: unfinished(run_ids)), True)

        self._bus = bus
        self._goes_on = SharedLooks(ask)

    async def watch(self, cell: Cell, finished: "asyncio.Future[RunState]", reload: Callable[[Cell], None]) -> None:
        """Until the run has finished. `reload` has the engine find out that it has."""
        while not finished.done():
            hint = asyncio.ensure_future(self._bus.wait(cell.run_id, LOOK_SECONDS))
            try:
                # A run at work here ends here, or what is known of it turns out to be old when the work is done.
                if _rests(cell) and not await self._goes_on.find(cell.run_id) and _rests(cell):
                    reload(cell)
                either: list[asyncio.Future[Any]] = [hint, finished]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hint.cancel()
            await asyncio.wait({finished}, timeout=BREATH_SECONDS)


def _rests(cell: Cell) -> bool:
    """Nothing of it is at work here, nor about to be written."""
    return cell.stage is Stage.IDLE and not cell.at_work and not cell.mailbox and cell.proposal is None
