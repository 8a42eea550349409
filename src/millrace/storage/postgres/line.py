"""What holds up the line of changes on PostgreSQL: it is told no further than the oldest transaction under way.

That counts for all databases of the server alike, so that one which has nothing to do with Millrace holds it up, too.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from millrace.core.values import Duration

MOST_TOLD = 5

# Of a user who is neither this one nor may be looked at by it the server tells no time; it is passed over.
HOLDERS = """
select 'process ' || pid || ' (' || coalesce(nullif(application_name, ''), 'nameless') || ', user ' || usename
  || ', database ' || datname || ')' as who, extract(epoch from statement_timestamp() - xact_start) as seconds
from pg_stat_activity where backend_xid is not null and xact_start < statement_timestamp() - :longer * interval '1 us'
union all
select 'the prepared transaction ' || gid || ' (user ' || owner || ', database ' || database || ')',
  extract(epoch from statement_timestamp() - prepared)
from pg_prepared_xacts where prepared < statement_timestamp() - :longer * interval '1 us'
order by seconds desc limit :most
"""


def held_up(connection: Connection, *, longer_than: Duration) -> Sequence[str]:
    """Who has been writing in one transaction for so long, the oldest first."""
    rows = connection.execute(text(HOLDERS), {"longer": longer_than, "most": MOST_TOLD})
    return [
        f"streams of all runs wait for a transaction of {row.who} that began {float(row.seconds):.0f} s ago"
        for row in rows
    ]
