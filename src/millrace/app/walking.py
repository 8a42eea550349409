"""Walking along an index, from the newest row to the oldest, and never far at a time.

A list that is narrowed by something no index knows may have to pass over all rows to fill a page. So a page looks at a
bounded number of rows: where they end, the page ends too, short or even empty, and the next one goes on from there.
Only an index that decides everything by itself is walked without a bound, for each of its rows is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, union_all

TOGETHER = 20_000
"""Rows looked at for a page where they lie one behind the other, in the order of the walk."""
APART = 2_000
"""Rows looked at for a page where each is looked up by itself."""
GLANCE = 20
"""Most pages are full soon: such a part of those rows is tried first."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Rows in the order of an index, and what those that are wanted must meet beyond it."""

    along: tuple[ColumnElement[bool], ...] = ()
    """Decided by the index alone; from where to where the walk goes, too."""
    fits: tuple[ColumnElement[bool], ...] = ()
    """Decided row by row. A column that another index begins with is named by `hidden` here."""
    at_most: int = APART


@dataclass(frozen=True, slots=True)
class Found:
    ids: Sequence[str]
    next: str | None
    """The next page goes on below this id; `None` when there is nothing left to look at."""


def newest(connection: Connection, id_: ColumnElement[str], walks: Sequence[Walk], *, limit: int) -> Found:
    """The first `limit` ids on these walks, which share no row. All go as far as the first that has to stop."""
    for part in (GLANCE, 1):
        floor = _floor(connection, id_, walks, part * max(len(walks), 1))
        within = () if floor is None else (id_ >= floor,)
        ids = _first(connection, id_, [(*walk.along, *walk.fits, *within) for walk in walks], limit + 1)
        if len(ids) > limit:
            return Found(ids[:limit], ids[limit - 1])
        if floor is None:
            break
    return Found(ids, floor)


def hidden(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of text as an expression that no index is made of: which one is walked has been decided."""
    return column.concat("")


def _floor(connection: Connection, id_: ColumnElement[str], walks: Sequence[Walk], part: int) -> str | None:
    """Where the first walk ends that has looked at this part of its rows; `None` when none has so many."""
    last = select(id_).order_by(id_.desc()).limit(1)
    ends = [last.where(*walk.along).offset(walk.at_most // part) for walk in walks if walk.fits]
    if not ends:
        return None
    whole = ends[0] if len(ends) == 1 else union_all(*(select(*end.subquery().c) for end in ends))
    return max(connection.execute(whole).scalars(), default=None)


def _first(
    connection: Connection, id_: ColumnElement[str], rows: Sequence[Sequence[ColumnElement[bool]]], limit: int
) -> Sequence[str]:
    """The greatest ids of all these rows. The database merges the walks, and goes no farther on any than it must."""
    if not rows:
        return []
    walks = [select(id_).where(*of_walk) for of_walk in rows]
    if connection.dialect.name == "postgresql":
        # It would read and sort all of them, were each not told where to end. SQLite merges them as they are.
        ends = [walk.order_by(id_.desc()).limit(limit).subquery() for walk in walks]
        walks = [select(*end.c) for end in ends]
    whole = union_all(*walks).order_by(id_.desc()).limit(limit)
    return connection.execute(whole).scalars().all()
