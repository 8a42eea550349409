"""The rows in which several processes count together. SQL only; PostgreSQL, since elsewhere one process is alone."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, delete, select, text

from millrace.storage.tables import rate_counts

FILL: Final = text(
    """
    insert into rate_counts as known (subject, empty_at)
    select subject, now_us() + filled from unnest(cast(:subjects as text[]), cast(:filled as bigint[]))
      as told(subject, filled) order by subject
    on conflict (subject) do update
      set empty_at = greatest(known.empty_at, now_us()) + (excluded.empty_at - now_us())
    returning subject, empty_at - now_us() as filled
    """
)


def fill(connection: Connection, told: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """Fill buckets by so many microseconds each; answers how full all processes together have made them."""
    rows = connection.execute(FILL, {"subjects": list(told), "filled": list(told.values())})
    return [(row.subject, row.filled) for row in rows]


def delete_empty(connection: Connection, now: int, most: int) -> int:
    """Delete buckets that are empty: as much as they say, nothing says, too."""
    empty = select(rate_counts.c.subject).where(rate_counts.c.empty_at < now).limit(most)
    return connection.execute(delete(rate_counts).where(rate_counts.c.subject.in_(empty))).rowcount
