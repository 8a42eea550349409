"""How the processes on a database tell each other what is new: put together for one process, or for many."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from millrace.dispatch.alone import Alone
from millrace.dispatch.localbus import LocalBus
from millrace.ports.bus import Bus
from millrace.ports.dispatch import Hints, Turns


@dataclass(frozen=True, slots=True)
class Processes:
    bus: Bus
    hints: Hints
    turns: Turns
    run: Callable[[], Coroutine[object, object, None]]
    """To be awaited as long as there is anything to tell or to hear."""
    close: Callable[[], Awaitable[None]]
    several: bool
    """Whether there may be others."""


def alone() -> Processes:
    nobody = Alone()

    async def run() -> None:
        await asyncio.Event().wait()

    async def close() -> None:
        return None

    return Processes(LocalBus(), nobody, nobody, run, close, several=False)


def on_postgres(url: str) -> Processes:
    """Nothing is connected before it is used."""
    # Loaded only here: who runs on SQLite does not pay for it at every start.
    from millrace.dispatch.postgres import PostgresHints
    from millrace.dispatch.turns import PostgresTurns

    turns = PostgresTurns(url)
    hints = PostgresHints(url, turns.others)
    return Processes(hints, hints, turns, hints.run, turns.close, several=True)
