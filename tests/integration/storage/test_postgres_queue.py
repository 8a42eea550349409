"""What the engine asks PostgreSQL all the time costs the same however much has finished, waits, or stands in the way.

Counted are the rows and index entries that a statement reads, in functions, too: the server keeps count of both.
"""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from millrace.storage.postgres import queries
from millrace.storage.postgres.connecting import WRITER_SETTINGS
from tests.support.postgres import fresh_database

pytestmark = pytest.mark.service("postgres")

AT_ONCE = 5
MOST = 200
"""Entries that a statement may read, of some 15,000 that there are."""

PLANT = """
insert into incarnations (id, host, pid, queues, slots, started_at, heartbeat_at, lease_until)
  values ('worker', 'here', 1, '[]', 5, now_us(), now_us(), now_us() + 3600000000);
insert into runs (id, workflow_id, version_id, status, phase, outcome, revision, last_seq, trigger_type, root_run_id,
                  created_at, started_at, finished_at)
  select 'run ' || n, 'w', 'v', case when n > 5000 then 'completed' else 'running' end, 'main',
    case when n > 5000 then 'completed' end, 1, 0, 'manual', 'run ' || n, 1, 1, case when n > 5000 then 2 end
  from generate_series(1, 10000) n;
insert into attempts (run_id, path, number, token, status, queue, priority, limit_key, limit_size, type_key,
                      available_at, finished_at)
  select 'run ' || n, 'a', 1, 'token ' || n, case when n > 5000 then 'completed' else 'scheduled' end,
    case when n % 5 = 1 then 'another' else 'default' end, case when n % 5 = 2 then 7 else 0 end,
    case when n % 5 = 3 then 'scarce' end, case when n % 5 = 3 then 1 end, case when n % 5 = 4 then 'http' end,
    case when n % 5 = 2 then now_us() + 3600000000 else n end, case when n > 5000 then 2 end
  from generate_series(1, 10000) n;
update attempts set status = 'running', incarnation_id = 'worker' where token in ('token 3', 'token 4');
insert into timers (run_id, kind, fire_at)
  select 'run ' || n, 'start', now_us() + 3600000000 from generate_series(1, 5000) n;
"""
"""Of those that wait, a fifth each is of another queue, due later, behind a full limit of its own or of its type, and
due."""

COUNTED = """
select (select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables)
  + (select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes)"""


@pytest.fixture
async def server() -> AsyncIterator[asyncpg.Connection]:
    async with fresh_database(clock=False) as url:
        connection = await asyncpg.connect(url, server_settings=WRITER_SETTINGS)
        await connection.execute(PLANT)
        await connection.execute("vacuum analyze")
        yield connection
        await connection.close()


async def read_by(server: asyncpg.Connection, query: str, *arguments: object) -> int:
    """Entries and rows that the statement reads, when it is not asked for the first time."""
    await server.fetch(query, *arguments)
    before = await _count(server)
    await server.fetch(query, *arguments)
    return await _count(server) - before


async def _count(server: asyncpg.Connection) -> int:
    await server.execute("select pg_stat_force_next_flush()")
    return int(await server.fetchval(COUNTED))


@pytest.mark.parametrize("queues", [["default"], ["*"]])
async def test_a_claim_reads_what_it_takes_and_not_what_stands_in_the_way(
    server: asyncpg.Connection, queues: list[str]
) -> None:
    read = await read_by(server, queries.CLAIM, "worker", queues, AT_ONCE, '{"http": 1}')

    assert await server.fetchval("select count(*) from attempts where incarnation_id = 'worker'") == 2 + 2 * AT_ONCE
    assert read <= MOST


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        (queries.NEXT_WAKE, ()),
        (queries.DUE_TIMERS, (100,)),
        (queries.INBOX, (100,)),
        (queries.EXPIRE, (100,)),
        (queries.LOST_ATTEMPTS, (100,)),
        (queries.OVERDUE_ATTEMPTS, (0, 100)),
        (queries.HELD, ("worker",)),
        (queries.WAITING_KEYS, ()),
    ],
    ids=["wake", "timers", "inbox", "expire", "lost", "overdue", "held", "admission"],
)
async def test_a_poll_that_finds_nothing_reads_next_to_nothing(
    server: asyncpg.Connection, query: str, arguments: tuple[object, ...]
) -> None:
    assert await read_by(server, query, *arguments) <= MOST
