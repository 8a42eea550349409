"""Routing an event, like looking for sub-workflows to start, reads the triggers and tasks that it is for and nothing
else, however many others there are: the plans of the statements that are really issued, on both databases, among 6,000
planted triggers and as many waits, events and changes.
"""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, Engine, event

from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.endings.following import Endings
from millrace.app.endings.telling import RunEvents
from millrace.app.plans import StoredPlans
from millrace.app.routing.routing import EventRouting
from millrace.app.runs.children.starting import ChildStarts
from millrace.app.runs.takeover import Takeover
from millrace.storage.postgres.connecting import CRUD_SETTINGS
from millrace.system import SystemClock, Uuid7Ids
from millrace.triggers.event import Event
from tests.integration.storage.test_postgres_plans import steps
from tests.support.api import ECHO, create, start
from tests.support.installation import Installation, installation

LARGE = {"triggers", "trigger_routes", "waits", "wait_routes", "events", "changes"}
MOST = 1_000
"""Rows that a step of a plan may read; twenty triggers and twenty tasks wait for each type."""

NUMBERS = "with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 6000)"
PLANT = f"""
insert into triggers (id, workflow_id, origin, name, type, enabled, active, config, input, version_id, created_at,
                      updated_at)
{NUMBERS} select 'planted-' || n, one.workflow_id, 'api', 'p' || n, 'event', one.enabled, one.active,
  '{{"event_type":"load.t' || (n % 300) || '"}}', '{{}}', one.version_id, 1, 1
  from numbers cross join (select * from triggers where name = 'told') one;
insert into trigger_routes (kind, key, trigger_id, workflow_id)
{NUMBERS} select 'event', 'load.t' || (n % 300), 'planted-' || n, one.workflow_id
  from numbers cross join (select * from triggers where name = 'told') one;
insert into events (id, type, source, at, routed_at)
{NUMBERS} select 'event-' || n, 'load.t' || (n % 300), 's', n, n from numbers;
insert into waits (run_id, path, kind, request, created_at)
{NUMBERS} select 'planted-' || n, 'wait', 'event', '{{"types":["load.t' || (n % 300) || '"]}}', n from numbers;
insert into wait_routes (run_id, path, route, correlation)
{NUMBERS} select 'planted-' || n, 'wait', 'load.t' || (n % 300), '' from numbers;
insert into wait_routes (run_id, path, route, correlation)
{NUMBERS} select 'planted-' || n, 'wait', 'crowd', '' from numbers where n <= 150;
insert into changes (position, run_id, first_seq, last_seq)
{NUMBERS} select -n, 'none', 1, 1 from numbers
"""  # noqa: S608 - nothing in it comes from outside

Statement = tuple[str, tuple[Any, ...]]


@contextmanager
def listening() -> Iterator[list[Statement]]:
    """What is read and changed, but for what is planted."""
    found: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")):
            found.append((statement, tuple(values)))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@asynccontextmanager
async def planted(home: Path, url: str | None) -> AsyncIterator[Installation]:
    async with installation(home, url) as there, there.client() as api:
        trigger = {"id": "told", "type": "event", "config": {"event_type": ["load.*", "millrace.run.completed"]}}
        await create(api, {"name": "w", "triggers": [trigger], "tasks": [ECHO]})
        await start(api, "w", wait=True)

        def fill(connection: Connection) -> None:
            for statement in PLANT.split(";"):
                connection.exec_driver_sql(statement)

        await there.database.write(fill)
        yield there


async def issued(there: Installation) -> list[Statement]:
    """What it takes to route an event, to simulate one, to tell of the end of a run and to look for those wanted."""
    of, clock, ids = there.container, SystemClock(), Uuid7Ids()
    routing = EventRouting(of.database, of.triggers.router, of.triggers.firer, of.triggers.waits, clock, ids)
    endings = Endings(of.database, [RunEvents(of.database, clock, ids)])
    takeover = Takeover(of.database, StoredPlans(of.database), StoredPayloads(there.objects, 65_536))
    await endings.run_once()
    async with there.client() as api:
        await start(api, "w", wait=True)
        with listening() as statements:
            await endings.run_once()
            assert (await api.post("/api/v1/events", json={"type": "load.t7", "id": "1"})).status_code == 202
            assert (await api.post("/api/v1/events", json={"type": "crowd"})).status_code == 202
            found = await of.triggers.router.match(Event("e", "load.t7", "s", None, None, 0))
            assert len(found) == 21
            await routing.run_once()
            await ChildStarts(of.database, of.run_starter, takeover, there.engine, clock, ids).run_once()
            asked = {"event": {"type": "load.t7"}, "limit": 5}
            page = (await api.post("/api/v1/triggers/simulate", json=asked)).json()
            asked["cursor"] = page["next_cursor"]
            assert (await api.post("/api/v1/triggers/simulate", json=asked)).json()["items"]
    assert len(await started(there)) >= 21 + 2
    return statements


async def started(there: Installation) -> Sequence[Any]:
    return await there.database.read(lambda c: c.exec_driver_sql("select id from runs").all())


def on_sqlite(path: Path, statements: Sequence[Statement]) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("now_us", 0, lambda: 0)
        for sql, values in statements:
            names = {alias: table for table, alias in re.findall(r"\b(\w+) AS (\w+)", sql)}
            for row in connection.execute(f"explain query plan {sql}", values):
                found = re.match(r"SCAN (\w+)", row[3])
                if found and names.get(found[1], found[1]) in LARGE and "USING" not in row[3]:
                    yield f"reads all of {found[1]}: {sql}"


async def on_postgres(url: str, statements: Sequence[Statement]) -> list[str]:
    raw = await asyncpg.connect(url, server_settings=CRUD_SETTINGS)
    faults = []
    try:
        await raw.execute("vacuum analyze")
        for sql, values in statements:
            changed = raw.transaction()
            await changed.start()
            plan = json.loads(await raw.fetchval(f"explain (analyze, format json) {sql}", *values))[0]["Plan"]
            await changed.rollback()
            faults += [f"{fault}: {sql}" for fault in faults_of(plan)]
    finally:
        await raw.close()
    return faults


def faults_of(plan: dict[str, Any]) -> Iterator[str]:
    for step in steps(plan):
        lost = step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Index Recheck", 0)
        read = (step.get("Actual Rows", 0) + lost) * step.get("Actual Loops", 1)
        if step.get("Relation Name") in LARGE and step["Node Type"] == "Seq Scan":
            yield f"reads all of {step['Relation Name']}"
        if read > MOST:
            yield f"reads {read:g} rows"


async def test_routing_reads_what_it_needs_and_no_more(tmp_path: Path, database_url: str | None) -> None:
    async with planted(tmp_path / "home", database_url) as there:
        statements = await issued(there)
        if database_url is None:
            found = list(on_sqlite(Path(there.database.path), statements))  # type: ignore[union-attr]
        else:
            found = await on_postgres(database_url, statements)
    assert len(statements) > 10
    assert not found, "\n".join(found)


@pytest.mark.parametrize("index", ["ix_events_unrouted", "ix_wait_routes_route", "uq_events_source_external_id"])
async def test_an_index_that_is_missing_is_noticed(tmp_path: Path, index: str) -> None:
    async with planted(tmp_path / "home", None) as there:
        await there.database.write(lambda connection: connection.exec_driver_sql(f"drop index {index}") and None)
        assert list(on_sqlite(Path(there.database.path), await issued(there)))  # type: ignore[union-attr]
