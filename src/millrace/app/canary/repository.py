"""The rows of canaries, and the runs that show how each side did. SQL only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, and_, insert, select, update

from millrace.app.canary.choosing import LiveCanary
from millrace.app.retention.repository import SKEW, first_id_at
from millrace.core.values import Instant
from millrace.storage.tables import canaries, runs, workflow_versions


@dataclass(frozen=True, slots=True)
class CanaryRow:
    id: str
    workflow_id: str
    version: int
    stable: int
    share: int
    """In hundredths of a percent."""
    started_by: str | None
    started_at: Instant
    outcome: str | None = None
    """`promoted`, `stopped` or `replaced`; `None` while it is live."""
    ended_by: str | None = None
    ended_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class SeenRun:
    """What counts of a run when two versions are compared."""

    id: str
    version_id: str
    status: str
    trigger_type: str
    retry_of: str | None
    started_at: Instant | None
    finished_at: Instant | None


_CANARY = [canaries.c[name] for name in CanaryRow.__dataclass_fields__]
_RUN = [runs.c[name] for name in SeenRun.__dataclass_fields__]


def live(connection: Connection, workflow_id: str) -> CanaryRow | None:
    query = select(*_CANARY).where(canaries.c.workflow_id == workflow_id, canaries.c.ended_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else CanaryRow(*row)


def live_choice(connection: Connection, workflow_id: str) -> LiveCanary | None:
    """What a start has to know of the live canary."""
    query = (
        select(canaries.c.id, canaries.c.version, workflow_versions.c.id, canaries.c.share)
        .join(
            workflow_versions,
            and_(
                workflow_versions.c.workflow_id == canaries.c.workflow_id,
                workflow_versions.c.number == canaries.c.version,
            ),
        )
        .where(canaries.c.workflow_id == workflow_id, canaries.c.ended_at.is_(None))
    )
    row = connection.execute(query).first()
    return None if row is None else LiveCanary(*row)


def find(connection: Connection, workflow_id: str, canary_id: str) -> CanaryRow | None:
    query = select(*_CANARY).where(canaries.c.id == canary_id, canaries.c.workflow_id == workflow_id)
    row = connection.execute(query).first()
    return None if row is None else CanaryRow(*row)


def list_canaries(connection: Connection, workflow_id: str, *, before: str | None, limit: int) -> Sequence[CanaryRow]:
    """The canaries of a workflow, newest first: ids are in order of creation."""
    query = select(*_CANARY).where(canaries.c.workflow_id == workflow_id)
    if before is not None:
        query = query.where(canaries.c.id < before)
    return [CanaryRow(*row) for row in connection.execute(query.order_by(canaries.c.id.desc()).limit(limit))]


def add(connection: Connection, row: CanaryRow) -> None:
    connection.execute(insert(canaries).values(asdict(row)))


def set_share(connection: Connection, canary_id: str, share: int) -> None:
    connection.execute(update(canaries).where(canaries.c.id == canary_id).values(share=share))


def end(connection: Connection, canary_id: str, outcome: str, *, by: str, now: Instant) -> None:
    ended = {"outcome": outcome, "ended_by": by, "ended_at": now}
    connection.execute(update(canaries).where(canaries.c.id == canary_id).values(ended))


def version_ids(connection: Connection, row: CanaryRow) -> tuple[str | None, str | None]:
    """The ids of the stable version and of the canary."""
    query = select(workflow_versions.c.number, workflow_versions.c.id).where(
        workflow_versions.c.workflow_id == row.workflow_id, workflow_versions.c.number.in_((row.stable, row.version))
    )
    found = {number: version_id for number, version_id in connection.execute(query)}
    return found.get(row.stable), found.get(row.version)


def runs_during(connection: Connection, row: CanaryRow, limit: int) -> Sequence[SeenRun]:
    """The runs of the workflow that were made while the canary was live, of whatever version and origin, newest first.

    They lie together in the index, and `created_at` sets the exact bounds: an id may be ahead of its run by `SKEW`.
    """
    query = select(*_RUN).where(
        runs.c.workflow_id == row.workflow_id,
        runs.c.id >= first_id_at(row.started_at),
        runs.c.created_at >= row.started_at,
    )
    if row.ended_at is not None:
        query = query.where(runs.c.id < first_id_at(row.ended_at + SKEW), runs.c.created_at < row.ended_at)
    return [SeenRun(*found) for found in connection.execute(query.order_by(runs.c.id.desc()).limit(limit))]


def error_of(connection: Connection, run_id: str) -> str | None:
    """Why a run failed, as JSON text."""
    error: str | None = connection.execute(select(runs.c.error).where(runs.c.id == run_id)).scalar()
    return error
