"""What the starter of sub-workflows reads and writes: which are wanted, whose, what became of them. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, delete, func, insert, select, text, update

from millrace.auth.permissions import Access
from millrace.core.values import JsonObject
from millrace.ports.store import InboxItem
from millrace.storage.tables import inbox, runs, users, waits, workflow_versions


@dataclass(frozen=True, slots=True)
class WantedChild:
    """A run that is to be started for a task that waits."""

    parent_id: str
    path: str
    run_id: str
    request: JsonObject


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A run in the line of those that a run was started for."""

    id: str
    parent_id: str | None
    awaited: bool
    root_id: str
    depth: int
    triggered_by: str | None
    correlation_id: str | None
    priority: int
    admission_key: str | None
    admitted: bool


# In the words of its index: SQLite would be asked for `wanted = 1`, for which it takes none and reads all that waits.
_WANTED = select(waits.c.run_id, waits.c.path, waits.c.child_run_id, waits.c.request).where(text("wanted"))
_ANCESTOR = select(
    runs.c.id, runs.c.parent_run_id, runs.c.parent_path.is_not(None), runs.c.root_run_id, runs.c.causation_depth,
    runs.c.triggered_by, runs.c.correlation_id, runs.c.priority, runs.c.admission_key,
    runs.c.admitted_at.is_not(None) & runs.c.finished_at.is_(None),
)  # fmt: skip


def wanted(connection: Connection, limit: int) -> Sequence[WantedChild]:
    """Those whose run has not been started, and not been refused."""
    rows = connection.execute(_WANTED.order_by(waits.c.run_id, waits.c.path).limit(limit))
    return [WantedChild(run_id, path, child, orjson.loads(request)) for run_id, path, child, request in rows]


def is_there(connection: Connection, run_id: str) -> bool:
    return connection.execute(select(runs.c.id).where(runs.c.id == run_id)).first() is not None


def line_above(connection: Connection, run_id: str, most: int) -> Sequence[Ancestor]:
    """The run, and those that it and they were started for, the nearest first. At most `most`."""
    found: list[Ancestor] = []
    wanted_id: str | None = run_id
    while wanted_id is not None and len(found) < most:
        row = connection.execute(_ANCESTOR.where(runs.c.id == wanted_id)).first()
        if row is None:
            break
        found.append(Ancestor(*row))
        wanted_id = found[-1].parent_id
    return found


def restricted_author(connection: Connection, run_id: str) -> tuple[str, str] | None:
    """The id of who wrote the version of this run, and that of its workflow; `None` if he is not restricted to what he
    was granted."""
    author = users.c.id == workflow_versions.c.author
    query = select(users.c.id, runs.c.workflow_id).where(runs.c.id == run_id, users.c.access == Access.GRANTED.value)
    row = connection.execute(query.where(workflow_versions.c.id == runs.c.version_id, author)).first()
    return None if row is None else (row[0], row[1])


def note_outcome(connection: Connection, child: WantedChild, item: InboxItem, *, started: bool) -> bool:
    """Tell the parent what became of the start, once; whether nobody else has. A run that never was is told nothing."""
    still = (waits.c.run_id == child.parent_id, waits.c.path == child.path, waits.c.child_run_id == child.run_id)
    changed = connection.execute(update(waits).where(*still, waits.c.wanted).values(wanted=False)).rowcount
    if not started:
        connection.execute(delete(inbox).where(inbox.c.run_id == child.run_id))
    if changed:
        row = {"id": item.id, "run_id": item.run_id, "kind": item.kind, "data": orjson.dumps(item.data).decode()}
        connection.execute(insert(inbox).values(**row, created_at=func.now_us()))
    return bool(changed)
