"""`millrace up` on PostgreSQL: processes that start at once, and databases that cannot be used, told in one line."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy import make_url

from millrace.storage.postgres.schema import connected, current
from millrace.storage.schema import HEAD
from tests.support.own_server import OwnServer, own_server
from tests.support.postgres import bare_database
from tests.support.server import MillraceProcess, free_port, until
from tests.support.warm import nursery

pytestmark = pytest.mark.service("postgres")


@pytest.fixture
async def bare() -> AsyncIterator[str]:
    async with bare_database() as url:
        yield url


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


def refused(home: Path, url: str) -> str:
    """The one line with which `millrace up` ends."""
    server = MillraceProcess(home, MILLRACE_DATABASE_URL=url)
    done = nursery().run(["up"], server.environment, timeout=60)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "%20horse" not in line
    assert "correct horse" not in line
    return line


def status_with(server: MillraceProcess, api_key: str) -> int:
    headers = {"X-API-Key": api_key}
    return httpx2.get(f"{server.url}/api/v1/workflows", headers=headers, timeout=30, trust_env=False).status_code


async def tell(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_five_processes_that_start_at_once_migrate_once(postgres: OwnServer, tmp_path: Path) -> None:
    # Not on the server that all tests share, of which they would take half the connections.
    await tell(postgres.url, "create database five")
    url = postgres.address("five")
    homes = [tmp_path / name for name in ("shared", "a", "b", "c", "shared")]
    settings = {"MILLRACE_DATABASE_URL": url, "MILLRACE_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode()}
    servers = [MillraceProcess(home, **settings) for home in homes]
    try:
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        assert await fetch(url, "select string_agg(version_num, ' ') from alembic_version") == HEAD
        assert await fetch(url, "select count(*) from incarnations where lost_at is null") == 5
        assert await fetch(url, "select count(*) from installation") == 1
        assert await fetch(url, "select count(*) from users") == 1
        (key_file,) = {home / "api-key" for home in homes if (home / "api-key").exists()}
        for server in servers:
            assert status_with(server, key_file.read_text()) == 200
    finally:
        for server in servers:
            server.kill()


async def test_whoever_looked_before_another_migrated_sees_what_it_made(bare: str) -> None:
    """In one transaction, as he waits for the other's lock between his two looks."""
    async with connected(make_url(bare)) as connection:
        assert await connection.run_sync(current) is None
        made = "create table alembic_version (version_num text)"
        await tell(bare, made, "insert into alembic_version values ('0003')")
        assert await connection.run_sync(current) == "0003"


async def test_a_schema_of_a_newer_release_is_refused_untouched(bare: str, tmp_path: Path) -> None:
    await tell(bare, "create table alembic_version (version_num text)", "insert into alembic_version values ('9999')")
    assert re.search(f"9999.*only up to {HEAD}.*(backup|release)", refused(tmp_path / "home", bare))
    assert await fetch(bare, "select version_num from alembic_version") == "9999"


async def test_a_database_that_others_use_is_left_alone(bare: str, tmp_path: Path) -> None:
    await tell(bare, "create table letters (text text)")
    assert "not Millrace's: it has a table letters" in refused(tmp_path / "home", bare)
    assert await fetch(bare, "select count(*) from pg_tables where schemaname = 'public'") == 1


async def test_a_database_that_takes_no_writes_is_refused(bare: str, tmp_path: Path) -> None:
    name = bare.rpartition("/")[2]
    await tell(bare, f"alter database {name} set default_transaction_read_only = on")
    assert "can only be read" in refused(tmp_path / "home", bare)


async def test_who_may_not_make_tables_is_told_which_right_is_missing(postgres: OwnServer, tmp_path: Path) -> None:
    await tell(postgres.url, "create role guest login password 'guest'", "create database guests")
    line = refused(tmp_path / "home", postgres.address("guests", "guest", "guest"))
    assert re.search("guests on 127.0.0.1:.*permission denied.*grant all on schema public to guest", line)


async def test_a_server_that_takes_too_few_connections_is_told(postgres: OwnServer, tmp_path: Path) -> None:
    """As one that goes away while Millrace starts: the first connections are made, the others are not."""
    await tell(
        postgres.url,
        "create role few login password 'few' connection limit 1",
        "create database few owner few",
    )
    line = refused(tmp_path / "home", postgres.address("few", "few", "few"))
    assert re.search('cannot be used.*too many connections for role "few"', line)


@pytest.mark.parametrize(
    ("database", "user", "password", "line"),
    [
        ("nowhere", "ada", "correct horse", 'database "nowhere" does not exist; .*createdb nowhere'),
        ("postgres", "ada", "wrong", 'password authentication failed for user "ada"; .*password'),
        ("postgres", "nobody", "correct horse", 'password authentication failed for user "nobody"; .*user'),
    ],
)
def test_what_the_server_refuses_is_told(
    postgres: OwnServer, tmp_path: Path, database: str, user: str, password: str, line: str
) -> None:
    assert re.search(line, refused(tmp_path / "home", postgres.address(database, user, password)))


@pytest.mark.parametrize(
    ("host", "line"),
    [
        (f"127.0.0.1:{free_port()}", "Connection refused; see that PostgreSQL runs there"),
        ("nowhere.invalid", "nowhere.invalid cannot be used: .*known|resolution"),
    ],
    ids=["nobody listens", "no such host"],
)
def test_a_server_that_cannot_be_reached_is_told(tmp_path: Path, host: str, line: str) -> None:
    assert re.search(line, refused(tmp_path / "home", f"postgresql://ada:secret@{host}/millrace"))


async def test_a_server_that_shuts_down_is_told(tmp_path: Path) -> None:
    with own_server() as server:
        connection = await asyncpg.connect(server.url)
        server.stop("smart", wait=False)
        line = await asyncio.to_thread(refused, tmp_path / "home", server.url)
        assert "the database system is shutting down; start again when the server takes connections" in line
        await connection.close()
        await asyncio.to_thread(until, lambda: not server.is_up)
