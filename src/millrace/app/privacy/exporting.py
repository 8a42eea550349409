"""All that is kept of a person as one document, for himself or for who answers him. Nothing in it opens anything.

What others did to his account is in it, but not from where they did it.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from millrace.app.audit.listing.repository import AuditFilter
from millrace.app.audit.queries import AuditQueries, row_view
from millrace.app.grants.views import of_workflow_view
from millrace.app.identity.users import found
from millrace.app.identity.views import key_view, user_view
from millrace.app.privacy import repository
from millrace.app.privacy.repository import MADE
from millrace.auth.audit.actions import RUN_START, Action
from millrace.auth.grants import repository as grants
from millrace.auth.permissions import PERMISSIONS, Role, require_own_password, require_rights
from millrace.auth.principal import Principal
from millrace.auth.repository import AccountRow
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST: Final = 10_000
"""Entries of each list, the newest."""
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of the JSON of each list of what was logged."""
ASKED: Final = 1_000
"""Logins and keys that are asked about, the newest: a query takes no more than some thousands."""
_HIDDEN: Final = {"address": None, "request_id": None, "credential_id": None}


@dataclass
class _Bounded:
    """A list that stops before it is too much."""

    items: list[JsonValue] = field(default_factory=list)
    more: bool = False
    size: int = 0

    def add(self, item: JsonObject) -> None:
        size = len(orjson.dumps(item))
        self.more = self.more or len(self.items) == MOST or self.size + size > LARGEST
        if not self.more:
            self.items.append(item)
            self.size += size

    def shown(self) -> JsonObject:
        return {"items": self.items, "more": self.more}


class PersonalData:
    def __init__(self, database: Database, clock: Clock, audit: AuditQueries) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit

    async def export(self, reference: str, *, by: Principal) -> JsonObject:
        """Raises `NotFound`, and `Forbidden` for an account that has more rights than the caller's credential."""
        require_own_password(by)
        account: list[AccountRow] = []

        def read(connection: "Connection") -> JsonObject:
            account[:] = [found(connection, reference)]
            if by.user_id != account[0].id:
                require_rights(by, PERMISSIONS[Role(account[0].role)], "power over this account")
            return self._kept(connection, account[0])

        kept = await self._database.read(read)
        return {"exported_at": to_iso(self._clock.now()), **kept, **await self._done(account[0].id)}

    async def _done(self, user_id: str) -> JsonObject:
        """What he did, the runs that he started, and what he approved or not.

        Each is looked for by itself, so that a list that is full hides nothing of another.
        """
        logged = AuditFilter(actor_id=user_id, starts=False)
        approved = replace(logged, action=Action.APPROVAL_DECIDE)
        started = AuditFilter(actor_id=user_id, action=RUN_START)
        return {
            "done": await _listed(self._audit.pages(logged), _other_than_approval),
            "runs": await _listed(self._audit.pages(started), _run),
            "approvals": await _listed(self._audit.pages(approved), _approval),
        }

    def _kept(self, connection: "Connection", row: AccountRow) -> JsonObject:
        keys, logins = repository.keys_of(connection, row.id), repository.sessions_of(connection, row.id)
        ids = [row.id]
        about = {"user": ids, "password": ids, "login": [*ids, *(str(one["id"]) for one in logins[:ASKED])]}
        about |= {"api_key": [key.id for key in keys[:ASKED]]}
        rows = repository.rows_about(connection, about, MOST + 1)
        given = grants.of_user(connection, row.id, after=None, limit=MOST)
        by_others = ({**row_view(one), **_HIDDEN} for one in rows if one.actor_id != row.id)
        return {
            "user": user_view(row),
            "identities": [_timed(one) for one in repository.identities_of(connection, row.id)],
            "sessions": [_timed(one) for one in logins],
            "api_keys": [key_view(key, row.name, self._clock.now()) for key in keys],
            "grants": [of_workflow_view(one) for one in given.values()],
            "done_to_the_account": _bounded(by_others),
            "made": {kind.kind: _made(repository.made_by(connection, kind, row.id, MOST + 1)) for kind in MADE},
        }


async def _listed(
    pages: AsyncGenerator[Sequence[JsonObject]], shown: Callable[[JsonObject], JsonObject | None]
) -> JsonObject:
    found = _Bounded()
    async with aclosing(pages):
        async for items in pages:
            for entry in map(shown, items):
                if entry is not None:
                    found.add(entry)
            if found.more:
                break
    return found.shown()


def _other_than_approval(item: JsonObject) -> JsonObject | None:
    return None if item["action"] == Action.APPROVAL_DECIDE else item


def _run(item: JsonObject) -> JsonObject:
    workflow: JsonObject = {"id": _after(item).get("workflow_id"), "name": item["entity_name"]}
    return {"id": item["id"], "at": item["at"], "workflow": workflow}


def _approval(item: JsonObject) -> JsonObject:
    told: JsonObject = {name: _after(item).get(name) for name in ("task", "approved", "comment")}
    return {"run_id": item["entity_id"], "at": item["at"], **told}


def _after(item: JsonObject) -> JsonObject:
    return item["after"] if isinstance(item["after"], dict) else {}


def _bounded(items: Iterable[JsonObject]) -> JsonObject:
    found = _Bounded()
    for item in items:
        found.add(item)
    return found.shown()


def _made(rows: Sequence[Mapping[str, Any]]) -> JsonObject:
    return _bounded(map(_timed, rows))


def _timed(row: Mapping[str, Any]) -> JsonObject:
    """With times as they are shown."""
    return {
        name: to_iso(value) if value is not None and (name == "at" or name.endswith("_at")) else value
        for name, value in row.items()
    }
