"""Reading the definitions that are deployed, and the triggers that stand beside them. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Select, and_, select

from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.storage.tables import triggers, workflow_versions, workflows


@dataclass(frozen=True, slots=True)
class DeployedRow:
    workflow_id: str
    name: str
    version: int
    said: str
    """JSON: the definition, or the config of a trigger."""


_DEPLOYED = and_(
    workflow_versions.c.workflow_id == workflows.c.id, workflow_versions.c.number == workflows.c.deployed_version
)


def deployed_with(connection: Connection, text: str, sight: Sight | None) -> Sequence[DeployedRow]:
    """Deployed versions whose definition holds `text`, by the workflow's name."""
    return _rows(connection, _holding(workflow_versions.c.definition, text, sight))


def triggers_with(connection: Connection, text: str, sight: Sight | None) -> Sequence[DeployedRow]:
    """Triggers that no definition has and whose config holds `text`, of workflows that are deployed, by their name."""
    of_workflow = and_(triggers.c.workflow_id == workflows.c.id, triggers.c.origin == "api")
    return _rows(connection, _holding(triggers.c.config, text, sight).join(triggers, of_workflow))


def _holding(said: Column[str], text: str, sight: Sight | None) -> Select[Any]:
    return (
        select(workflows.c.id, workflows.c.name, workflow_versions.c.number, said)
        .select_from(workflows)
        .join(workflow_versions, _DEPLOYED)
        .where(workflows.c.deleted_at.is_(None), said.contains(text, autoescape=True))
        .where(seen(workflows.c.id, sight))
        .order_by(workflows.c.name)
    )


def _rows(connection: Connection, query: Select[Any]) -> Sequence[DeployedRow]:
    return [DeployedRow(*row) for row in connection.execute(query)]
