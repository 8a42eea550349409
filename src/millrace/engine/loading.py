"""Reading runs for the engine: again and again while the store is away, for mail at hand must not be lost by that."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from millrace.engine.cell import Cell
from millrace.ports.plans import Plans
from millrace.ports.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

ASK_AGAIN = 0.5
"""Seconds between two tries to read while the store is away."""


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The store's answer, however long it takes to come."""
    while True:
        try:
            return await ask()
        except StoreUnavailable as error:
            logger.warning("the store cannot be read, trying again: %s", error)
            await asyncio.sleep(ASK_AGAIN)


async def load_cell(store: Store, plans: Plans, cell: Cell) -> None:
    """Bring the cell to what is stored; what it knows already is not read again, however large the run is.

    Raises `LookupError` for a run that does not exist.
    """
    run_id, known = cell.run_id, cell.revision if cell.run is not None else 0
    loaded = await patiently(lambda: store.load(run_id, newer_than=known))
    if loaded is None:
        raise LookupError(f"there is no run {run_id}")
    version_id = loaded.new.version_id
    plan = cell.plan
    if plan is None:
        plan = await patiently(lambda: plans.plan(version_id))
    if known:
        wanted = cell.outputs is not None
        outputs = await patiently(lambda: store.load_outputs(run_id, newer_than=known)) if wanted else {}
        cell.catch_up(plan, loaded, outputs)
    else:
        cell.take(loaded, plan)
