"""Reading the definitions that are deployed. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from millrace.storage.tables import workflow_versions, workflows


@dataclass(frozen=True, slots=True)
class DeployedRow:
    workflow_id: str
    name: str
    version: int
    definition: str


def deployed_with(connection: Connection, text: str) -> Sequence[DeployedRow]:
    """Deployed versions whose definition holds `text`, by the workflow's name."""
    query = (
        select(workflows.c.id, workflows.c.name, workflow_versions.c.number, workflow_versions.c.definition)
        .join(
            workflow_versions,
            and_(
                workflow_versions.c.workflow_id == workflows.c.id,
                workflow_versions.c.number == workflows.c.deployed_version,
            ),
        )
        .where(workflows.c.deleted_at.is_(None), workflow_versions.c.definition.contains(text, autoescape=True))
        .order_by(workflows.c.name)
    )
    return [DeployedRow(*row) for row in connection.execute(query)]
