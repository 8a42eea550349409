"""What a process does by itself while its database is away: it ends what others may take over, and can be stopped."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from millrace.worker.orphans import groups_here
from tests.support.own_server import OwnServer, own_server
from tests.support.server import MillraceProcess, create_workflow, until

pytestmark = pytest.mark.service("postgres")

DEAF = "trap '' TERM; while :; do date +%s%N > {told}.new; mv {told}.new {told}; sleep 0.05; done"


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


def running(millrace: MillraceProcess, command: str) -> str:
    """Start a run of this command; answers its id once it is under way."""
    with millrace.client() as client:
        create_workflow(
            client, {"name": "command", "tasks": [{"id": "t", "type": "shell", "config": {"command": command}}]}
        )
        run_id: str = client.post("/workflows/command/execute", json={}).json()["id"]
        until(lambda: client.get(f"/runs/{run_id}/tasks/t").json()["status"] == "running")
    return run_id


def asked(url: str, query: str) -> Any:
    async def answer() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(answer())


def settings(server: OwnServer, database: str, *, lease: int = 5) -> dict[str, str]:
    asked(server.url, f"create database {database}")
    return {
        "MILLRACE_DATABASE_URL": server.address(database),
        "MILLRACE_APPLY_EXAMPLES": "false",
        "MILLRACE_WORKER_LEASE_SECONDS": str(lease),
        "MILLRACE_STOP_SECONDS": "0",
    }


def test_a_command_that_will_not_end_is_ended_before_the_lease_of_its_worker_is_over(
    postgres: OwnServer, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    # The usual lease: what is left of it when the command is killed is a share of it, and has to be enough for that.
    millrace = MillraceProcess(tmp_path / "home", **settings(postgres, "deaf", lease=15))
    millrace.start()
    try:
        running(millrace, DEAF.format(told=told))
        until(told.exists)
        installation = asked(postgres.address("deaf"), "select id from installation")
        postgres.stop("immediate")
        until(lambda: not list(groups_here(installation)), within=60)
        postgres.start()
        lease_until = asked(postgres.address("deaf"), "select min(lease_until) from incarnations")
    finally:
        millrace.kill()
    assert int(told.read_text()) < lease_until * 1_000, "others may have begun it by then"


def test_a_process_stops_in_good_order_without_its_database(postgres: OwnServer, tmp_path: Path) -> None:
    millrace = MillraceProcess(tmp_path / "home", **settings(postgres, "stopping"))
    millrace.start()
    try:
        running(millrace, "sleep 600")
        postgres.stop("immediate")
        assert millrace.stop() == 0
    finally:
        millrace.kill()
        postgres.start()
    told = millrace.log.read_text()
    assert "Traceback" not in told
    assert "the database cannot be told that this worker stopped" in told
