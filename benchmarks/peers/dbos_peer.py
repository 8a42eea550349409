"""DBOS: workflows and steps as decorated functions, checkpointed in SQLite or PostgreSQL.

    python -m benchmarks.peers.dbos_peer sqlite
    python -m benchmarks.peers.dbos_peer postgres

The parallel steps are async steps in one `asyncio.gather`, which is faster than a DBOS queue of child workflows.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dbos import DBOS, DBOSConfig

from benchmarks.peers import postgres
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.workloads import (
    CHAIN_TASKS,
    FAN_OUT_TASKS,
    THROUGHPUT_RUNS,
    THROUGHPUT_TASKS,
    Effort,
    PeerReport,
    exactly,
    measure,
)


@DBOS.step()
def noop() -> float:
    """Answers when its first instruction ran."""
    return time.perf_counter()


@DBOS.step()
async def noop_async(index: int) -> int:
    return index


@DBOS.workflow()
def sequence(tasks: int) -> float:
    """Answers when the first of `tasks` steps ran."""
    times = [noop() for _ in range(tasks)]
    return times[0]


@DBOS.workflow()
async def fan_out() -> int:
    results = await asyncio.gather(*(noop_async(index) for index in range(FAN_OUT_TASKS)))
    exactly(results, FAN_OUT_TASKS)
    return await noop_async(len(results))


class Dbos:
    def chain(self) -> float:
        began = time.perf_counter()
        DBOS.start_workflow(sequence, CHAIN_TASKS).get_result()
        return time.perf_counter() - began

    def throughput(self) -> float:
        began = time.perf_counter()
        handles = [DBOS.start_workflow(sequence, THROUGHPUT_TASKS) for _ in range(THROUGHPUT_RUNS)]
        exactly([handle.get_result() for handle in handles], THROUGHPUT_RUNS)
        return time.perf_counter() - began

    def fan_out(self) -> float:
        async def run() -> float:
            began = time.perf_counter()
            handle = await DBOS.start_workflow_async(fan_out)
            await handle.get_result()
            return time.perf_counter() - began

        return asyncio.run(run())

    def start(self) -> float:
        began = time.perf_counter()
        return DBOS.start_workflow(sequence, 1).get_result() - began


@contextlib.contextmanager
def sqlite_url(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/dbos.sqlite"


def sqlite_durability(folder: Path) -> str:
    """DBOS sets no pragma of durability, so its connections have what a plain one has."""
    with contextlib.closing(sqlite3.connect(folder / "dbos.sqlite")) as connection:
        journal = connection.execute("pragma journal_mode").fetchone()[0]
        synchronous = ("OFF", "NORMAL", "FULL", "EXTRA")[connection.execute("pragma synchronous").fetchone()[0]]
    return f"SQLite, journal_mode={journal}, synchronous={synchronous} (defaults, DBOS sets neither)"


VARIANTS = {
    "sqlite": (sqlite_url, sqlite_durability),
    "postgres": (lambda _folder: postgres.database("dbos"), lambda _folder: postgres.durability()),
}


def main(variant: str) -> None:
    database, durability = VARIANTS[variant]
    with scratch() as folder, database(folder) as url:
        os.chdir(folder)
        config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
        DBOS(config=config)
        DBOS.launch()
        try:
            figures = measure(Dbos(), Effort(budget=25.0))
            report = PeerReport(f"DBOS ({variant})", durability(folder), figures)
        finally:
            DBOS.destroy()
    print(json.dumps(report.as_json()))


if __name__ == "__main__":
    end_in_order_when_told()
    main(sys.argv[1])
