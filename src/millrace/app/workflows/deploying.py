"""What happens to a workflow's triggers when it, or what is deployed of it, changes."""

from typing import Protocol

from sqlalchemy import Connection

from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.core.values import Instant


class TriggerRegistrar(Protocol):
    """Keeps the trigger rows of a workflow in step with its deployed version and its status."""

    def sync(self, connection: Connection, workflow: WorkflowRow, version: VersionRow | None, *, now: Instant) -> None:
        """Called within the transaction of every change of `workflow`, after its row is written.

        `version` is the deployed one, `None` when none is (undeployed, a draft, deleted).
        """
        ...
