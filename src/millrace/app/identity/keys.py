"""API keys: one's own, and for administrators those of others and of service accounts.

A key is shown once. It can do no more than its user, and than its scopes say; and nobody comes by a key, new or
rotated, that can do more than the credential by which he asks for it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.identity import repository
from millrace.app.identity.repository import KeyRow
from millrace.app.identity.texts import checked_name
from millrace.app.identity.users import found
from millrace.app.identity.views import key_view
from millrace.auth.keys import new_key
from millrace.auth.permissions import PERMISSIONS, Permission, Role, allows, require, require_rights, within
from millrace.auth.principal import Principal
from millrace.auth.repository import AccountRow, scopes_in, scopes_text
from millrace.core.durations import UNITS
from millrace.core.errors import Conflict, Fault, InvalidRequest, NotFound
from millrace.core.values import Duration, Instant, JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

LONGEST_OVERLAP: Final[Duration] = 30 * UNITS["d"]


@dataclass(frozen=True, slots=True)
class NewApiKey:
    name: str
    scopes: frozenset[Permission] | None = None
    expires_at: Instant | None = None
    lifetime: Duration | None = None
    user: str | None = None
    """Whose key it is to be; by default the caller's."""


class ApiKeys:
    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def list(self, caller: Principal, *, user: str | None, cursor: str | None, limit: int) -> Page[JsonObject]:
        """The keys of a user, the newest first, also those that have ended. Raises `Forbidden` for another's."""
        before = decode_text(cursor)

        def work(connection: "Connection") -> tuple[AccountRow, list[KeyRow]]:
            owner = _owner(connection, caller, user)
            return owner, [*repository.keys_of(connection, owner.id, before=before, limit=limit + 1)]

        owner, rows = await self._database.read(work)
        shown, now = rows[:limit], self._clock.now()
        more = encode_cursor(shown[-1].id) if len(rows) > limit else None
        return Page([key_view(row, owner, now) for row in shown], more)

    async def get(self, caller: Principal, key_id: str) -> JsonObject:
        """Raises `NotFound`, also for the key of another, unless the caller may see those."""
        owner, row = await self._database.read(lambda connection: _found(connection, caller, key_id))
        return key_view(row, owner, self._clock.now())

    async def create(self, caller: Principal, wanted: NewApiKey) -> JsonObject:
        """The key's text is in this answer and nowhere else.

        Raises `InvalidRequest`, `Forbidden`, `NotFound`, and `Conflict` for a user who is disabled.
        """
        name, now = checked_name(wanted.name), self._clock.now()
        expires_at = wanted.expires_at if wanted.lifetime is None else now + wanted.lifetime
        if expires_at is not None and expires_at <= now:
            raise _fault("expires_at", "this time is over", "write one that is to come")

        def work(connection: "Connection") -> JsonObject:
            owner = _owner(connection, caller, wanted.user)
            if owner.disabled_at is not None:
                raise Conflict("user_disabled", "the user is disabled, whose keys open nothing")
            beyond = sorted((wanted.scopes or frozenset()) - PERMISSIONS[Role(owner.role)])
            if beyond:
                message = f"the role {owner.role} does not have {', '.join(beyond)}"
                raise _fault("scopes", message, "name permissions that the user has")
            require_rights(caller, within(Role(owner.role), wanted.scopes), "this key")
            return self._add(connection, owner, name, wanted.scopes, expires_at, caller)

        return await self._database.write(work)

    async def rotate(self, caller: Principal, key_id: str, *, overlap: Duration) -> JsonObject:
        """A key in place of another, which holds for `overlap` longer. Raises `NotFound`, `Forbidden`, `Conflict`."""
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise _fault("overlap", "the overlap is longer than 30 days", "write one up to 30d")
        now = self._clock.now()

        def work(connection: "Connection") -> JsonObject:
            owner, row = _found(connection, caller, key_id)
            ended = row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now)
            if ended or repository.is_replaced(connection, row):
                raise Conflict("key_ended", "this key has ended, or was rotated already; make a new one")
            scopes = scopes_in(row.scopes)
            require_rights(caller, within(Role(owner.role), scopes), "the key in its place")
            lifetime = None if row.expires_at is None else row.expires_at - row.created_at
            if overlap == 0:
                repository.save_key(connection, row.id, revoked_at=now)
            else:
                ends = now + overlap if row.expires_at is None else min(row.expires_at, now + overlap)
                repository.save_key(connection, row.id, expires_at=ends)
            expires_at = None if lifetime is None else now + lifetime
            return self._add(connection, owner, row.name, scopes, expires_at, caller, replaces=row.id)

        return await self._database.write(work)

    async def revoke(self, caller: Principal, key_id: str) -> JsonObject:
        """The key is refused from when this returns. Raises `NotFound`."""
        now = self._clock.now()

        def work(connection: "Connection") -> tuple[AccountRow, KeyRow]:
            _, row = _found(connection, caller, key_id)
            if row.revoked_at is None:
                repository.save_key(connection, row.id, revoked_at=now)
            return _found(connection, caller, key_id)

        owner, row = await self._database.write(work)
        return key_view(row, owner, now)

    def _add(
        self,
        connection: "Connection",
        owner: AccountRow,
        name: str,
        scopes: frozenset[Permission] | None,
        expires_at: Instant | None,
        caller: Principal,
        replaces: str | None = None,
    ) -> JsonObject:
        key, now = new_key(), self._clock.now()
        row = KeyRow(
            id=self._ids.new(),
            user_id=owner.id,
            name=name,
            prefix=key.prefix,
            key_hash=key.key_hash,
            scopes=scopes_text(scopes),
            created_by=caller.user_id,
            replaces=replaces,
            created_at=now,
            expires_at=expires_at,
        )
        repository.add_key(connection, row)
        return {**key_view(row, owner, now), "key": key.text}


def _owner(connection: "Connection", caller: Principal, user: str | None) -> AccountRow:
    """Whose keys it is about. Raises `Forbidden` where those of others are not the caller's business."""
    if user is None or user == caller.user_id:
        return found(connection, caller.user_id)
    require(caller, Permission.API_KEY_WRITE)
    return found(connection, user)


def _found(connection: "Connection", caller: Principal, key_id: str) -> tuple[AccountRow, KeyRow]:
    row = repository.find_key(connection, key_id)
    if row is None or (row.user_id != caller.user_id and not allows(caller, Permission.API_KEY_WRITE)):
        raise NotFound("api_key_not_found", f"there is no API key {key_id[:100]!r}")
    return found(connection, row.user_id), row


def _fault(path: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest("invalid_request", "the request is not valid", faults=[Fault(path, "value", message, remedy)])
