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
LONGEST_PAUSE = 30.0
"""Between two tries to load a run that has something wrong with it; each pause is twice the one before."""


class UnknownRun(LookupError):
    """There is no such run."""


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The store's answer, however long it takes to come."""
    while True:
        try:
            return await ask()
        except StoreUnavailable as error:
            logger.warning("the store cannot be read, trying again: %s", error)
            await asyncio.sleep(ASK_AGAIN)


async def load_with_reports(store: Store, plans: Plans, cell: Cell, failed: Callable[[Exception], None]) -> None:
    """As `load_cell`, but again after every error, of which `failed` is told, while outcomes of attempts wait.

    Nobody else has these: without them work that was done counts as lost. All other mail comes again by itself.
    """
    pause = ASK_AGAIN
    while True:
        try:
            await load_cell(store, plans, cell)
        except UnknownRun:
            raise
        except Exception as error:
            if not cell.holds_reports:
                raise
            failed(error)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def loaded_anew(store: Store, plans: Plans, run_id: str) -> Cell:
    """The run as it is stored now, beside what the engine has of it in hand. Raises as `load_cell`."""
    cell = Cell(run_id)
    await load_cell(store, plans, cell)
    return cell


async def load_cell(store: Store, plans: Plans, cell: Cell) -> None:
    """Bring the cell to what is stored; what it knows already is not read again, however large the run is.

    Raises `UnknownRun` for one that does not exist.
    """
    run_id, known = cell.run_id, cell.revision if cell.run is not None else 0
    loaded = await patiently(lambda: store.load(run_id, newer_than=known))
    if loaded is None:
        raise UnknownRun(f"there is no run {run_id}")
    plan_id = loaded.new.plan_id
    plan = cell.plan
    if plan is None:
        plan = await patiently(lambda: plans.plan(plan_id))
    if known:
        wanted = cell.outputs is not None
        outputs = await patiently(lambda: store.load_outputs(run_id, newer_than=known)) if wanted else {}
        cell.catch_up(plan, loaded, outputs)
    else:
        cell.take(loaded, plan)
