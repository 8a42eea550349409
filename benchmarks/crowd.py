"""A database as a busy installation has it: many runs of many workflows, planted by SQL while nobody has it open.

Workflows differ in how often they run: the first ones have most of the runs. Most runs are completed; every fiftieth
or so failed, and some live in ways that nobody moves on while lists are measured: paused, or waiting for a
time or a retry that comes in years. Each run has the rows that a run of three tasks leaves.
"""

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from millrace.core.values import JsonObject

WORKFLOWS = 200
TASKS = ("extract", "transform", "load")
TRIGGERS_EACH = 5
TEAMS = 40
CHUNK = 50_000
"""Runs in one transaction."""

SPAN_MS = 80 * 86_400_000
"""The runs are spread evenly over this time before the newest: longer than payloads are kept, shorter than runs."""

NEVER = 4_000_000_000_000_000
"""When the timers and retries of live runs are due."""

LOGS_OF_LONGEST = 100_000

STATUSES = ("completed", "failed", "cancelled", "paused", "pending", "waiting", "running")
SHARES = (9_400, 400, 160, 10, 10, 10, 10)
TRIGGER_TYPES = ("manual", "interval", "cron", "event", "webhook")
TRIGGER_SHARES = (300, 3_000, 5_000, 1_690, 10)


def definition(number: int) -> JsonObject:
    """The workflow of this number, as anyone could post it."""
    before = (None, *TASKS)
    return {
        "name": f"crowd {number:03} {('ingest', 'report', 'cleanup', 'export')[number % 4]}",
        "category": f"category-{number % 7}",
        "labels": {"team": f"team-{number % TEAMS}", "stage": "live" if number % 3 else "trial"},
        "tasks": [
            {"id": task, "type": "noop", "depends_on": [first] if first else []}
            for first, task in zip(before, TASKS, strict=False)
        ],
    }


@dataclass(frozen=True, slots=True)
class Crowd:
    """What there is to ask for."""

    workflows: tuple[str, ...]
    """Ids, the busiest first."""
    triggers: tuple[str, ...]
    runs: int
    newest_ms: int
    """When the newest of the runs was made."""

    @property
    def longest(self) -> str:
        """The run with the longest log."""
        return self.run_id(0)

    def run_id(self, number: int) -> str:
        milliseconds = self.made_at(number)
        return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{number:012x}"

    def made_at(self, number: int) -> int:
        """Milliseconds."""
        return self.newest_ms - SPAN_MS + SPAN_MS * number // self.runs


PLANTED = """
create temp table planted (n integer primary key, id text, at integer, workflow text, version text, trigger text,
  status text, trigger_type text, correlation text, ended integer)"""

ROWS = (
    """insert into runs (id, workflow_id, version_id, status, phase, outcome, revision, last_seq, last_log,
                         trigger_type, trigger_id, input, output, correlation_id, run_at, root_run_id, created_at,
                         started_at, finished_at)
       select id, workflow, version, status, 'main', iif(ended, status, null), 4, iif(ended, 5, 2),
              case when n = 0 then :logs when n % 10 = 0 then 3 else 0 end,
              trigger_type, iif(trigger_type = 'cron', trigger, null),
              json_object('day', n / 1000, 'source', 'bucket-' || (n % 50)),
              iif(status = 'completed', '{"rows":1000}', null), correlation, iif(status = 'pending', :never, null), id,
              at, iif(status = 'pending', null, at), iif(ended, at + 2500, null)
       from planted order by n""",
    """insert into task_runs (run_id, path, type, status, attempt, live, input, output, revision, ready_at,
                              started_at, finished_at)
       select id, path, 'noop',
              case when ended then iif(status = 'cancelled' and step = 3, 'cancelled', 'completed')
                   when status = 'running' and step = 1 then 'ready' else 'pending' end,
              iif(ended or (status = 'running' and step = 1), 1, 0), status = 'running' and step = 1,
              iif(ended, '{}', null), iif(ended, '{"rows":1000}', null), 4, at, iif(ended, at, null),
              iif(ended, at + 800 * step, null)
       from planted cross join steps order by n, path""",
    """insert into attempts (run_id, path, number, token, status, queue, incarnation_id, available_at, started_at,
                             finished_at)
       select id, path, 1, substr(id, 1, 35) || step, iif(ended, 'completed', 'scheduled'), 'default',
              iif(ended, id, null), iif(ended, at, :never), iif(ended, at, null), iif(ended, at + 800 * step, null)
       from planted cross join steps where ended or (status = 'running' and step = 1) order by n, path""",
    """insert into records (run_id, seq, type, path, data, at)
       select id, seq, coalesce(type, 'run.' || status), path, data, at + seq * 500 from planted cross join (
         select 1 as seq, 'run.created' as type, null as path, '{"trigger":"manual"}' as data
         union all select 2, 'run.started', null, null
         union all select 3, 'task.started', 'extract', '{"attempt":1}'
         union all select 4, 'task.completed', 'extract', '{"attempt":1}'
         union all select 5, null, null, null)
       where seq <= 2 or ended order by n, seq""",
    """insert into logs (run_id, seq, path, attempt, level, text, at)
       select planted.id, step, 'extract', 1, iif(n % 100, 'info', 'warning'), 'read part ' || step, at + step
       from planted cross join steps where n % 10 = 0 and n > 0 order by n, step""",
    """insert into timers (run_id, kind, fire_at)
       select id, 'start', :never from planted where status in ('pending', 'waiting')""",
    """insert into firings (id, trigger_id, workflow_id, start_key, due_at, decision, reason, run_id, at)
       select id, trigger, workflow, id, at, iif(n % 20, 'started', 'skipped'), iif(n % 20, null, 'it was paused'),
              iif(n % 20, id, null), at
       from planted where trigger_type = 'cron' order by n""",
    """insert into events (id, type, source, subject, data, at)
       select id, 'order.' || (n / 4 % 30), 'shop-' || (n % 12), 'order/' || n, '{"total":12}', at
       from planted where n % 4 = 0 order by n""",
    """insert into artifacts (id, name, media_type, size, sha256, object_key, run_id, path, attempt, created_at)
       select id, 'report-' || n || '.csv', 'text/csv', 1000, id, 'none/' || id, iif(n % 50, id, null),
              iif(n % 50, 'load', null), iif(n % 50, 1, null), at
       from planted where n % 5 = 0 and ended order by n""",
    """insert into deployments (id, workflow_id, version, action, outcome, at)
       select id, workflow, 1, 'deploy', iif(n % 900, 'succeeded', 'failed'), at
       from planted where n % 50 = 0 order by n""",
)  # fmt: skip

LONG_LOG = """
insert into logs (run_id, seq, path, attempt, level, text, at)
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < :logs)
select :run, n, 'extract', 1, iif(n % 100, 'info', 'debug'), 'read part ' || n, n from numbers"""

TRIGGER = """
insert into triggers (id, workflow_id, origin, name, type, declared, enabled, active, config, input, version_id,
                      created_at, updated_at)
select ?, workflow_id, 'api', ?, 'cron', 0, 0, 0, '{"schedule":"0 4 * * *"}', '{}', id, 1, 1
from workflow_versions where id = ?"""


def plant(database: Path, runs: int, seed: int = 1) -> Crowd:
    """Add runs, and all that comes with them, to a database that has the workflows of `definition` and no runs."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for pragma in ("synchronous = off", "cache_size = -400000", "temp_store = memory"):
            connection.execute(f"pragma {pragma}")
        versions = connection.execute(
            "select w.id, v.id from workflows w join workflow_versions v on v.workflow_id = w.id"
            " where w.name like 'crowd %' order by w.name"
        ).fetchall()
        triggers = _plant_triggers(connection, [version for _, version in versions])
        connection.execute(PLANTED)
        connection.execute("create temp table steps as select key + 1 as step, value as path from json_each(?)",
                           (json.dumps(TASKS),))  # fmt: skip
        there = Crowd(tuple(workflow for workflow, _ in versions), triggers, runs, int(time.time() * 1000))
        choose = random.Random(seed)  # noqa: S311 - no secret is made of it
        for first in range(0, runs, CHUNK):
            numbers = range(first, min(first + CHUNK, runs))
            _plant_chunk(connection, _rows(numbers, there, versions, choose))
        connection.execute(LONG_LOG, {"run": there.longest, "logs": LOGS_OF_LONGEST})
        connection.execute("pragma wal_checkpoint(truncate)")
    return there


def _rows(
    numbers: range, there: Crowd, versions: list[tuple[str, str]], choose: random.Random
) -> Iterator[tuple[object, ...]]:
    statuses = choose.choices(STATUSES, SHARES, k=len(numbers))
    types = choose.choices(TRIGGER_TYPES, TRIGGER_SHARES, k=len(numbers))
    for number, status, trigger_type in zip(numbers, statuses, types, strict=True):
        busy = int(len(versions) * choose.random() ** 3)
        workflow, version = versions[busy]
        status = "completed" if number == 0 else status
        correlation = f"order-{choose.randrange(there.runs // 10 + 1)}" if number % 3 == 0 else None
        yield (
            number, there.run_id(number), there.made_at(number) * 1000, workflow, version,
            trigger_id(busy, number % TRIGGERS_EACH), status, trigger_type, correlation,
            status in ("completed", "failed", "cancelled"),
        )  # fmt: skip


def _plant_chunk(connection: sqlite3.Connection, rows: Iterator[tuple[object, ...]]) -> None:
    connection.execute("begin")
    connection.executemany("insert into planted values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    values = {"never": NEVER, "logs": LOGS_OF_LONGEST}
    for statement in ROWS:
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        connection.execute(statement, used)
    connection.execute("delete from planted")
    connection.execute("commit")


def trigger_id(workflow: int, number: int) -> str:
    return f"01800000-0000-7000-8000-{workflow:06x}{number:06x}"


def _plant_triggers(connection: sqlite3.Connection, versions: list[str]) -> tuple[str, ...]:
    rows = [
        (trigger_id(busy, number), f"at-night-{number}", version)
        for busy, version in enumerate(versions)
        for number in range(TRIGGERS_EACH)
    ]
    connection.execute("begin")
    connection.executemany(TRIGGER, rows)
    connection.execute("commit")
    return tuple(row[0] for row in rows)
