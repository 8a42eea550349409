"""A database as a busy installation has it: many runs of many workflows, planted by SQL while nobody has it open.

Workflows differ in how often they run: the first ones have most of the runs. Most runs are completed; every fiftieth
or so failed, and some live in ways that nobody moves on while lists are measured: paused, or waiting for a
time or a retry that comes in years. Each run has the rows that a run of three tasks leaves.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.planting import Planter, planter
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
ACTORS = 10
"""Who the audit log tells of."""

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
create temp table planted (n integer primary key, id text, at bigint, workflow text, version text, trigger text,
  status text, trigger_type text, correlation text, ended boolean)"""

STEPS = "create temp table steps (step integer, path text)"

ROWS = (
    """insert into runs (id, workflow_id, version_id, status, phase, outcome, revision, last_seq, last_log,
                          trigger_type, trigger_id, input, output, correlation_id, run_at, root_run_id, created_at,
                          started_at, finished_at)
        select id, workflow, version, status, 'main', case when ended then status end, 4,
               case when ended then 5 else 2 end,
               case when n = 0 then :logs when n % 10 = 0 then 3 else 0 end,
               trigger_type, case when trigger_type = 'cron' then trigger end,
               '{"day":' || (n / 1000) || ',"source":"bucket-' || (n % 50) || '"}',
               case when status = 'completed' then '{"rows":1000}' end, correlation,
               case when status = 'pending' then :never end, id, at, case when status <> 'pending' then at end,
               case when ended then at + 2500 end
        from planted order by n""",
    """insert into task_runs (run_id, path, type, status, attempt, live, input, output, revision, ready_at,
                              started_at, finished_at)
       select id, path, 'noop',
              case when ended then case when status = 'cancelled' and step = 3 then 'cancelled' else 'completed' end
                   when status = 'running' and step = 1 then 'ready' else 'pending' end,
              case when ended or (status = 'running' and step = 1) then 1 else 0 end, status = 'running' and step = 1,
              case when ended then '{}' end, case when ended then '{"rows":1000}' end, 4, at,
              case when ended then at end, case when ended then at + 800 * step end
       from planted cross join steps order by n, path""",
    """insert into attempts (run_id, path, number, token, status, queue, incarnation_id, available_at, started_at,
                              finished_at)
        select id, path, 1, substr(id, 1, 35) || step, case when ended then 'completed' else 'scheduled' end,
               'default', case when ended then id end, case when ended then at else :never end,
               case when ended then at end, case when ended then at + 800 * step end
        from planted cross join steps where ended or (status = 'running' and step = 1) order by n, path""",
    """insert into records (run_id, seq, type, path, data, at)
       select id, seq, coalesce(type, 'run.' || status), path, data, at + seq * 500 from planted cross join (
         select 1 as seq, 'run.created' as type, null as path, '{"trigger":"manual"}' as data
         union all select 2, 'run.started', null, null
         union all select 3, 'task.started', 'extract', '{"attempt":1}'
         union all select 4, 'task.completed', 'extract', '{"attempt":1}'
         union all select 5, null, null, null) as told
       where seq <= 2 or ended order by n, seq""",
    """insert into logs (run_id, seq, path, attempt, level, text, at)
       select planted.id, step, 'extract', 1, case when n % 100 = 0 then 'warning' else 'info' end,
              'read part ' || step, at + step
       from planted cross join steps where n % 10 = 0 and n > 0 order by n, step""",
    """insert into timers (run_id, kind, fire_at)
        select id, 'start', :never from planted where status in ('pending', 'waiting')""",
    """insert into firings (id, trigger_id, workflow_id, start_key, due_at, decision, reason, run_id, at)
       select id, trigger, workflow, id, at, case when n % 20 = 0 then 'skipped' else 'started' end,
              case when n % 20 = 0 then 'it was paused' end, case when n % 20 <> 0 then id end, at
       from planted where trigger_type = 'cron' order by n""",
    """insert into events (id, type, source, subject, data, at, routed_at)
       select id, 'order.' || (n / 4 % 30), 'shop-' || (n % 12), 'order/' || n, '{"total":12}', at, at
       from planted where n % 4 = 0 order by n""",
    """insert into artifacts (id, name, media_type, size, sha256, object_key, run_id, path, attempt, created_at)
       select id, 'report-' || n || '.csv', 'text/csv', 1000, id, 'none/' || id, case when n % 50 <> 0 then id end,
              case when n % 50 <> 0 then 'load' end, case when n % 50 <> 0 then 1 end, at
       from planted where n % 5 = 0 and ended order by n""",
    """insert into deployments (id, workflow_id, version, action, outcome, at)
       select id, workflow, 1, 'deploy', case when n % 900 = 0 then 'failed' else 'succeeded' end, at
       from planted where n % 50 = 0 order by n""",
    """insert into audit_log (id, at, actor_id, actor, action, entity, entity_id, entity_name, address, request_id,
                              by_salt, by_digest, about_salt, about_digest)
       select replace(id, '-7000-8000-', '-7000-9000-'), at,
              (select users.id from users where name = 'actor-' || (n / 20 % :actors)), 'actor-' || (n / 20 % :actors),
              case when n % 300 = 0 then 'workflow.deploy' when n % 60 = 0 then 'trigger.enable' else 'run.cancel' end,
              case when n % 300 = 0 then 'workflow' when n % 60 = 0 then 'trigger' else 'run' end,
              case when n % 300 = 0 then workflow when n % 60 = 0 then trigger else id end,
              null, '192.0.2.7', 'request-' || n, 'salt', 'digest', 'salt', 'digest'
       from planted where n % 20 = 0 order by n""",
)

LONG_LOG = """
insert into logs (run_id, seq, path, attempt, level, text, at)
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < :logs)
select id, numbers.n, 'extract', 1, case when numbers.n % 100 = 0 then 'debug' else 'info' end,
       'read part ' || numbers.n, numbers.n
from numbers join planted on planted.n = 0"""

TRIGGERS = """
insert into triggers (id, workflow_id, origin, name, type, declared, enabled, active, config, input, version_id,
                      created_at, updated_at)
select made.id, v.workflow_id, 'api', made.name, 'cron', false, false, false, '{"schedule":"0 4 * * *"}', '{}', v.id,
       1, 1
from made_triggers made join workflow_versions v on v.id = made.version"""


def plant(database_url: str, runs: int, seed: int = 1) -> Crowd:
    """Add runs, and all that comes with them, to a database that has the workflows of `definition` and no runs."""
    with planter(database_url) as database:
        versions = database.fetch(
            "select w.id, v.id from workflows w join workflow_versions v on v.workflow_id = w.id"
            " where w.name like 'crowd %' order by w.name"
        )
        triggers = _plant_triggers(database, [version for _, version in versions])
        database.run(PLANTED)
        database.run(STEPS)
        database.fill("steps", enumerate(TASKS, 1))
        there = Crowd(tuple(workflow for workflow, _ in versions), triggers, runs, int(time.time() * 1000))
        database.cover(there.made_at(0), there.newest_ms)
        choose = random.Random(seed)  # noqa: S311 - no secret is made of it
        for first in range(0, runs, CHUNK):
            database.run("begin")
            database.fill("planted", _rows(range(first, min(first + CHUNK, runs)), there, versions, choose))
            for statement in ROWS if first else (*ROWS, LONG_LOG):
                database.run(
                    statement.replace(":never", str(NEVER))
                    .replace(":logs", str(LOGS_OF_LONGEST))
                    .replace(":actors", str(ACTORS))
                )
            database.run("delete from planted")
            database.run("commit")
        database.settle()
    return there


def _rows(
    numbers: range, there: Crowd, versions: Sequence[tuple[str, str]], choose: random.Random
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


def trigger_id(workflow: int, number: int) -> str:
    return f"01800000-0000-7000-8000-{workflow:06x}{number:06x}"


def actor(number: int) -> str:
    return f"actor-{number}"


def _plant_triggers(database: Planter, versions: Sequence[str]) -> tuple[str, ...]:
    rows = [
        (trigger_id(busy, number), f"at-night-{number}", version)
        for busy, version in enumerate(versions)
        for number in range(TRIGGERS_EACH)
    ]
    database.run("create temp table made_triggers (id text, name text, version text)")
    database.fill("made_triggers", rows)
    database.run(TRIGGERS)
    return tuple(row[0] for row in rows)
