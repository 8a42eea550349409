"""Start latency while retention deletes 1,000,000 runs, against the same database at rest.

    .venv/bin/python -m benchmarks.retention [--runs N] [--postgres]

The runs are those that `growth` plants, all of them older than the default rule allows. Retention is asked for a round
as a user would, and one-task runs are started one after the other until the round has ended.
"""

import argparse
import asyncio
import time
from contextlib import nullcontext
from pathlib import Path

import uvloop

from benchmarks.engine import EngineLoad, create_all, settings_in
from benchmarks.growth import RUNS, plant
from benchmarks.planting import size_mb
from benchmarks.postgres_server import postgres_database
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.table import figures_table
from benchmarks.workloads import Figures, Samples, percentile
from millrace.bootstrap import Runtime, running

QUIET_STARTS = 500


async def retention_figures(home: Path, runs: int = RUNS, quiet_starts: int = QUIET_STARTS, **place: str) -> Figures:
    """`place`: settings that name another database than the file in `home`."""
    settings = settings_in(home, **place)
    async with running(settings) as runtime:
        await create_all(runtime)
    await asyncio.to_thread(plant, settings.database_url, runs)
    before = await asyncio.to_thread(size_mb, settings.database_url)
    async with running(settings) as runtime:
        load = EngineLoad(runtime)
        await load.start()
        quiet = [await load.start() for _ in range(quiet_starts)]
        began = time.perf_counter()
        busy = await starts_while_deleting(runtime, load)
        seconds = time.perf_counter() - began
        left = await runtime.database.read(lambda c: c.exec_driver_sql("select count(*) from records").scalar_one())
    if left > 10 * (len(quiet) + len(busy) + 2):
        raise RuntimeError(f"the round has ended, but {left} records are left")
    after = await asyncio.to_thread(size_mb, settings.database_url)
    return {
        "retention_quiet_p99_ms": Samples((percentile(quiet, 99) * 1e3,)),
        "retention_busy_p99_ms": Samples((percentile(busy, 99) * 1e3,)),
        "retention_p99_ratio": Samples((percentile(busy, 99) / percentile(quiet, 99),)),
        "retention_p50_ratio": Samples((percentile(busy, 50) / percentile(quiet, 50),)),
        "retention_runs_s": Samples((runs / seconds,)),
        "retention_shrinks_to": Samples((after / before,)),
    }


async def starts_while_deleting(runtime: Runtime, load: EngineLoad) -> list[float]:
    retention = runtime.container.retention
    retention.request()
    times = []
    while retention.current is not None:
        times.append(await load.start())
    return times


def main(runs: int, *, postgres: bool) -> None:
    with scratch() as folder, postgres_database() if postgres else nullcontext() as url:
        place = {} if url is None else {"database_url": url}
        print(figures_table(uvloop.run(retention_figures(folder, runs, **place))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retention", description="Starts while runs are deleted."
    )
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="how many are deleted")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    end_in_order_when_told()
    given = parser.parse_args()
    main(given.runs, postgres=given.postgres)
