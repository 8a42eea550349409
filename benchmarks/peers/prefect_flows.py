"""The flows of the Prefect benchmark. Imported only when its server runs, for Prefect reads its settings on import."""

import asyncio
import time

from prefect import flow, task


@task
async def noop() -> float:
    """Answers when its first instruction ran."""
    return time.perf_counter()


@flow
async def sequence(tasks: int) -> float:
    """Answers when the first of `tasks` tasks ran."""
    times = [await noop() for _ in range(tasks)]
    return times[0]


@flow
async def fan_out(tasks: int) -> int:
    return len(await asyncio.gather(*(noop() for _ in range(tasks))))


class Flows:
    sequence = staticmethod(sequence)
    fan_out = staticmethod(fan_out)
