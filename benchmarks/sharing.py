"""Throughput of two processes on one PostgreSQL: `millrace worker` beside the process that starts the runs.

The workload is that of `engine`, with more runs, since it takes a moment until the other process has heard of the first
of them. It is measured without the other process just before, so that the two figures can be compared.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.engine import EngineLoad, create_all, repeat, settings_in
from benchmarks.processes import child
from benchmarks.workloads import THROUGHPUT_TASKS, Effort, Figures, Samples, scaled
from millrace.bootstrap import Runtime, running

WORKER = (sys.executable, "-m", "millrace.cli.main", "worker")
RUNS = 300
READY_WITHIN = 30.0

LIVE = "select count(*) from incarnations where retired_at is null and lost_at is null"
OF_THE_OTHER = """
select avg(case when worker = (select max(id) from incarnations) then 1.0 else 0.0 end) from task_runs"""


async def sharing_figures(home: Path, database_url: str, effort: Effort) -> Figures:
    async with running(settings_in(home, database_url=database_url)) as runtime:
        await create_all(runtime)
        load = EngineLoad(runtime, runs=effort.runs)
        alone = await repeat(load.throughput, effort.repeats)
        async with _worker(home, runtime):
            shared = await repeat(load.throughput, effort.repeats)
        share = 2 * await _value(runtime, OF_THE_OTHER)
    tasks = effort.runs * THROUGHPUT_TASKS
    return {
        "throughput_alone_tasks_s": scaled(alone, lambda seconds: tasks / seconds),
        "throughput_two_tasks_s": scaled(shared, lambda seconds: tasks / seconds),
        "two_processes_ratio": Samples((alone.median / shared.median,)),
        "two_processes_share": Samples((share,)),
    }


@asynccontextmanager
async def _worker(home: Path, runtime: Runtime) -> AsyncIterator[None]:
    """Another process that takes work from the same database."""
    settings = {"MILLRACE_HOME": str(home), "MILLRACE_DATABASE_URL": runtime.settings.database_url}
    log = home / "worker.log"
    with child(WORKER, settings, log) as process:
        async with asyncio.timeout(READY_WITHIN):
            while await _value(runtime, LIVE) < 2:
                if process.poll() is not None:
                    raise RuntimeError(f"the worker ended with {process.returncode}:\n{log.read_text()}")
                await asyncio.sleep(0.05)
        yield


async def _value(runtime: Runtime, query: str) -> float:
    return float(await runtime.database.read(lambda connection: connection.exec_driver_sql(query).scalar_one()))
