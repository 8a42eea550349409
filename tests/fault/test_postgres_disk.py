"""A PostgreSQL server that cannot take what is written: work is refused with a reason, and goes on by itself.

Each test has a server of its own, whose tables lie on a small file system where the disk is to be full.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.support.disks import fill
from tests.support.own_server import OwnServer, own_server
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished
from tests.support.trouble import Waiting, assert_all_is_well, readiness, refused, running, start

RELOAD = "select pg_reload_conf()"

pytestmark = pytest.mark.service("postgres")


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnServer]:
    with own_server(disk="160m") as server:
        yield server


@pytest.fixture
def server(postgres: OwnServer, tmp_path: Path) -> MillraceProcess:
    """A Millrace on a new database of that server."""
    name = f"millrace_{uuid.uuid4().hex}"
    tell(postgres.url, f"create database {name}")
    url = postgres.address(name)
    return MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false", MILLRACE_DATABASE_URL=url)


def tell(url: str, *statements: str) -> None:
    async def told() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(told())


def test_a_full_disk_refuses_work_loses_none_and_goes_on_when_there_is_room(
    postgres: OwnServer, server: MillraceProcess, tmp_path: Path
) -> None:
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        waiting = Waiting(client, tmp_path)
        filler = fill(postgres.data)
        refused(server, client, "disk_full")
        accepted = client.get("/runs", params={"limit": 200, "workflow": "big"}).json()["items"]
        waiting.finish()
        refused(server, client, "disk_full")
        filler.unlink()
        assert_all_is_well(server, client)
        waiting.assert_went_on()
        assert all(wait_finished(client, run["id"])["status"] == "completed" for run in accepted)


def test_a_small_write_that_finds_room_does_not_make_it_ready(postgres: OwnServer, server: MillraceProcess) -> None:
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        filler = fill(postgres.data)
        refused(server, client, "disk_full")
        answers = [start(client, "big").status_code for _ in range(3)]
        assert readiness(server).json()["code"] == "disk_full", answers
        filler.unlink()
        assert_all_is_well(server, client)


def test_a_database_made_read_only_refuses_work_and_loses_none(
    postgres: OwnServer, server: MillraceProcess, tmp_path: Path
) -> None:
    writable = "alter system reset default_transaction_read_only"
    with ExitStack() as after, running(server) as client:
        after.callback(tell, postgres.url, "set default_transaction_read_only = off", writable, RELOAD)
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        waiting = Waiting(client, tmp_path)
        tell(postgres.url, "alter system set default_transaction_read_only = on", RELOAD)
        refused(server, client, "database_read_only")
        waiting.finish()
        refused(server, client, "database_read_only")
        after.close()
        assert_all_is_well(server, client)
        waiting.assert_went_on()


def test_a_server_that_is_away_is_waited_for(postgres: OwnServer, server: MillraceProcess, tmp_path: Path) -> None:
    with running(server) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        waiting = Waiting(client, tmp_path)
        postgres.stop("immediate")
        until(lambda: start(client, "big").status_code == 503)
        assert readiness(server).status_code == 503
        assert httpx2.get(f"{server.url}/health", trust_env=False).status_code == 200
        waiting.finish()
        postgres.start()
        assert_all_is_well(server, client)
        waiting.assert_went_on()


def test_tasks_start_again_after_the_database_was_away_for_longer_than_a_lease(
    postgres: OwnServer, server: MillraceProcess, tmp_path: Path
) -> None:
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    command = f"echo started >> {ledger}; if mkdir {gate}; then while :; do sleep 0.1; done; fi"
    patient = MillraceProcess(server.home, **{**settings_of(server), "MILLRACE_WORKER_LEASE_SECONDS": "5"})
    with running(patient) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        create_workflow(
            client, {"name": "long", "tasks": [{"id": "t", "type": "shell", "config": {"command": command}}]}
        )
        run_id = start(client, "long").json()["id"]
        until(gate.exists)
        postgres.stop("immediate")
        until(lambda: "ends its attempts before others take them" in patient.log.read_text())
        postgres.start()
        assert wait_finished(client, run_id, within=60)["status"] == "completed"
        assert ledger.read_text().split() == ["started"] * 2
        assert_all_is_well(patient, client)


def settings_of(server: MillraceProcess) -> dict[str, str]:
    own = ("MILLRACE_HOME", "MILLRACE_PORT")
    return {key: value for key, value in server.environment.items() if key.startswith("MILLRACE_") and key not in own}


def test_a_server_without_a_free_connection_is_told_and_waited_for(
    postgres: OwnServer, server: MillraceProcess
) -> None:
    """A role of its own: limits do not count for the one that made the server."""
    name = server.environment["MILLRACE_DATABASE_URL"].rpartition("/")[2]
    tell(postgres.url, "create role crowd login password 'crowd'", f"alter database {name} owner to crowd")
    url = postgres.address(name, "crowd", "crowd")
    crowded = MillraceProcess(server.home, **{**settings_of(server), "MILLRACE_DATABASE_URL": url})
    with running(crowded) as client:
        create_workflow(client, {"name": "big", "tasks": [{"type": "noop"}]})
        cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'crowd'"
        tell(postgres.url, "alter role crowd connection limit 0", cut)
        until(lambda: start(client, "big").status_code == 503)
        until(lambda: "max_connections" in readiness(crowded).text)
        assert readiness(crowded).json()["code"] == "database_unusable"
        tell(postgres.url, "alter role crowd connection limit 100")
        assert_all_is_well(crowded, client)
