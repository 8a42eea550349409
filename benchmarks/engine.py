"""The four workloads inside one process: the runtime that `millrace up` makes, called without HTTP.

A start is the use case that the API calls (`run_starter.start`); an end is the engine's `wait`, which answers when the
run's last commit is on the disk. Runs, task runs, attempts and records are all written: there is no special path.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.definitions import ALL
from benchmarks.probe import noted
from benchmarks.workloads import (
    CHAIN_TASKS,
    PAUSE,
    START_REPEATS,
    THROUGHPUT_RUNS,
    THROUGHPUT_TASKS,
    Effort,
    Figures,
    Samples,
    milliseconds,
    scaled,
)
from millrace.app.runs.starting import StartRequest
from millrace.bootstrap import Runtime, running
from millrace.config import Settings
from millrace.core.states import RunStatus
from millrace.system import leave_start_behind

BENCHMARK = "benchmark"
"""Who starts the runs."""


def settings_in(home: Path, **others: str) -> Settings:
    """Default settings but for the place. They are given here so that no variable of the caller's shell counts."""
    place = {"database_url": f"sqlite:///{home}/millrace.db", "sqlite_synchronous": "full"}
    return Settings(home=home, **{**place, **others})  # type: ignore[arg-type]


async def create_all(runtime: Runtime) -> None:
    for definition in ALL:
        await runtime.container.workflow_commands.create(definition, by=BENCHMARK)


class EngineLoad:
    """Each method does one workload once and answers the seconds it took."""

    def __init__(self, runtime: Runtime, runs: int = THROUGHPUT_RUNS) -> None:
        """`runs`: how many there are in the throughput workload."""
        self._engine = runtime.engine
        self._starter = runtime.container.run_starter
        self._runs = runs

    async def chain(self) -> float:
        began = time.perf_counter()
        await self._completed("bench-chain")
        return time.perf_counter() - began

    async def throughput(self) -> float:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._runs):
                tasks.create_task(self._completed("bench-sequence"))
        return time.perf_counter() - began

    async def fan_out(self) -> float:
        began = time.perf_counter()
        await self._completed("bench-fan-out")
        return time.perf_counter() - began

    async def start(self) -> float:
        """From the start call to the first instruction of the first task, on an idle engine."""
        await asyncio.sleep(PAUSE)
        with noted() as times:
            began = time.monotonic()
            await self._completed("bench-single")
        return times[0] - began

    async def _completed(self, workflow: str) -> None:
        started = await self._starter.start(workflow, StartRequest(), by=BENCHMARK)
        run = await self._engine.wait(started.run_id)
        if run.status is not RunStatus.COMPLETED:
            raise RuntimeError(f"a run of {workflow} ended as {run.status}")


async def repeat(work: Callable[[], Awaitable[float]], repeats: int) -> Samples:
    """As `workloads.repeat`, for what is awaited."""
    await work()
    values = []
    for _ in range(repeats):
        gc.collect()
        values.append(await work())
    return Samples(tuple(values))


async def throughput_figures(runtime: Runtime, effort: Effort) -> Figures:
    tasks = THROUGHPUT_RUNS * THROUGHPUT_TASKS
    before = runtime.engine.counts.commits
    seconds = await repeat(EngineLoad(runtime).throughput, effort.repeats)
    commits = runtime.engine.counts.commits - before
    return {
        "throughput_tasks_s": scaled(seconds, lambda value: tasks / value),
        "commits_per_task": Samples((commits / (tasks * (effort.repeats + 1)),)),
    }


async def workload_figures(home: Path, effort: Effort, **settings: str) -> Figures:
    """All four workloads in one runtime with a new database."""
    async with running(settings_in(home, **settings)) as runtime:
        await create_all(runtime)
        leave_start_behind()
        load = EngineLoad(runtime)
        before = runtime.engine.counts.commits
        chain = await repeat(load.chain, effort.repeats)
        commits = runtime.engine.counts.commits - before
        return {
            "chain40_ms": milliseconds(chain),
            "chain_commits_per_task": Samples((commits / (CHAIN_TASKS * (effort.repeats + 1)),)),
            **await throughput_figures(runtime, effort),
            "fanout500_ms": milliseconds(await repeat(load.fan_out, effort.repeats)),
            "start_ms": milliseconds(await repeat(load.start, max(effort.repeats, START_REPEATS))),
        }
