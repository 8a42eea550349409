"""Reading runs for the engine: again and again while the store is away, for mail at hand must not be lost by that."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from millrace.core.plan import Plan
from millrace.ports.plans import Plans
from millrace.ports.store import LoadedRun, Store, StoreUnavailable

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


async def load_run(store: Store, plans: Plans, run_id: str) -> tuple[LoadedRun, Plan]:
    """The run as stored, and its plan. Raises `LookupError` for a run that does not exist."""
    loaded = await patiently(lambda: store.load(run_id))
    if loaded is None:
        raise LookupError(f"there is no run {run_id}")
    return loaded, await patiently(lambda: plans.plan(loaded.new.version_id))
