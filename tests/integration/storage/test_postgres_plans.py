"""Every list on PostgreSQL reads a page of what there is, not all of it: judged by what its statements really read.

Planted are 50,000 runs with their task runs, attempts, records, logs, artifacts, firings, events and waits. What is
counted is the rows that each step of a plan reads, so that a plan may sort a few, and read a small table as it likes.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from sqlalchemy import Engine, event

from millrace.app.walking import TOGETHER
from millrace.storage.postgres.connecting import CRUD_SETTINGS
from tests.integration.storage.test_query_plans import GROW_WITH_RUNS, KEPT, LISTS, LOOP, restricted
from tests.support.api import create, definition, start
from tests.support.installation import Installation, installation
from tests.support.postgres import fresh_database

pytestmark = pytest.mark.service("postgres")

PLANTED = 50_000
PAGE = 200
MOST = TOGETHER + PAGE
"""Rows that a list may look at for a page, whatever it is narrowed to."""

PLANT = """
insert into runs (id, workflow_id, version_id, status, phase, outcome, revision, last_seq, last_log, trigger_type,
                  trigger_id, root_run_id, input, output, correlation_id, created_at, started_at, finished_at)
select made.id, w.ids[1 + n % cardinality(w.ids)], r.version_id, made.status, 'main',
  case when made.status in ('completed', 'failed', 'cancelled') then made.status end, 2, 3, 2,
  case n % 7 when 0 then 'cron' else 'manual' end, 'a trigger', made.id, '{"kept":true}', '"kept"',
  case n % 1000 when 0 then 'c' end, made.at, made.at,
  case when made.status in ('completed', 'failed', 'cancelled') then made.at end
from (select * from runs limit 1) r, (select array_agg(id) as ids from workflows) w,
  (select n, r0.created_at - n * 1000000::bigint as at,
     case when n % 500 = 0 then 'paused' when n % 50 = 0 then 'failed' when n % 51 = 0 then 'cancelled'
       else 'completed' end as status,
     regexp_replace(lpad(to_hex((r0.created_at - n * 1000000::bigint) / 1000), 12, '0'), '^(.{8})', '\\1-')
       || '-7000-8000-' || lpad(to_hex(n), 12, '0') as id
   from generate_series(1, 50000) n, (select min(created_at) as created_at from runs) r0) made
"""
OF_RUNS = """
insert into task_runs (run_id, path, type, status, attempt, revision, output, finished_at)
  select id, 'a', 'echo', 'completed', 1, 2, '"x"', created_at from runs where last_log = 2;
insert into attempts (run_id, path, number, token, status, queue, available_at, finished_at)
  select id, 'a', 1, id, 'completed', 'default', created_at, created_at from runs where last_log = 2;
insert into records (run_id, seq, type, at) select id, s, 'run.noted', created_at
  from runs, generate_series(1, 3) s where last_log = 2;
insert into logs (run_id, seq, level, text, at) select id, s, 'info', 'line', created_at
  from runs, generate_series(1, 2) s where last_log = 2;
insert into artifacts (id, name, media_type, size, sha256, object_key, run_id, path, attempt, created_at)
  select 'a' || substr(id, 2), 'file', 'text/plain', 1, '0', 'none', id, 'a', 1, created_at from runs;
insert into firings (id, trigger_id, workflow_id, start_key, decision, run_id, at)
  select id, trigger_id, workflow_id, id, 'started', id, created_at from runs where trigger_id is not null;
insert into events (id, type, source, run_id, at) select id, 'a', 'b', id, created_at from runs;
insert into audit_log
    (id, at, actor_id, actor, action, entity, entity_id, by_salt, by_digest, about_salt, about_digest)
  select id, created_at, 'a', 'a', 'workflow.update', 'workflow', workflow_id, 'x', 'x', 'x', 'x' from runs;
insert into waits (run_id, path, kind, request, created_at)
  select id, 'a', case when last_log = 2 then 'approval' end, '{"message":"?","form":null}', created_at from runs;
"""

WHOLE = {"/secrets/{secret}/versions", "/connections/{connection}/versions"}
"""Lists of few, without pages."""

Statement = tuple[str, tuple[Any, ...]]


class Lists:
    def __init__(self, api: httpx2.AsyncClient, raw: asyncpg.Connection, names: dict[str, str]) -> None:
        self._api, self._raw, self._names = api, raw, names

    async def issued(self, path: str) -> list[Statement]:
        """The reading statements of a list, of its first page and of one behind it."""
        given = path.format(**self._names)
        if path not in WHOLE:
            given += f"{'&' if '?' in given else '?'}limit={PAGE}"
        with listening() as statements:
            first = await self._api.get(f"/api/v1{given}")
            assert first.status_code == 200, first.text
            if (cursor := first.json().get("next_cursor")) is not None:
                assert (await self._api.get(f"/api/v1{given}&cursor={cursor}")).status_code == 200
        assert statements
        return statements

    async def faults(self, statements: list[Statement]) -> list[str]:
        """Where they read more than a page may, or all of a table that grows."""
        return [fault for sql, values in statements for fault in faults_of(await self._plan(sql, values))]

    async def faults_without(self, index: str, statements: list[Statement]) -> list[str]:
        """The same if there were no such index."""
        changed = self._raw.transaction()
        await changed.start()
        try:
            await self._raw.execute(f"drop index {index}")
            return await self.faults(statements)
        finally:
            await changed.rollback()

    async def _plan(self, sql: str, values: tuple[Any, ...]) -> dict[str, Any]:
        found = await self._raw.fetchval(f"explain (analyze, format json) {sql}", *values)
        return dict(json.loads(found)[0]["Plan"])


def faults_of(plan: dict[str, Any]) -> Iterator[str]:
    for step in steps(plan):
        table = re.sub(r"_(\d{4}_\d{2}|other)$", "", step.get("Relation Name", ""))
        lost = step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Index Recheck", 0)
        read = (step["Actual Rows"] + lost) * step["Actual Loops"]
        if table in GROW_WITH_RUNS and step["Node Type"] == "Seq Scan" and step["Actual Loops"]:
            yield f"reads all of {table}: {step}"
        if read > MOST:
            yield f"reads {read:g} rows: {step}"


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {key: value for key, value in plan.items() if key != "Plans"}
    for below in plan.get("Plans", ()):
        yield from steps(below)


@contextmanager
def listening() -> Iterator[list[Statement]]:
    found: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            found.append((statement, tuple(values)))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@asynccontextmanager
async def planted(home: Path) -> AsyncIterator[tuple[Installation, Lists]]:
    async with fresh_database(clock=False) as url, installation(home, url) as millrace, millrace.client() as api:
        labelled = definition("labelled")
        workflow = await create(api, {**labelled, "labels": {"team": "a"}, "tasks": [*labelled["tasks"], LOOP]})
        for number in range(12):
            await create(api, {**definition(f"one of many {number}"), "labels": {"team": "many"}})
        run = await start(api, workflow["id"], wait=True)
        agent = (await api.post("/api/v1/agents", json={"name": "auditor", "url": "https://1.1.1.1"})).json()
        raw = await asyncpg.connect(url, server_settings=CRUD_SETTINGS)
        try:
            assert await raw.execute(PLANT) == f"INSERT 0 {PLANTED}"
            await raw.execute(OF_RUNS)
            await raw.execute("vacuum analyze")
            names = {"workflow": workflow["id"], "run": run["id"], "trigger": "a trigger", "agent": agent["id"]}
            names |= {"secret": "door", "connection": "mail", "user": await restricted(api, workflow["id"])}
            for place, body in KEPT.items():
                assert (await api.put(f"/api/v1/{place}", json=body)).status_code == 201
            yield millrace, Lists(api, raw, names)
        finally:
            # The audit log lets nobody empty it.
            await raw.execute("alter table audit_log disable trigger user")
            await raw.execute(f"truncate {', '.join(GROW_WITH_RUNS)}")
            await raw.execute("alter table audit_log enable trigger user")
            await raw.execute("analyze")
            await raw.close()


NEEDED = {
    "ix_runs_workflow_id_id": "/runs?workflow={workflow}&status=completed&trigger_type=cron",
    "ix_runs_status_id": "/runs?status=running",
    "ix_runs_correlation_id_id": "/runs?correlation_id=c",
    "ix_artifacts_run_id_id": "/runs/{run}/artifacts",
    "ix_waits_approvals": "/approvals",
}


async def test_no_list_reads_more_than_a_page_may_and_an_index_that_is_missing_is_noticed(tmp_path: Path) -> None:
    async with planted(tmp_path / "home") as (_, lists):
        issued = {path: await lists.issued(path) for path in LISTS}
        faults = {path: found for path, statements in issued.items() if (found := await lists.faults(statements))}
        assert not faults, "\n".join(f"{path}: {fault}" for path, found in faults.items() for fault in found)
        for index, path in NEEDED.items():
            assert await lists.faults_without(index, issued[path]), f"{path} without {index}"
