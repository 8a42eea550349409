"""Reading the audit log: a page, or all of it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from millrace.app.audit.listing import repository
from millrace.app.audit.listing.repository import AuditFilter, StartRow
from millrace.app.audit.repository import AuditRow, content_of
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.identity import repository as users
from millrace.app.identity.texts import plain_email, service_place
from millrace.app.workflows.repository import id_called
from millrace.auth import repository as accounts
from millrace.auth.audit.actions import RUN_START
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, to_iso
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

EXPORTED_AT_ONCE: Final = 500
WORKFLOW: Final = "workflow"
SHOWN: Final = 5
"""Ids of users that have the same name."""


class AuditQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, narrow: AuditFilter, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Changes and starts of runs, newest first.

        `narrow.actor_id` may also be an e-mail address or a name, and the `entity_id` of a workflow its name. Raises
        `InvalidRequest`.
        """
        return await self._page(await self._resolved(narrow), decode_text(cursor), limit)

    async def pages(self, narrow: AuditFilter) -> AsyncGenerator[Sequence[JsonObject]]:
        """All that `list` would find, a part at a time."""
        found, before, more = await self._resolved(narrow), None, True
        while more:
            page = await self._page(found, before, EXPORTED_AT_ONCE)
            yield page.items
            before, more = decode_text(page.next_cursor), page.next_cursor is not None

    async def _page(self, narrow: AuditFilter, before: str | None, limit: int) -> Page[JsonObject]:
        part = await self._database.read(
            lambda connection: repository.find(connection, narrow, before=before, limit=limit)
        )
        return Page([_view(row) for row in part.rows.values()], part.next and encode_cursor(part.next))

    async def _resolved(self, narrow: AuditFilter) -> AuditFilter:
        """With ids in place of what people write. Raises `InvalidRequest` for an actor whom nobody is called."""
        return await self._database.read(lambda connection: _resolved(connection, narrow))


def _resolved(connection: "Connection", narrow: AuditFilter) -> AuditFilter:
    if narrow.entity == WORKFLOW and narrow.entity_id is not None:
        narrow = replace(narrow, entity_id=id_called(connection, narrow.entity_id) or narrow.entity_id)
    if (wanted := narrow.actor_id) is None:
        return narrow
    plain = plain_email(wanted)
    account = (
        accounts.find_account(connection, wanted)
        or accounts.find_by_email(connection, plain)
        or accounts.find_by_email(connection, service_place(plain))
    )
    if account is not None:
        return replace(narrow, actor_id=account.id)
    called = users.ids_called(connection, wanted)
    if len(called) != 1:
        message = f"{'no' if not called else 'more than one'} user is called {wanted!r}"
        remedy = "write the e-mail address or the id of a user, or the name of a service account"
        fault = Fault("query.actor", "value", message, remedy + "".join(f"; {one}" for one in called[:SHOWN]))
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return replace(narrow, actor_id=called[0])


def _view(row: AuditRow | StartRow) -> JsonObject:
    return _start_view(row) if isinstance(row, StartRow) else row_view(row)


def row_view(row: AuditRow) -> JsonObject:
    """A row as it is listed."""
    return {
        "id": row.id,
        "at": to_iso(row.at),
        "actor": {"id": row.actor_id, "name": row.actor},
        "credential_id": row.credential_id,
        "action": row.action,
        "entity": row.entity,
        "entity_id": row.entity_id,
        "entity_name": row.entity_name,
        "before": content_of(row.before),
        "after": content_of(row.after),
        "address": row.address,
        "request_id": row.request_id,
        "seq": row.seq,
        "hash": row.hash,
    }


def _start_view(row: StartRow) -> JsonObject:
    told = ("workflow_id", "version_id", "trigger_type", "trigger_id", "retry_of", "parent_run_id")
    asked = content_of(row.created)
    asked = asked if isinstance(asked, dict) else {}
    after: JsonObject = {name: getattr(row, name) for name in told if getattr(row, name) is not None}
    return {
        "id": row.id,
        "at": to_iso(row.at),
        "actor": {"id": row.actor_id, "name": row.actor or row.actor_id or row.trigger_type},
        "credential_id": None,
        "action": RUN_START,
        "entity": repository.RUN,
        "entity_id": row.id,
        "entity_name": row.workflow,
        "before": None,
        "after": after,
        "address": asked.get("address"),
        "request_id": asked.get("request_id"),
        "seq": None,
        "hash": None,
    }
