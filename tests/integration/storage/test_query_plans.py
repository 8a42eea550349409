"""Every list is found by an index, however it is narrowed: the plans of the statements that the API really issues.

SQLite plans without statistics (nobody runs ANALYZE), so the plans on a small database are those on a large one.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, Engine, event

from millrace.system import SystemClock
from tests.support.api import ECHO, create, definition, start
from tests.support.installation import Installation, installation
from tests.support.planting import Planted, plant

GROW_WITH_RUNS = {
    "runs", "task_runs", "attempts", "records", "logs", "firings", "events", "artifacts", "changes", "waits",
    "audit_log",
}  # fmt: skip

A_PAGE = re.compile(r"\bid IN \((\?(, )?)+\)")
"""The rows of ids that were found before: few, so they may be sorted."""
FEW = {"sqlite_autoindex_events_2", "sqlite_autoindex_triggers_2"}
"""Finds what one run published, and the triggers of one workflow: that may be sorted, too."""

RUNS = {
    "": None,
    "status=completed": None,
    "status=running": "ix_runs_status_id",
    "status=failed,running": "ix_runs_status_id",
    "status=failed,completed": None,
    "workflow={workflow}": "ix_runs_workflow_id_id",
    "workflow={workflow}&status=running": "ix_runs_status_id",
    "workflow={workflow}&status=failed": "ix_runs_ended_badly",
    "workflow={workflow}&status=failed,cancelled": "ix_runs_ended_badly",
    "workflow={workflow}&status=completed&trigger_type=cron": "ix_runs_workflow_id_id",
    "trigger_type=cron": None,
    "correlation_id=c": "ix_runs_correlation_id_id",
    "correlation_id=c&workflow={workflow}&status=failed&trigger_type=cron": "ix_runs_correlation_id_id",
    "created_after=2020-01-01T00:00:00Z&created_before=2030-01-01T00:00:00Z": None,
    "created_after=2020-01-01T00:00:00Z&status=failed": "ix_runs_status_id",
    "created_before=2030-01-01T00:00:00Z&workflow={workflow}": "ix_runs_workflow_id_id",
    "parent={run}": "ix_runs_parent_run_id_id",
    "parent={run}&status=failed&workflow={workflow}&correlation_id=c": "ix_runs_parent_run_id_id",
    "label=team:a": "ix_runs_workflow_id_id",
    "label=team:a&status=failed": "ix_runs_ended_badly",
    "label=team:many": None,
    "label=team:many&status=failed": "ix_runs_status_id",
}
"""Which index a list of runs, narrowed like this, walks along; none: the runs themselves, which lie in its order."""

LISTS = {
    **{f"/runs?{narrow}": index for narrow, index in RUNS.items()},
    "/workflows/{workflow}/runs": "ix_runs_workflow_id_id",
    "/workflows/{workflow}/runs?status=failed": "ix_runs_ended_badly",
    "/runs/{run}/tasks": None,
    "/runs/{run}/tasks?status=failed&within=each": None,
    "/runs/{run}/steps": None,
    "/runs/{run}/events": None,
    "/runs/{run}/events?tail=10": None,
    "/runs/{run}/logs": None,
    "/runs/{run}/logs?level=error&task=a&attempt=1&tail=10": None,
    "/runs/{run}/artifacts": "ix_artifacts_run_id_id",
    "/secrets/{secret}/versions": None,
    "/connections/{connection}/versions": None,
    "/artifacts": None,
    "/artifacts?name=file": None,
    "/artifacts?origin=upload": None,
    "/artifacts?origin=task&run={run}": "ix_artifacts_run_id_id",
    "/events": None,
    "/events?type=a&source=b": "ix_events_type_id",
    "/events?source=b&subject=c": None,
    "/events?run={run}&type=a": "sqlite_autoindex_events_2",
    "/triggers": None,
    "/triggers?type=cron&enabled=true&overdue=true": None,
    "/backfills?status=completed": None,
    "/backfills?workflow={workflow}": None,
    "/workflows/{workflow}/triggers": None,
    "/webhooks": None,
    "/webhooks?workflow={workflow}": None,
    "/triggers/{trigger}/firings": "ix_firings_trigger_id_id",
    "/triggers/{trigger}/firings?decision=missed": "ix_firings_trigger_id_id",
    "/workflows/{workflow}/firings?decision=missed": "ix_firings_workflow_id_id",
    "/deployments?outcome=failed&action=deploy": None,
    "/workflows/{workflow}/deployments": None,
    "/workflows/{workflow}/canaries": "ix_canaries_workflow_id_id",
    "/workflows?name=a&label=team:a&status=active": None,
    "/workflows/{workflow}/versions": None,
    "/workers?live=false": None,
    "/secrets": None,
    "/connections?type=http": None,
    "/archive": None,
    "/agents": None,
    "/agents?status=deleted": "ix_agents_name_id",
    "/agents/{agent}/health": "ix_agent_checks_agent_id_id",
    "/users?role=admin&kind=person&status=active": None,
    "/users": None,
    "/workflows/{workflow}/grants": "ix_grants_workflow_id_user_id",
    "/users/{user}/grants": None,
    "/api-keys": "ix_api_keys_user_id_id",
    "/api-keys?all=true": None,
    "/auth/me/grants": None,
    "/auth/sessions": "ix_sessions_user_id_id",
    "/audit-logs": None,
    "/audit-logs?action=run.start": None,
    "/audit-logs?entity=secret": None,
    "/audit-logs?from=2020-01-01T00:00:00Z&to=2030-01-01T00:00:00Z": None,
    "/audit-logs?entity=workflow&entity_id={workflow}": "ix_audit_log_entity_entity_id_id",
    "/audit-logs?entity=workflow&entity_id={workflow}&actor={user}": "ix_audit_log_entity_entity_id_id",
    "/audit-logs?entity=run&entity_id={run}": "ix_audit_log_entity_entity_id_id",
    "/audit-logs?actor={user}": "ix_audit_log_actor_id_id",
    "/audit-logs?actor={user}&entity=secret&action=secret.set": "ix_audit_log_actor_id_id",
    "/audit-logs?action=workflow.update": "ix_audit_log_action_id",
    "/approvals": "ix_waits_approvals",
    "/approvals?workflow={workflow}": "ix_waits_approvals",
}
WITHOUT_ROWS = {"/outside-secrets", "/settings", "/task-types", "/trigger-types", "/workflows/{workflow}/tasks"}
"""Lists that are no rows of a table, or those of one definition."""

KEPT = {
    "secrets/door": {"value": "open sesame"},
    "connections/mail": {"type": "smtp", "config": {"host": "mail.example.com"}},
}

LOOP = {"id": "each", "type": "foreach", "config": {"items": "{{ [1, 2] }}", "key": "{{ item }}"},
        "tasks": [{**ECHO, "id": "b"}]}  # fmt: skip

Statement = tuple[str, tuple[Any, ...]]


class Lists:
    def __init__(self, millrace: Installation, api: httpx2.AsyncClient, names: dict[str, str]) -> None:
        self.millrace, self.api, self.names = millrace, api, names

    async def issued(self, path: str) -> list[Statement]:
        """The reading statements of a list, of its first page and of one behind it."""
        path = path.format(**self.names)
        separator = "&" if "?" in path else "?"
        with listening() as statements:
            first = await self.api.get(f"/api/v1{path}")
            assert first.status_code == 200, first.text
            if (cursor := first.json()["next_cursor"]) is not None:
                assert (await self.api.get(f"/api/v1{path}{separator}cursor={cursor}")).status_code == 200
        assert statements
        return statements

    async def faults(self, path: str, *, any_index: bool = False) -> list[str]:
        """What is wrong with the plans of a list: tables that grow and are read through, or large sets sorted."""
        statements = await self.issued(path)
        # A connection of its own: one that is open already may plan by the schema that it knows from before.
        with closing(sqlite3.connect(self.millrace.database.path)) as connection:
            connection.create_function("now_us", 0, lambda: 0)
            plans = [(sql, plan_of(connection, sql, values)) for sql, values in statements]
        faults = [fault for sql, plan in plans for fault in faults_of(sql, plan)]
        if (
            not any_index
            and (index := LISTS[path]) is not None
            and not any(index in step for _, plan in plans for step in plan)
        ):
            faults.append(f"{index} is not used: {plans}")
        return faults


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


def plan_of(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[str]:
    return [row[3] for row in connection.execute(f"explain query plan {sql}", tuple(values))]


def faults_of(sql: str, plan: Sequence[str]) -> Iterator[str]:
    names = {alias: table for table, alias in re.findall(r"\b(\w+) AS (\w+)", sql)}
    is_walk = re.match(r"SELECT (\w+)\.id\s+FROM \1\s", sql) and "LIMIT" in sql
    for step in plan:
        if (found := re.match(r"SCAN (\w+)", step)) and names.get(found[1], found[1]) in GROW_WITH_RUNS and not is_walk:
            yield f"reads all of {found[1]}: {sql} {plan}"
        few = A_PAGE.search(sql) or any(index in step for step in plan for index in FEW)
        if "TEMP B-TREE" in step and not few:
            yield f"sorts: {sql} {plan}"


async def restricted(api: httpx2.AsyncClient, workflow_id: str) -> str:
    """Somebody who sees one workflow."""
    body = {"name": "few", "kind": "service", "access": "granted", "role": "developer"}
    user_id = str((await api.post("/api/v1/users", json=body)).json()["id"])
    grants = f"/api/v1/workflows/{workflow_id}/grants/few"
    assert (await api.put(grants, json={"grants": ["view"]})).status_code == 200
    return user_id


@asynccontextmanager
async def lists(home: Path) -> AsyncIterator[Lists]:
    async with installation(home) as millrace, millrace.client() as api:
        labelled = {**definition("labelled", ECHO, LOOP), "labels": {"team": "a"}}
        workflow = await create(api, labelled)
        for number in range(12):
            await create(api, {**definition(f"one of many {number}"), "labels": {"team": "many"}})
        run = await start(api, workflow["id"], wait=True)
        agent = await api.post("/api/v1/agents", json={"name": "auditor", "url": "https://1.1.1.1"})
        version = await millrace.database.read(lambda c: c.exec_driver_sql("select version_id from runs").scalar_one())
        now = SystemClock().now()

        def fill(connection: Connection) -> None:
            for number in range(60):
                plant(connection, workflow, version, Planted(now, number))
            connection.exec_driver_sql(
                "insert into firings (id, trigger_id, workflow_id, start_key, decision, at)"
                " select id, 'a trigger', workflow_id, id, 'missed', created_at from runs"
            )
            connection.exec_driver_sql(
                "insert into audit_log (id, at, actor_id, actor, action, entity, entity_id, by_salt, by_digest,"
                " about_salt, about_digest)"
                " select id, created_at, 'a', 'a', 'workflow.update', 'workflow', workflow_id, 's', 'd', 's', 'd'"
                " from runs"
            )
            connection.exec_driver_sql(
                "insert into waits (run_id, path, kind, request, created_at)"
                ' select run_id, path, \'approval\', \'{"message": "?", "form": null}\', 1 from task_runs'
            )
            connection.exec_driver_sql(
                "insert into events (id, type, source, run_id, at) select id, 'a', 'b', id, created_at from runs"
            )

        await millrace.database.write(fill)
        rows = "insert into canaries (id, workflow_id, version, stable, share, started_at, outcome, ended_at)"
        old = " select id, workflow_id, 2, 1, 50, created_at, 'stopped', created_at from runs"
        await millrace.database.write(lambda connection: connection.exec_driver_sql(rows + old))
        names = {"workflow": workflow["id"], "run": run["id"], "trigger": "a trigger", "agent": agent.json()["id"]}
        names["user"] = await restricted(api, workflow["id"])
        names |= {"secret": "door", "connection": "mail"}
        for place, body in KEPT.items():
            assert (await api.put(f"/api/v1/{place}", json=body)).status_code == 201
        yield Lists(millrace, api, names)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Lists]:
    async with lists(tmp_path / "home") as asked:
        yield asked


async def test_every_list_is_found_by_an_index(asked: Lists) -> None:
    faults = {path: found for path in LISTS if (found := await asked.faults(path))}
    assert not faults, "\n".join(f"{path}: {fault}" for path, found in faults.items() for fault in found)


async def test_so_is_every_list_for_who_sees_few_workflows(asked: Lists) -> None:
    made = await asked.api.post("/api/v1/api-keys", json={"name": "few", "user": "few"})
    async with asked.millrace.client(made.json()["key"]) as few:
        theirs = Lists(asked.millrace, few, asked.names)
        seen = {
            path: None for path in LISTS if (await few.get(f"/api/v1{path.format(**asked.names)}")).status_code == 200
        }
        assert {"/artifacts", "/approvals", "/triggers", "/runs?", "/webhooks"} <= seen.keys()
        faults = [fault for path in seen for fault in await theirs.faults(path, any_index=True)]
    # Rows of the few workflows may be sorted; those of the others are not read.
    assert [fault for fault in faults if fault.startswith("reads all")] == []


async def test_two_versions_are_compared_by_way_of_an_index(asked: Lists) -> None:
    """Those runs of one workflow are read that were made since the canary began, and no more than are looked at."""
    path = "/api/v1/workflows/labelled"
    other = await asked.api.put(path, json={"tasks": [{**ECHO, "id": "other"}], "deploy": False})
    assert other.status_code == 200, other.text
    begun = await asked.api.put(f"{path}/canary", json={"version": other.json()["version"], "share": 10})
    assert begun.status_code == 200, begun.text
    for shown, bounds in (("canary", "id>?"), (f"canaries/{begun.json()['id']}", "id>? AND id<?")):
        with listening() as statements:
            assert (await asked.api.get(f"{path}/{shown}")).status_code == 200
        with closing(sqlite3.connect(asked.millrace.database.path)) as connection:
            of_canaries = [(sql, values) for sql, values in statements if "FROM workflows" not in sql]
            plans = [(sql, plan_of(connection, sql, values)) for sql, values in of_canaries]
        assert [fault for sql, plan in plans for fault in faults_of(sql, plan)] == []
        ((sql, plan),) = [(sql, plan) for sql, plan in plans if "FROM runs" in sql]
        assert plan == [f"SEARCH runs USING INDEX ix_runs_workflow_id_id (workflow_id=? AND {bounds})"]
        assert "LIMIT" in sql
        assert (await asked.api.delete(f"{path}/canary")).status_code in (200, 404)


@pytest.mark.parametrize("index", sorted({index for index in LISTS.values() if index and index.startswith("ix")}))
async def test_a_list_without_its_index_is_noticed(asked: Lists, index: str) -> None:
    await asked.millrace.database.write(lambda connection: connection.exec_driver_sql(f"drop index {index}"))
    for path in (path for path, needed in LISTS.items() if needed == index):
        assert await asked.faults(path), path


async def test_no_list_is_forgotten(asked: Lists) -> None:
    asked_for = {re.sub(r"\{\w+\}", "{}", path.partition("?")[0]) for path in (*LISTS, *WITHOUT_ROWS)}
    document = asked.millrace.app.openapi()
    pages = {
        name for name, schema in document["components"]["schemas"].items() if "next_cursor" in schema["properties"]
    }
    for path, operations in document["paths"].items():
        answer = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        shown = str(answer.get("application/json", {}).get("schema", {})).rpartition("/")[2].rstrip("'}")
        if shown in pages:
            assert re.sub(r"\{[^}]+\}", "{}", path.removeprefix("/api/v1")) in asked_for, path
