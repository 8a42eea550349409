"""An empty database on the PostgreSQL server that is measured.

BENCH_POSTGRES_URL names a server on which databases may be made; its `fsync` and `synchronous_commit` stay as they are.
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy import make_url

SERVER_URL = os.environ.get("BENCH_POSTGRES_URL", "postgresql://127.0.0.1:5432/postgres")
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class NotMeasured(Exception):
    """There is no server to measure on, or it does not keep what it confirms; the message says which."""


@contextmanager
def postgres_database() -> Iterator[str]:
    """The address of an empty database, which is dropped afterwards. Raises `NotMeasured`."""
    name = f"millrace_bench_{uuid.uuid4().hex}"
    asyncio.run(_make(name))
    try:
        yield make_url(SERVER_URL).set(database=name).render_as_string(hide_password=False)
    finally:
        asyncio.run(_drop(name))


async def _make(name: str) -> None:
    try:
        server = await asyncpg.connect(SERVER_URL)
    except (TimeoutError, OSError, asyncpg.PostgresError) as error:
        raise NotMeasured(f"PostgreSQL does not answer: {error}") from None
    try:
        await _require_durable(server)
        await server.execute(f"create database {name}")
    finally:
        await server.close()


async def _drop(name: str) -> None:
    server = await asyncpg.connect(SERVER_URL)
    try:
        await server.execute(f"drop database if exists {name} with (force)")
    finally:
        await server.close()


async def _require_durable(server: asyncpg.Connection) -> None:
    rows = await server.fetch("select name, setting from pg_settings where name = any($1)", list(DURABLE))
    lax = [f"{row['name']}={row['setting']}" for row in rows if row["setting"] != DURABLE[row["name"]]]
    if lax:
        raise NotMeasured(f"a commit there does not survive a power cut: {', '.join(sorted(lax))}")
