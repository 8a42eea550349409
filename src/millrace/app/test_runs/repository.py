"""The SQL of test runs: what each does in place of its version, and on what terms."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, insert, select

from millrace.core.values import Instant
from millrace.storage.tables import runs, test_runs


@dataclass(frozen=True, slots=True)
class KeptTest:
    run_id: str
    definition: str
    terms: str
    created_at: Instant


def insert_test_run(connection: Connection, row: KeptTest) -> None:
    connection.execute(
        insert(test_runs).values(
            run_id=row.run_id, definition=row.definition, terms=row.terms, created_at=row.created_at
        )
    )


def find_test_run(connection: Connection, run_id: str) -> KeptTest | None:
    columns = test_runs.c
    query = select(columns.run_id, columns.definition, columns.terms, columns.created_at)
    row = connection.execute(query.where(columns.run_id == run_id)).first()
    return None if row is None else KeptTest(*row)


def terms_of(connection: Connection, run_id: str) -> str | None:
    """The terms alone; `None` for a run that is no test."""
    return connection.execute(select(test_runs.c.terms).where(test_runs.c.run_id == run_id)).scalar()


def delete_test_run(connection: Connection, run_id: str) -> None:
    connection.execute(delete(test_runs).where(test_runs.c.run_id == run_id))


def delete_orphans(connection: Connection, before: Instant, limit: int) -> int:
    """Delete what was written before a start that came to nothing; answers how many."""
    has_run = exists().where(runs.c.id == test_runs.c.run_id)
    orphans = select(test_runs.c.run_id).where(test_runs.c.created_at < before, ~has_run).limit(limit)
    ids = connection.execute(orphans).scalars().all()
    if ids:
        connection.execute(delete(test_runs).where(test_runs.c.run_id.in_(ids)))
    return len(ids)
