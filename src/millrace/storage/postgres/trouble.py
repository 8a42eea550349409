"""Why a PostgreSQL database cannot be used at the start, in one line for people: what is wrong, and what helps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from millrace.ports.store import StoreUnavailable
from millrace.storage.database import DatabaseUnusable
from millrace.storage.postgres.connecting import state_of

REMEDIES = {
    "3D000": "make it, for example by `createdb {database}`, or name another in MILLRACE_DATABASE_URL",
    "28P01": "set the right user and password in MILLRACE_DATABASE_URL",
    "28000": "set the right user in MILLRACE_DATABASE_URL, or let it in by the server's pg_hba.conf",
    "42501": "give the user {user} the right: `grant all on schema public to {user}`, or make it the database's owner",
    "57P03": "start again when the server takes connections",
    "57P01": "start again when the server takes connections",
    "53300": "raise max_connections of the server, or stop what holds its connections",
}
AWAY = "see that PostgreSQL runs there and lets this machine in, or name another server in MILLRACE_DATABASE_URL"
OTHERWISE = "see the server's log, or name another database in MILLRACE_DATABASE_URL"


@contextmanager
def usable(url: str) -> Iterator[None]:
    """Raises `DatabaseUnusable` for whatever the server or the network has against what is done."""
    try:
        yield
    except (StoreUnavailable, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DatabaseUnusable(_line(make_url(url), error)) from error


def _line(url: URL, error: BaseException) -> str:
    cause = _cause(error)
    state = state_of(cause)
    reason = _words(cause)
    remedy = REMEDIES.get(state) or (AWAY if isinstance(cause, OSError | TimeoutError) else OTHERWISE)
    remedy = remedy.format(database=url.database, user=url.username or "of the URL")
    return f"the database {url.database} on {_server(url)} cannot be used: {reason}; {remedy}"


def _cause(error: BaseException) -> BaseException:
    """What the server or the network said, below what was made of it."""
    while (below := error.orig if isinstance(error, DBAPIError) else error.__cause__) is not None:
        if isinstance(error, asyncpg.PostgresError | OSError):
            break
        error = below
    return error


def _words(cause: BaseException) -> str:
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    words = str(getattr(cause, "strerror", None) or cause).splitlines() or [""]
    return words[0].rstrip(".") or "it does not answer"


def _server(url: URL) -> str:
    host = url.host or "this machine"
    return f"{host}:{url.port}" if url.port else host
