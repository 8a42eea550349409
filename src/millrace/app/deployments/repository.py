"""The records of what was deployed. They are added and never changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import RowMapping

from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.values import Instant
from millrace.storage.tables import deployments, workflows


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    id: str
    workflow_id: str
    version: int | None
    action: str
    outcome: str
    message: str | None
    deployed_by: str | None
    at: Instant


@dataclass(frozen=True, slots=True)
class DeploymentFilter:
    """What a list of deployments may be narrowed to; `None` does not narrow."""

    workflow_id: str | None = None
    actions: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    sight: Sight | None = None


def add(connection: Connection, row: DeploymentRow) -> None:
    connection.execute(insert(deployments).values(asdict(row)))


def list_deployments(
    connection: Connection, narrow: DeploymentFilter, *, before: str | None, limit: int
) -> Sequence[RowMapping]:
    """Deployments with the name of their workflow, newest first: ids are in order of creation."""
    query = (
        select(deployments, workflows.c.name.label("workflow_name"))
        .join(workflows, workflows.c.id == deployments.c.workflow_id)
        .order_by(deployments.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(deployments.c.id < before)
    if narrow.workflow_id is not None:
        query = query.where(deployments.c.workflow_id == narrow.workflow_id)
    if narrow.sight is not None:
        query = query.where(seen(deployments.c.workflow_id, narrow.sight))
    if narrow.actions:
        query = query.where(deployments.c.action.in_(narrow.actions))
    if narrow.outcomes:
        query = query.where(deployments.c.outcome.in_(narrow.outcomes))
    return connection.execute(query).mappings().all()
