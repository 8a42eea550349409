"""The doctor on PostgreSQL asks the same, and finds the same. What is planted is undone with its transaction."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from millrace.core.values import JsonObject
from millrace.storage.doctor import CHECKS, examine
from millrace.storage.postgres.schema import connected
from tests.fault.test_doctor import DEFINITION, DIFFERENCES, NOW, PLANTED, make_retries, make_triggers, make_waits
from tests.support.postgres import bare_database
from tests.support.server import MillraceProcess, create_workflow, wait_finished

pytestmark = pytest.mark.service("postgres")

NOT_IN_INDEX = (
    "update pg_index set indisready = {ready} where indexrelid = 'ix_timers_fire_at'::regclass",
    "insert into timers (run_id, kind, fire_at) values ('planted', 'run_timeout', 9000000000000000)",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A database that a server has left, with a completed run and all kinds of triggers and limits; and the run."""
    with asyncio.Runner() as runner:
        database = bare_database()
        url = runner.run(database.__aenter__())
        settings = {"MILLRACE_DATABASE_URL": url, "MILLRACE_APPLY_EXAMPLES": "false"}
        server = MillraceProcess(tmp_path_factory.mktemp("doctor") / "home", **settings)
        with server, server.client() as client:
            create_workflow(client, DEFINITION)
            run_id: str = client.post("/workflows/healthy/execute", json={}).json()["id"]
            assert wait_finished(client, run_id)["status"] == "completed"
            make_triggers(client)
            make_retries(client)
            make_waits(client)
        yield url, run_id
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture
async def connection(address: tuple[str, str]) -> AsyncIterator[AsyncConnection]:
    """All that is done with it is undone."""
    async with connected(make_url(address[0])) as connection:
        yield connection
        await connection.rollback()


def on_postgres(statements: str) -> str:
    return re.sub(r"\b(live|active|declared|enabled) = ([01])", r"\1 = (\2 = 1)", statements.replace(NOW, "now_us()"))


async def plant(connection: AsyncConnection, statements: str, run_id: str) -> None:
    for statement in on_postgres(statements).split(";"):
        values = {"run": run_id} if ":run" in statement else {}
        assert (await connection.execute(text(statement), values)).rowcount >= 1, statement


async def report_on(connection: AsyncConnection, *, at_rest: bool = False) -> JsonObject:
    def ask(connection: Connection) -> JsonObject:
        return examine(connection, at_rest=at_rest)

    return await connection.run_sync(ask)


async def found_in(connection: AsyncConnection) -> set[str]:
    problems = (await report_on(connection))["problems"]
    assert isinstance(problems, list)
    assert all(problem["message"] and problem["remedy"] for problem in problems)
    return {problem["code"] for problem in problems}


async def test_a_healthy_database_has_no_problems(connection: AsyncConnection) -> None:
    report = await report_on(connection)
    assert report["problems"] == []
    assert report["checks"] == len(CHECKS) + 2


@pytest.mark.parametrize("code", PLANTED)
async def test_doctor_finds(code: str, connection: AsyncConnection, address: tuple[str, str]) -> None:
    await plant(connection, PLANTED[code], address[1])
    assert code in await found_in(connection)


@pytest.mark.parametrize("difference", DIFFERENCES)
async def test_doctor_finds_a_trigger_that_is_not_as_its_definition_says(
    difference: str, connection: AsyncConnection
) -> None:
    await plant(connection, DIFFERENCES[difference], "")
    assert "trigger_differs_from_definition" in await found_in(connection)


async def test_without_the_extension_for_it_the_files_are_not_looked_at_which_is_told(
    connection: AsyncConnection,
) -> None:
    report = await report_on(connection)
    assert isinstance(report["warnings"], list)
    (warning,) = report["warnings"]
    assert (warning["code"], "amcheck" in warning["remedy"]) == ("files_not_checked", True)
    await connection.execute(text("create extension amcheck"))
    assert (await report_on(connection, at_rest=True))["warnings"] == []


async def test_doctor_finds_a_row_that_an_index_has_lost(connection: AsyncConnection) -> None:
    await connection.execute(text("create extension amcheck"))
    unready, insert = NOT_IN_INDEX
    for statement in (unready.format(ready="false"), insert, unready.format(ready="true")):
        await connection.execute(text(statement))
    (problem,) = (await report_on(connection, at_rest=True))["problems"]
    assert problem["code"] == "database_damaged"
    assert re.search("the index ix_timers_fire_at: .*lacks matching index tuple", problem["message"])
