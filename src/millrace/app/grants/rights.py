"""Whether a user may do something with a single workflow, asked where his role does not say yes already.

What he does not see is not there for him: the answer is the one about something that does not exist, word by word. What
he sees and may not do is refused, with the grant that would let him.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sqlalchemy import Connection

from millrace.app.archive.queries import ArchiveQueries
from millrace.app.artifacts.commands import unknown_artifact
from millrace.app.backfills.commands import unknown_backfill
from millrace.app.grants import repository
from millrace.app.grants.repository import Belonging
from millrace.app.operations.operations import unknown_operation
from millrace.app.runs.queries import unknown_run
from millrace.app.triggers.queries import unknown_trigger
from millrace.app.webhooks.queries import unknown_webhook
from millrace.app.workflows.catalog import Catalog, unknown_workflow
from millrace.app.workflows.commands import Permit
from millrace.app.workflows.repository import WorkflowRow
from millrace.app.workflows.writing import taken_name
from millrace.auth.grants import repository as grants
from millrace.auth.permissions import (
    GRANTED,
    Access,
    Grant,
    Permission,
    allows,
    has,
    require,
    require_granted,
    require_usable,
)
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight, grants_with
from millrace.core.errors import NotFound
from millrace.ports.database import Database

Find: TypeAlias = Callable[[Connection, str], Belonging | None]

WORKFLOW: Final = "workflow"
ARCHIVED: Final = "archived"
KINDS: Final[dict[str, tuple[Find, Callable[[str], NotFound]]]] = {
    WORKFLOW: (repository.of_workflow, unknown_workflow),
    "run": (repository.of_run, unknown_run),
    "trigger": (repository.of_trigger, unknown_trigger),
    "webhook": (repository.of_trigger, unknown_webhook),
    "backfill": (repository.of_backfill, unknown_backfill),
    "artifact": (repository.of_artifact, unknown_artifact),
    "operation": (repository.of_operation, unknown_operation),
}
"""How each kind of thing leads to its workflow, and what is said of one that there is not."""

OWN: Final = frozenset({Grant.VIEW})
"""What a user may do with what he has made himself and belongs to no workflow."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about."""

    kind: str
    reference: str
    pinned: str | None = None
    """The id of the workflow that the reference means now."""


class Rights:
    def __init__(self, database: Database, catalog: Catalog, archive: ArchiveQueries) -> None:
        self._database = database
        self._catalog = catalog
        self._archive = archive

    async def require(self, caller: Principal, permission: Permission, subject: Subject) -> str:
        """Raise `NotFound` for what the caller does not see, `Forbidden` for what he may not do with what he sees.

        Answers what to go on with: the id of the workflow that he was let do it with. A name may mean another one by
        the time that the body of the request has come.
        """
        if allows(caller, permission) and not caller.must_change_password:
            return subject.reference
        require_usable(caller, permission)
        subject = await self._pinned(subject)
        given = await self._given(caller, subject)
        if caller.access is Access.ALL:
            if not any(permission in GRANTED[grant] for grant in given):
                require(caller, permission)
        elif not given:
            raise _missing(subject)
        else:
            require_granted(caller, permission, given)
        return subject.pinned or subject.reference

    async def sight(self, caller: Principal, permission: Permission) -> Sight | None:
        """With which workflows the caller may do something; `None`: with all.

        Seeing nothing is an empty list. Where something is to be done, raises `Forbidden` if he may with none.
        """
        if allows(caller, permission) and not caller.must_change_password:
            return None
        require_usable(caller, permission)
        only_sees = caller.access is Access.GRANTED and permission in GRANTED[Grant.VIEW]
        if not only_sees and not await self._has_any(caller, permission):
            require(caller, permission)
        return Sight.of(caller.user_id, permission)

    def applying(self, caller: Principal) -> Permit:
        """For a definition that says itself which workflow it is: the one of its name, or a new one."""

        async def permit(name: str, before: WorkflowRow | None) -> None:
            if allows(caller, Permission.WORKFLOW_WRITE):
                return
            if before is None:
                require_role(caller, Permission.WORKFLOW_WRITE)
                return
            given = await self._given_for(caller, before.id)
            if caller.access is Access.GRANTED and not given:
                raise taken_name(name)
            require_granted(caller, Permission.WORKFLOW_WRITE, given)

        return permit

    async def _has_any(self, caller: Principal, permission: Permission) -> bool:
        given = await self._database.read(lambda connection: grants.granted_anywhere(connection, caller.user_id))
        return not given.isdisjoint(grants_with(permission))

    async def _given(self, caller: Principal, subject: Subject) -> frozenset[Grant]:
        """What the caller was granted for the workflow of this; nothing, if it is not there."""
        if subject.kind == WORKFLOW:
            return await self._given_for(caller, subject.pinned)
        if subject.kind == ARCHIVED:
            return await self._given_for(caller, await self._archive.workflow_of(subject.reference))
        find, _ = KINDS[subject.kind]

        def read(connection: Connection) -> frozenset[Grant]:
            found = find(connection, subject.reference)
            if found is None:
                return frozenset()
            if found.workflow_id is None:
                return OWN if found.user_id == caller.user_id else frozenset()
            return grants.granted(connection, caller.user_id, found.workflow_id)

        return await self._database.read(read)

    async def _pinned(self, subject: Subject) -> Subject:
        """As the routes find a workflow, by the memory of them where that is never out of date."""
        if subject.kind != WORKFLOW:
            return subject
        try:
            return replace(subject, pinned=(await self._catalog.resolve(subject.reference)).workflow.id)
        except NotFound:
            return subject

    async def _given_for(self, caller: Principal, workflow_id: str | None) -> frozenset[Grant]:
        """By its id and nothing else: a name may look like the id of a workflow that is deleted."""
        if workflow_id is None:
            return frozenset()
        return await self._database.read(lambda connection: grants.granted(connection, caller.user_id, workflow_id))


def require_role(caller: Principal, permission: Permission) -> None:
    """For what is about no workflow that is there. Raises `Forbidden` unless the role has the permission."""
    require_usable(caller, permission)
    if not has(caller.role, permission):
        require(caller, permission)


def sight_beside(caller: Principal) -> Sight | None:
    """Of workflows that are named where something else is told."""
    return None if caller.access is Access.ALL else Sight.of(caller.user_id, Permission.WORKFLOW_READ)


def _missing(subject: Subject) -> NotFound:
    if subject.kind == ARCHIVED:
        return NotFound("run_not_archived", f"there is no run with the id {subject.reference!r} in the archive")
    return KINDS[subject.kind][1](subject.reference)
