"""Grants: what a user may do with a single workflow, given, taken away and listed.

Nobody gives what he has not himself. What was given holds from the next request on, and open streams end within seconds
of its end.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.grants.views import of_user_view, of_workflow_view
from millrace.app.identity.users import found
from millrace.app.workflows.catalog import Catalog, unknown_workflow
from millrace.app.workflows.repository import WorkflowRow, find_workflow
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.grants import repository
from millrace.auth.permissions import GRANTED, Grant, Role, require_rights
from millrace.auth.principal import Principal
from millrace.core.errors import Conflict, Fault, InvalidRequest, NotFound
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.clock import Clock
from millrace.ports.database import Database


class Grants:
    def __init__(self, database: Database, catalog: Catalog, clock: Clock) -> None:
        self._database = database
        self._catalog = catalog
        self._clock = clock

    async def of_workflow(self, reference: str, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Who was given what for a workflow. Raises `NotFound`."""
        after = decode_text(cursor)
        workflow_id = (await self._catalog.resolve(reference)).workflow.id

        def read(connection: Connection) -> Page[JsonObject]:
            rows = repository.of_workflow(connection, workflow_id, after=after, limit=limit + 1)
            shown = [*rows][:limit]
            more = encode_cursor(shown[-1]) if len(rows) > limit else None
            return Page([of_user_view(rows[user_id]) for user_id in shown], more)

        return await self._database.read(read)

    async def of_user(self, reference: str, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """What a user was given for which workflow. Raises `NotFound`."""
        after = decode_text(cursor)

        def read(connection: Connection) -> Page[JsonObject]:
            user = found(connection, reference)
            rows = repository.of_user(connection, user.id, after=after, limit=limit + 1)
            shown = [*rows][:limit]
            more = encode_cursor(shown[-1]) if len(rows) > limit else None
            return Page([of_workflow_view(rows[workflow_id]) for workflow_id in shown], more)

        return await self._database.read(read)

    async def put(self, reference: str, user: str, given: Collection[Grant], *, by: Principal) -> JsonObject:
        """Let a user have exactly these for a workflow.

        Raises `NotFound`; `Forbidden` `beyond_own_rights`; `InvalidRequest` for none at all, and for an administrator,
        who has everything; `Conflict` for a deleted user.
        """
        if not given:
            raise _refused("grants", "these are no grants", "name some, or delete what the user has")
        rights = frozenset().union(*(GRANTED[grant] for grant in given))
        require_rights(by, rights, f"the grant {', '.join(sorted(grant.value for grant in given))}")

        def write(connection: Connection) -> JsonObject:
            workflow, account = _locked(connection, reference), found(connection, user)
            if account.deleted_at is not None:
                raise Conflict("user_deleted", "this user is deleted, for ever")
            if account.role == Role.ADMIN:
                raise _refused("user", "an administrator may do everything already", "name another user")
            now = self._clock.now()
            before = repository.granted(connection, account.id, workflow.id)
            repository.replace(connection, account.id, workflow.id, given, by=by.user_id, now=now)
            told = {"workflow": workflow.name, "user": account.name}
            note(
                connection,
                Action.GRANT_SET,
                f"{workflow.id}/{account.id}",
                account.name,
                before={**told, "grants": _names(before)},
                after={"grants": _names(given)},
            )
            return of_user_view(repository.of_both(connection, account.id, workflow.id))

        return await self._database.write(write)

    async def take(self, reference: str, user: str) -> None:
        """Take all from a user that he was given for a workflow. Raises `NotFound` if there is nothing."""

        def write(connection: Connection) -> None:
            workflow, account = _locked(connection, reference), found(connection, user)
            before = repository.granted(connection, account.id, workflow.id)
            if not before:
                raise NotFound("grant_not_found", f"{account.name} was given nothing for {workflow.name!r}")
            repository.remove(connection, account.id, workflow.id)
            told = {"workflow": workflow.name, "user": account.name, "grants": _names(before)}
            note(connection, Action.GRANT_REMOVE, f"{workflow.id}/{account.id}", account.name, before=told)

        await self._database.write(write)


def _names(grants: Collection[Grant]) -> list[JsonValue]:
    return [*sorted(grant.value for grant in grants)]


def _locked(connection: Connection, reference: str) -> WorkflowRow:
    """The workflow, which nobody deletes meanwhile. Raises `NotFound`."""
    workflow = find_workflow(connection, reference, lock=True)
    if workflow is None:
        raise unknown_workflow(reference)
    return workflow


def _refused(path: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest("invalid_request", "the request is not valid", faults=[Fault(path, "value", message, remedy)])
