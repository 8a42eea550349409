"""Claims with 1,000,000 finished and 100,000 waiting runs, against a database that holds only what is claimed.

    .venv/bin/python -m benchmarks.claims [--runs N] [--waiting N]

On PostgreSQL. Of those that wait, four of ten have an attempt that is due in the queue that is asked for; the others
are there to be in the way: retries of high priority that are due in years, work of another queue, work behind a limit
that is full, and runs that wait for a timer. Claims alternate between the two databases, so that whatever else the
machine does meets both.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from benchmarks import growth
from benchmarks.crowd import NEVER
from benchmarks.engine import create_all, settings_in
from benchmarks.planting import Planter, planter
from benchmarks.postgres_server import postgres_database
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.table import POSTGRES_TARGETS, figures_table
from benchmarks.workloads import Figures, Samples, percentile
from millrace.bootstrap import running
from millrace.core.values import SECOND
from millrace.ports.incarnations import Incarnation
from millrace.ports.store import ClaimRequest
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.postgres.store import PostgresStore
from millrace.system import Uuid7Ids

WAITING = 100_000
CLAIMS = 1_000
WARM_UP = 50
AT_ONCE = 5
"""Attempts in one claim: as many as a worker has free slots."""

KINDS = ("due",) * 4 + ("retry",) * 2 + ("other queue",) * 2 + ("limit", "timer")

PLANTED = "create temp table backlog (id text, at bigint, workflow text, version text, kind text)"

ROWS = (
    """insert into runs (id, workflow_id, version_id, status, phase, revision, last_seq, trigger_type, root_run_id,
                         created_at, started_at)
       select id, workflow, version, case kind when 'timer' then 'waiting' else 'running' end, 'main', 1, 1, 'manual',
              id, at, at
       from backlog order by id""",
    """insert into task_runs (run_id, path, type, status, attempt, live, revision, ready_at, available_at)
       select id, 't0', 'noop', case kind when 'timer' then 'pending' else 'ready' end,
              case kind when 'timer' then 0 else 1 end, kind <> 'timer', 1, at, case kind when 'retry' then :never end
       from backlog order by id""",
    """insert into attempts (run_id, path, number, token, status, queue, priority, limit_key, limit_size, available_at)
       select id, 't0', 1, id, 'scheduled', case kind when 'other queue' then 'gpu' else 'default' end,
              case kind when 'retry' then 5 else 0 end, case kind when 'limit' then 'scarce' end,
              case kind when 'limit' then 1 end, case kind when 'retry' then :never else at end
       from backlog where kind <> 'timer' order by id""",
    """update attempts set status = 'running', incarnation_id = 'another', started_at = available_at
       where run_id = (select min(id) from backlog where kind = 'limit')""",
    """insert into records (run_id, seq, type, data, at)
       select id, 1, 'run.created', '{"trigger":"manual"}', at from backlog order by id""",
    "insert into timers (run_id, kind, fire_at) select id, 'start', :never from backlog where kind = 'timer'",
)  # fmt: skip


def claim_figures(folder: Path, finished: int = growth.RUNS, waiting: int = WAITING) -> Figures:
    claims = min(CLAIMS, waiting * KINDS.count("due") // len(KINDS) // AT_ONCE - WARM_UP)
    with postgres_database() as empty, postgres_database() as full:
        for url in (empty, full):
            uvloop.run(_prepare(folder, url))
        growth.plant(full, finished)
        plant_waiting(full, [KINDS[number % len(KINDS)] for number in range(waiting)])
        plant_waiting(empty, ["due"] * (claims + WARM_UP) * AT_ONCE)
        quiet, busy = uvloop.run(_alternating((empty, full), claims))
    return {
        "claim_p99_ms": Samples((percentile(busy, 99) * 1e3,)),
        "claim_p99_ratio": Samples((percentile(busy, 99) / percentile(quiet, 99),)),
        "claimed_s": Samples((claims * AT_ONCE / sum(busy),)),
        "claimed_ratio": Samples((sum(busy) / sum(quiet),)),
    }


async def _prepare(folder: Path, url: str) -> None:
    async with running(settings_in(folder, database_url=url)) as runtime:
        await create_all(runtime)


def plant_waiting(database_url: str, kinds: Sequence[str]) -> None:
    with planter(database_url) as there:
        there.run(PLANTED)
        rows = list(_rows(there, kinds))
        for first in range(0, len(rows), growth.CHUNK):
            there.run("begin")
            there.fill("backlog", rows[first : first + growth.CHUNK])
            for statement in ROWS:
                there.run(statement.replace(":never", str(NEVER)))
            there.run("delete from backlog")
            there.run("commit")
        there.settle()


def _rows(there: Planter, kinds: Sequence[str]) -> Iterator[tuple[object, ...]]:
    workflow, version = growth.measured_workflow(there)
    first_ms = int(time.time() * 1e3) - len(kinds)
    for number, kind in enumerate(kinds):
        at = first_ms + number
        yield f"{at >> 16:08x}-{at & 0xFFFF:04x}-7000-8000-{number:012x}", at * 1_000, workflow, version, kind


async def _alternating(urls: Sequence[str], claims: int) -> list[list[float]]:
    """Seconds that each claim took, in each of the databases."""
    async with AsyncExitStack() as stack:
        sides = []
        for url in urls:
            database = await PostgresDatabase.open(url)
            stack.push_async_callback(database.close)
            store = PostgresStore(database)
            worker = Incarnation(Uuid7Ids().new(), "here", 1, ("default",), AT_ONCE)
            await store.register(worker, 3_600 * SECOND, sole=False)
            sides.append((store, ClaimRequest(worker.id, worker.queues, AT_ONCE), list[float]()))
        for _ in range(WARM_UP + claims):
            for store, request, times in sides:
                times.append(await _claim(store, request))
        return [times[WARM_UP:] for _, _, times in sides]


async def _claim(store: PostgresStore, request: ClaimRequest) -> float:
    began = time.perf_counter()
    reply = await store.commit((), request)
    took = time.perf_counter() - began
    if len(reply.claimed) != AT_ONCE:
        raise RuntimeError(f"claimed {len(reply.claimed)} instead of {AT_ONCE}")
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description="Claims from a long queue.")
    parser.add_argument("--runs", type=int, default=growth.RUNS, metavar="N", help="how many have finished")
    parser.add_argument("--waiting", type=int, default=WAITING, metavar="N", help="how many wait")
    end_in_order_when_told()
    given = parser.parse_args()
    with scratch() as folder:
        print(figures_table(claim_figures(folder, given.runs, given.waiting), POSTGRES_TARGETS))
