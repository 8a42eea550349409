"""The rows of operations. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from millrace.core.values import Instant
from millrace.ports.store import StartKey
from millrace.storage.tables import operations, start_keys


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


def held_by(connection: Connection, key: StartKey, now: Instant) -> tuple[str, OperationRow] | None:
    """The request hash of a key whose time is not over, and the operation that it holds."""
    columns = start_keys.c
    query = (
        select(columns.request_hash, *_COLUMNS)
        .join(operations, operations.c.id == columns.run_id)
        .where(columns.namespace == key.namespace, columns.scope == key.scope, columns.key == key.key)
        .where(columns.expires_at > now)
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], OperationRow(*row[1:]))


def unfinished(connection: Connection) -> Sequence[OperationRow]:
    query = select(*_COLUMNS).where(operations.c.status == "running").order_by(operations.c.id)
    return [OperationRow(*row) for row in connection.execute(query)]


def save(connection: Connection, row: OperationRow, *, seen: str | None) -> bool:
    """Write how far an operation has come; `False` if it is not at the position `seen` any more, or is over."""
    changed = ("request", "status", "position", "total", "done", "failed", "error", "finished_at")
    values = {name: getattr(row, name) for name in changed}
    same = (operations.c.id == row.id, operations.c.status == "running", operations.c.position == seen)
    return connection.execute(update(operations).where(*same).values(**values)).rowcount == 1
