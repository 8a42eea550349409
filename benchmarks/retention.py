"""Start latency while retention deletes 1,000,000 runs, against the same database at rest.

    .venv/bin/python -m benchmarks.retention [--runs N]

The runs are those that `growth` plants, all of them older than the default rule allows. Retention is asked for a round
as a user would, and one-task runs are started one after the other until the round has ended.
"""

import argparse
import time
from pathlib import Path

import uvloop

from benchmarks.engine import EngineLoad, create_all, settings_in
from benchmarks.growth import RUNS, measured_workflow, plant
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.table import figures_table
from benchmarks.workloads import Figures, Samples
from millrace.bootstrap import Runtime, running

QUIET_STARTS = 500


async def retention_figures(home: Path, runs: int = RUNS) -> Figures:
    settings = settings_in(home)
    async with running(settings) as runtime:
        await create_all(runtime)
    plant(settings.database_path, *measured_workflow(settings.database_path), runs)
    before = settings.database_path.stat().st_size
    async with running(settings) as runtime:
        load = EngineLoad(runtime)
        await load.start()
        quiet = [await load.start() for _ in range(QUIET_STARTS)]
        began = time.perf_counter()
        busy = await starts_while_deleting(runtime, load)
        seconds = time.perf_counter() - began
        left = await runtime.database.read(lambda c: c.exec_driver_sql("select count(*) from records").scalar_one())
    if left > 10 * (len(quiet) + len(busy) + 2):
        raise RuntimeError(f"the round has ended, but {left} records are left")
    after = settings.database_path.stat().st_size
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


def percentile(values: list[float], percent: int) -> float:
    return sorted(values)[(len(values) - 1) * percent // 100]


async def main(runs: int) -> None:
    with scratch() as folder:
        figures = await retention_figures(folder, runs)
    print(figures_table(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retention", description="Starts while runs are deleted."
    )
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="how many are deleted")
    end_in_order_when_told()
    uvloop.run(main(parser.parse_args().runs))
