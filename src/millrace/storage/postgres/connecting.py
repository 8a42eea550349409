"""Connections to PostgreSQL, and what its errors mean to those who use them."""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import asyncpg
from sqlalchemy import exc
from sqlalchemy.exc import DBAPIError

from millrace.ports.store import StoreUnavailable

T = TypeVar("T")

SETTINGS = {
    "application_name": "millrace",
    "jit": "off",
    # A process that stands still, or a host that is gone, must not hold for hours what others wait for.
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "20s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
WRITER_SETTINGS = SETTINGS | {
    # Every statement of the engine knows the keys of its rows. A plan that was made while a table was small must not
    # read all of it once it is large.
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
}
CRUD_SETTINGS = SETTINGS | {
    # A plan for any page of any list may read a whole table: each statement is planned for the values it is given.
    "plan_cache_mode": "force_custom_plan",
    # What is asked for lies together, and on no disk that turns: walking along an index is better than reading all.
    "random_page_cost": "1.1",
}
READ_ONLY = {"default_transaction_read_only": "on"}
TRANSIENT = {"40001": 25, "40P01": 25}
"""Serialization failure, deadlock: the database rolled one of two transactions back, which may come again; and how
often in all."""
TAKEN = {"23505": 4}
"""Unique violation. Whoever looked first and found nothing may have been overtaken: the next look finds it."""
LOST = {"08003": 2, "08006": 2, "57P01": 2}
"""Connection gone, or ended by the server: who only reads may ask once more, on another one."""
FIRST_REST, LONGEST_REST = 0.002, 0.1
"""Seconds at most before the second try, and before any."""
BAD_DATA_CLASSES = ("22", "23", "54")
FENCED = "MR002"
WORKER_LOST = "MR001"
UNAVAILABLE_CLASSES = ("08", "53", "57", "58", "25", "28", "XX")
"""Connection lost, out of disk or memory, shut down, I/O error, read-only, nobody let in, an error of its own."""
CLOSED = frozenset({"3D000", "42501", "55000"})
"""The database is not there, or not for this user, or takes no connections now."""
UNAVAILABLE = frozenset({"55P03", "0A000"})
"""A lock that was not to be had in time; a plan that a migration has made old."""


def state_of(error: BaseException) -> str:
    """The SQLSTATE that the server gave, or nothing when it was not the server that failed."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(original, "sqlstate", None) or "")


def is_bad_data(error: BaseException) -> bool:
    """Whether the data of a statement were at fault, so that saying it again cannot help."""
    state = state_of(error)
    return (
        state[:2] in BAD_DATA_CLASSES
        or state == FENCED
        or isinstance(error, asyncpg.DataError | TypeError | ValueError)
    )


def is_unavailable(error: BaseException) -> bool:
    if is_bad_data(error):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    original = error.orig if isinstance(error, DBAPIError) else error
    lost = (
        OSError,
        asyncio.TimeoutError,
        ssl.SSLError,
        asyncpg.InterfaceError,
        asyncpg.PostgresConnectionError,
        # Said of a connection that was cut before the driver had noticed.
        asyncpg.InternalClientError,
        # All connections of the pool were busy all the while.
        exc.TimeoutError,
    )
    state = state_of(error)
    known = state in TRANSIENT or state in UNAVAILABLE or state in CLOSED or state[:2] in UNAVAILABLE_CLASSES
    return known or isinstance(original, lost)


def translated(error: Exception) -> Exception:
    """The ways in which a database cannot work now as `StoreUnavailable`; every other error as it is."""
    return _unavailable(error) if is_unavailable(error) else error


def _unavailable(error: Exception) -> StoreUnavailable:
    # What the driver said; around it there would be the whole statement and its values.
    said = error.orig if isinstance(error, DBAPIError) else error
    unavailable = StoreUnavailable(str(said) or type(said).__name__)
    unavailable.__cause__ = error
    return unavailable


async def persistently(work: Callable[[], Awaitable[T]], again: Mapping[str, int] = TRANSIENT) -> T:
    """Do `work`, again after those errors, each so often in all. What is left of the errors comes translated.

    The rests in between are random, so that those who got in each other's way do not meet again.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return await work()
        except Exception as error:
            if tries >= again.get(state_of(error), 1):
                raise translated(error) from error
        await asyncio.sleep(random.uniform(0, min(FIRST_REST * 2 ** (tries - 1), LONGEST_REST)))  # noqa: S311


async def patiently(work: Callable[[], Awaitable[T]], again: Mapping[str, int] = TRANSIENT) -> T:
    """As `persistently`, for the engine: whatever the database has against anything but the data it may not have later.

    A run that was done must not fail because somebody changed a password, a right, or a function.
    """
    try:
        return await persistently(work, again)
    except (asyncpg.PostgresError, DBAPIError) as error:
        if is_bad_data(error) or state_of(error) == WORKER_LOST:
            raise
        raise _unavailable(error) from error
