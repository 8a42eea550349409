"""A PostgreSQL database of its own for the time of a benchmark. BENCH_POSTGRES_URL names a server that allows that."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

SERVER_URL = os.environ.get("BENCH_POSTGRES_URL", "postgresql://127.0.0.1:5432/postgres")
PREFIX = "millrace_bench_"


@contextmanager
def database(name: str) -> Iterator[str]:
    """The address of an empty database, which is dropped afterwards."""
    full_name = sql.Identifier(PREFIX + name)
    drop = sql.SQL("drop database if exists {} with (force)").format(full_name)
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(drop)
        server.execute(sql.SQL("create database {}").format(full_name))
        try:
            yield SERVER_URL.rpartition("/")[0] + f"/{PREFIX}{name}"
        finally:
            server.execute(drop)


def durability() -> str:
    with psycopg.connect(SERVER_URL) as server:
        settings = server.execute(
            "select string_agg(name || '=' || setting, ', ' order by name) from pg_settings"
            " where name in ('fsync', 'synchronous_commit', 'full_page_writes')"
        ).fetchone()
    if settings is None:
        raise RuntimeError("an aggregate answers one row")
    return f"PostgreSQL, {settings[0]}"
