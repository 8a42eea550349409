"""Reading the rows of incarnations. Workers write them, through the store."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import RowMapping

from millrace.storage.tables import attempts, incarnations, installation


def installation_id(connection: Connection) -> str:
    found: str = connection.execute(select(installation.c.id)).scalar_one()
    return found


def list_incarnations(connection: Connection, *, live_only: bool, limit: int) -> Sequence[RowMapping]:
    """The newest first, each with the number of attempts it runs."""
    running = (
        select(func.count())
        .where(attempts.c.incarnation_id == incarnations.c.id, attempts.c.status == "running")
        .scalar_subquery()
    )
    query = select(incarnations, running.label("running")).order_by(incarnations.c.id.desc()).limit(limit)
    if live_only:
        query = query.where(incarnations.c.lost_at.is_(None), incarnations.c.retired_at.is_(None))
    return connection.execute(query).mappings().all()
