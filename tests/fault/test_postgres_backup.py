"""O7 on PostgreSQL: a backup of a server at work, put back: what was under way goes on, and the old data are kept."""

import hashlib
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from millrace.storage.schema import HEAD
from tests.fault.test_backup import start, wait_running, waiting
from tests.support.own_server import PASSWORD, OwnServer, own_server, programs
from tests.support.postgres import bare_database
from tests.support.server import MillraceProcess, create_workflow, wait_finished

pytestmark = pytest.mark.service("postgres")

SETTINGS = {"MILLRACE_APPLY_EXAMPLES": "false"}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A database of the test's own; what was kept of it is gone with it."""
    async with bare_database() as url:
        yield url
        name = url.rpartition("/")[2]
        connection = await asyncpg.connect(url.replace(name, "postgres"))
        for (kept,) in await connection.fetch("select datname from pg_database where datname like $1", f"{name}_%"):
            await connection.execute(f'drop database "{kept}" with (force)')
        await connection.close()


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[MillraceProcess]:
    process = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url, **SETTINGS)
    process.start()
    yield process
    process.kill()


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def databases(url: str) -> set[str]:
    found = await ask(
        url, "select array_agg(datname::text) from pg_database where datname like current_database() || '%'"
    )
    assert isinstance(found, list)
    return {name.removeprefix(url.rpartition("/")[2]) for name in found}


async def test_a_run_under_way_at_the_time_of_the_backup_goes_on_after_it_was_put_back(
    server: MillraceProcess, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup.dump"
    with server.client() as client:
        create_workflow(client, waiting(tmp_path))
        under_way = start(client, "waiting")
        wait_running(client, under_way)
        assert "1 run (1 unfinished)" in server.millrace("db", "backup", str(file)).stdout
        assert file.stat().st_mode & 0o777 == 0o600
        checksum = file.with_name(f"{file.name}.sha256").read_text().split()
        assert checksum == [hashlib.sha256(file.read_bytes()).hexdigest(), file.name]
        later = start(client, "waiting")
        (tmp_path / "go").touch()
        assert wait_finished(client, under_way)["status"] == wait_finished(client, later)["status"] == "completed"
        refused = server.millrace("db", "restore", str(file), check=False)
        assert (refused.returncode, f"in use by process {server.pid} on" in refused.stderr) == (2, True)
    assert server.stop() == 0
    old = await ask(url, "select id from installation")
    told = server.millrace("db", "restore", str(file)).stdout
    aside = re.search(r"is kept as (\S+_before_restore_\S+)", told)
    assert aside is not None
    assert await databases(url) == {"", aside[1].removeprefix(url.rpartition("/")[2])}
    beyond = "select count(*) from changes where position >= (select last_value from line_start)"
    assert await ask(url, beyond) == 0, "this server may be behind the other with its transactions"
    assert await ask(url, "select id from installation") == old
    assert server.millrace("db", "check").stdout.endswith("no problems\n")
    (tmp_path / "ledger").unlink()
    server.start()
    with server.client() as client:
        assert wait_finished(client, under_way)["status"] == "completed"
        assert client.get(f"/runs/{under_way}/tasks/slow").json()["attempt"] == 2, "its worker is gone for ever"
        assert (tmp_path / "ledger").read_text() == "done\n"
        assert client.get(f"/runs/{later}").status_code == 404, "it began after the backup"
        assert client.get("/doctor").json()["problems"] == []
    kept = url.replace(url.rpartition("/")[2], aside[1])
    assert await ask(kept, "select status from runs order by id desc limit 1") == "completed", "the old one is whole"


async def test_a_backup_over_the_api_is_a_dump_that_lives_beside_the_original(
    server: MillraceProcess, url: str, tmp_path: Path
) -> None:
    file, copy_url = tmp_path / "backup.dump", f"{url}_copy"
    with server.client() as client:
        create_workflow(client, {"name": "quick", "tasks": [{"type": "noop", "id": "a"}]})
        run_id = start(client, "quick")
        wait_finished(client, run_id)
        before = sorted(server.home.iterdir())
        answer = client.get("/db/backup")
        assert (answer.status_code, answer.headers["ETag"]) == (200, f'"{hashlib.sha256(answer.content).hexdigest()}"')
        assert answer.headers["Content-Disposition"].endswith(".dump")
        assert sorted(server.home.iterdir()) == before, "it leaves nothing behind"
    told = server.millrace("db", "backup", str(file), "--server", server.url).stdout
    assert "a dump of PostgreSQL" in told
    copy = MillraceProcess(tmp_path / "copy", MILLRACE_DATABASE_URL=copy_url, **SETTINGS)
    assert "is kept as" not in copy.millrace("db", "restore", str(file), "--as-copy").stdout
    assert await ask(url, "select id from installation") != await ask(copy_url, "select id from installation")
    copy.home.mkdir()
    for name in ("encryption-key", "api-key"):
        (copy.home / name).write_text((server.home / name).read_text())
    copy.start()
    try:
        with copy.client() as client:
            assert client.get(f"/runs/{run_id}").json()["status"] == "completed"
    finally:
        copy.kill()


def dump_by_hand(url: str, file: Path) -> None:
    subprocess.run([programs() / "pg_dump", "--format=custom", f"--file={file}", url], check=True, timeout=60)


def spoil(file: Path, how: str) -> None:
    match how:
        case "a letter":
            file.write_text("a letter\n" * 1000)
        case "of the other database":
            file.unlink()
            with closing(sqlite3.connect(file)) as raw:
                raw.execute("create table alembic_version (version_num text)")
        case "cut off":
            file.write_bytes(file.read_bytes()[: file.stat().st_size * 9 // 10])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("a letter", "not a dump of PostgreSQL"),
        ("of the other database", "not a dump of PostgreSQL"),
        ("cut off", "cannot be put into a database: .*end of file"),
    ],
)
async def test_what_is_no_backup_is_refused_and_changes_nothing(
    url: str, tmp_path: Path, how: str, reason: str
) -> None:
    millrace, file = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url), tmp_path / "backup.dump"
    millrace.millrace("db", "upgrade")
    millrace.millrace("db", "backup", str(file))
    spoil(file, how)
    refused = millrace.millrace("db", "restore", str(file), check=False)
    assert (refused.returncode, "it is not restored" in refused.stderr) == (2, True), "its checksum is beside it"
    file.with_name("backup.dump.sha256").unlink()
    refused = millrace.millrace("db", "restore", str(file), check=False)
    assert refused.returncode == 2
    assert re.search(reason, refused.stderr), refused.stderr
    assert await databases(url) == {""}


async def test_a_backup_of_a_newer_release_is_refused(url: str, tmp_path: Path) -> None:
    millrace, file = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url), tmp_path / "backup.dump"
    millrace.millrace("db", "upgrade")
    await ask(url, "update alembic_version set version_num = '9999'")
    refused = millrace.millrace("db", "backup", str(file), check=False)
    assert (refused.returncode, "9999" in refused.stderr, file.exists()) == (1, True, False)
    dump_by_hand(url, file)
    refused = millrace.millrace("db", "restore", str(file), check=False)
    assert (refused.returncode, "9999, and this release knows only up to" in refused.stderr) == (2, True)
    assert await databases(url) == {""}


async def test_nobody_may_be_connected_to_what_is_replaced(url: str, tmp_path: Path) -> None:
    millrace, file = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url), tmp_path / "backup.dump"
    millrace.millrace("db", "upgrade")
    millrace.millrace("db", "backup", str(file))
    connection = await asyncpg.connect(url, server_settings={"application_name": "a report"})
    refused = millrace.millrace("db", "restore", str(file), check=False)
    assert (refused.returncode, "(a report); end that first" in refused.stderr) == (2, True), refused.stderr
    assert await databases(url) == {""}
    await connection.close()


async def test_the_check_finds_what_was_changed_by_hand(url: str, tmp_path: Path) -> None:
    millrace = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url)
    assert millrace.millrace("db", "current").stdout.startswith("none ")
    assert f"the schema is {HEAD}; it was none" in millrace.millrace("db", "upgrade").stdout
    assert millrace.millrace("db", "current").stdout.startswith(f"{HEAD} ")
    refused = millrace.millrace("db", "downgrade", check=False)
    assert (refused.returncode, "no step leads back" in refused.stderr) == (2, True)
    assert millrace.millrace("doctor", "--offline").stdout.endswith("no problems\n")
    await ask(url, "drop index ix_runs_status_id")
    found = millrace.millrace("db", "check", check=False)
    assert (found.returncode, "schema_differs: the index ix_runs_status_id" in found.stdout) == (1, True)


@pytest.fixture(scope="module")
def guarded() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


def spying(folder: Path) -> Path:
    """Stands before PostgreSQL's programs in the PATH, and writes down what they are called with."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = f'#!/bin/sh\necho "$0 $*" >> {folder}/log\nexec {shlex.quote(str(programs() / name))} "$@"\n'
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


async def test_a_password_is_on_no_command_line(guarded: OwnServer, tmp_path: Path) -> None:
    spies = spying(tmp_path / "spies")
    url, path = guarded.address("kept"), f"{spies}{os.pathsep}{os.environ['PATH']}"
    await ask(guarded.url, "create database kept")
    millrace = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url, PATH=path)
    file = tmp_path / "backup.dump"
    for command in ("upgrade", "backup", "restore"):
        millrace.millrace("db", command, *([str(file)] if command != "upgrade" else []))
    called = (spies / "log").read_text()
    assert re.search("pg_dump .*--snapshot", called)
    assert re.search("pg_restore .*--dbname", called)
    assert not any(word in called for word in (PASSWORD, *PASSWORD.split()))


async def test_who_may_not_make_databases_is_told(guarded: OwnServer, tmp_path: Path) -> None:
    await ask(guarded.url, "create role bound login password 'bound'")
    await ask(guarded.url, "create database bound owner bound")
    url, file = guarded.address("bound", "bound", "bound"), tmp_path / "backup.dump"
    millrace = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL=url)
    millrace.millrace("db", "upgrade")
    millrace.millrace("db", "backup", str(file))
    refused = millrace.millrace("db", "restore", str(file), check=False)
    assert (refused.returncode, "alter role … createdb" in refused.stderr) == (1, True), refused.stderr
    await ask(guarded.url, "alter role bound createdb")
    assert "is kept as bound_before_restore_" in millrace.millrace("db", "restore", str(file)).stdout
    assert await ask(url, "select tableowner from pg_tables where tablename = 'runs'") == "bound"


def test_a_missing_database_is_told_in_one_line(tmp_path: Path) -> None:
    millrace = MillraceProcess(tmp_path / "home", MILLRACE_DATABASE_URL="postgresql://root@127.0.0.1:1/nowhere")
    for command in (["current"], ["check"], ["upgrade"], ["backup", str(tmp_path / "x")]):
        refused = millrace.millrace("db", *command, check=False)
        assert refused.returncode == 1
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
        assert "Connection refused; see that PostgreSQL runs there" in refused.stderr
