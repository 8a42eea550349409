"""Throughput at 0 and at 1,000,000 finished runs. The past is planted by SQL while Millrace is not running.

Each planted run has the rows that a real run of one task leaves: the run, its task run, its attempt and five
records, one second after the run before it. They belong to the workflow that is measured afterwards, so that its
indexes are as deep as they would be.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from benchmarks.engine import create_all, settings_in, throughput_figures
from benchmarks.planting import Planter, planter
from benchmarks.workloads import Effort, Figures
from millrace.bootstrap import running

RUNS = 1_000_000
CHUNK = 50_000
"""Runs in one transaction."""

PLANTED = "create temp table planted (id text, at bigint, workflow text, version text)"

ROWS = (
    """insert into runs (id, workflow_id, version_id, status, phase, outcome, revision, last_seq, trigger_type,
                         root_run_id, created_at, started_at, finished_at)
       select id, workflow, version, 'completed', 'main', 'completed', 2, 5, 'manual', id, at, at, at + 900
       from planted order by id""",
    """insert into task_runs (run_id, path, type, status, attempt, output, revision, ready_at, started_at, finished_at)
       select id, 't0', 'noop', 'completed', 1, 'null', 2, at, at, at + 800 from planted order by id""",
    """insert into attempts (run_id, path, number, token, status, queue, incarnation_id, available_at, started_at,
                             finished_at)
       select id, 't0', 1, id, 'completed', 'default', id, at, at, at + 800 from planted order by id""",
    """insert into records (run_id, seq, type, path, data, at)
       select id, seq, type, path, data, at + later
       from planted cross join (
           select 1 as seq, 'run.created' as type, null as path, '{"trigger":"manual"}' as data, 0 as later
           union all select 2, 'run.started', null, null, 0
           union all select 3, 'task.started', 't0', '{"attempt":1,"worker":"018bcfe5-6800-7000-8000-000000000000"}', 0
           union all select 4, 'task.completed', 't0', '{"attempt":1}', 800
           union all select 5, 'run.completed', null, null, 900) as told
       order by id, seq""",
)

BEGAN_MS = 1_700_000_000_000
"""When the first planted run was; a million seconds later is still in the past."""


def plant(database_url: str, runs: int = RUNS) -> None:
    """Add finished runs to a database that nobody has open, which has the workflows of `definitions`."""
    with planter(database_url) as there:
        workflow, version = measured_workflow(there)
        there.cover(made_at(0), made_at(runs))
        there.run(PLANTED)
        for first in range(0, runs, CHUNK):
            there.run("begin")
            there.fill("planted", _rows(range(first, min(first + CHUNK, runs)), workflow, version))
            for statement in ROWS:
                there.run(statement)
            there.run("delete from planted")
            there.run("commit")
        there.settle()


def measured_workflow(there: Planter) -> tuple[str, str]:
    """The ids of the workflow of the throughput workload, and of its version."""
    ((workflow, version),) = there.fetch(
        "select w.id, v.id from workflows w join workflow_versions v on v.workflow_id = w.id"
        " where w.name = 'bench-sequence'"
    )
    return workflow, version


def made_at(number: int) -> int:
    """Milliseconds."""
    return BEGAN_MS + number * 1_000


def _rows(numbers: range, workflow: str, version: str) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        at = made_at(number)
        yield f"{at >> 16:08x}-{at & 0xFFFF:04x}-7000-8000-{number:012x}", at * 1_000, workflow, version


async def growth_figures(home: Path, effort: Effort) -> Figures:
    # The planted runs are old, and shall stay.
    settings = settings_in(home, retention_runs="never", retention_payloads="never")
    async with running(settings) as runtime:
        await create_all(runtime)
        empty = await throughput_figures(runtime, effort)
    await asyncio.to_thread(plant, settings.database_url)
    async with running(settings) as runtime:
        full = await throughput_figures(runtime, effort)
    return {
        "throughput_at_0_tasks_s": empty["throughput_tasks_s"],
        "throughput_at_1m_tasks_s": full["throughput_tasks_s"],
    }
