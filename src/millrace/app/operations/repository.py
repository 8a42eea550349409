"""The rows of operations. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from millrace.core.values import Instant
from millrace.storage.tables import operations


@dataclass(frozen=True, slots=True)
class OperationRow:
    id: str
    kind: str
    request: str
    status: str
    position: str | None
    total: int
    done: int
    failed: int
    error: str | None
    created_by: str | None
    created_at: Instant
    finished_at: Instant | None


_COLUMNS = [operations.c[name] for name in OperationRow.__slots__]


def add(connection: Connection, row: OperationRow) -> None:
    connection.execute(insert(operations).values(**{name: getattr(row, name) for name in OperationRow.__slots__}))


def find(connection: Connection, operation_id: str) -> OperationRow | None:
    row = connection.execute(select(*_COLUMNS).where(operations.c.id == operation_id)).first()
    return None if row is None else OperationRow(*row)


def unfinished(connection: Connection) -> Sequence[OperationRow]:
    query = select(*_COLUMNS).where(operations.c.status == "running").order_by(operations.c.id)
    return [OperationRow(*row) for row in connection.execute(query)]


def save(connection: Connection, row: OperationRow) -> None:
    changed = ("status", "position", "total", "done", "failed", "error", "finished_at")
    values = {name: getattr(row, name) for name in changed}
    connection.execute(update(operations).where(operations.c.id == row.id).values(**values))
