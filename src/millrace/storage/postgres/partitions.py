"""The partitions of histories and logs, one a month: made ahead, and dropped when nothing is left in an old one.

What is done, and why it hinders nobody, is told in `migrations/postgres/first/partitions.sql`. Any process may do it.
"""

import logging

import asyncpg
import orjson

from millrace.ports.store import StoreUnavailable
from millrace.storage.postgres.connecting import persistently
from millrace.storage.postgres.kept import KeptConnections

logger = logging.getLogger(__name__)

MONTHS_AHEAD = 2
KEEP = f"select keep_partitions({MONTHS_AHEAD})"


async def keep_partitions(pool: KeptConnections) -> bool:
    """See to the partitions; `False` if that has to be tried again, since others were reading for long."""
    try:
        told = await persistently(lambda: pool.fetchval(KEEP))
    except StoreUnavailable as error:
        if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            return False
        raise
    for what, names in orjson.loads(told or "{}").items():
        if names:
            logger.info("partitions %s: %s", what, ", ".join(names))
    return True
