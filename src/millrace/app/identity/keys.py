"""API keys: one's own, and for administrators those of others and of service accounts.

A key is shown once. It can do no more than its user, and than its scopes say; and nobody comes by a key, new or
rotated, that can do more than the credential by which he asks for it. One made by a key that ends does not outlive it:
only rotation renews, and ends the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.identity import repository
from millrace.app.identity.repository import KeyRow
from millrace.app.identity.texts import checked_name
from millrace.app.identity.users import found
from millrace.app.identity.views import key_view
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.grants import repository as grants
from millrace.auth.keys import new_key
from millrace.auth.permissions import (
    PERMISSIONS,
    Permission,
    Role,
    allows,
    reach,
    require,
    require_own_password,
    require_rights,
)
from millrace.auth.principal import Principal
from millrace.auth.repository import AccountRow, scopes_in, scopes_text
from millrace.auth.sight import given_by
from millrace.core.durations import UNITS
from millrace.core.errors import Conflict, Fault, Forbidden, InvalidRequest, NotFound
from millrace.core.values import Duration, Instant, JsonObject, to_iso
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

        def work(connection: "Connection") -> Sequence[tuple[KeyRow, str]]:
            owner = _owner(connection, caller, user)
            rows = repository.keys_of(connection, owner.id, before=before, limit=limit + 1)
            return [(row, owner.name) for row in rows]

        return self._page(await self._database.read(work), limit)

    async def list_all(self, caller: Principal, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """As `list`, the keys of everybody. Raises `Forbidden`."""
        require(caller, Permission.USER_READ)
        before = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.keys_of_all(connection, before=before, limit=limit + 1)
        )
        return self._page(rows, limit)

    def _page(self, rows: Sequence[tuple[KeyRow, str]], limit: int) -> Page[JsonObject]:
        """`rows`: keys with the names of their users, one more than `limit` where there are more."""
        shown, now = rows[:limit], self._clock.now()
        more = encode_cursor(shown[-1][0].id) if len(rows) > limit else None
        return Page([key_view(row, owner, now) for row, owner in shown], more)

    async def get(self, caller: Principal, key_id: str) -> JsonObject:
        """Raises `NotFound`, also for the key of another, unless the caller may see those."""
        owner, row = await self._database.read(lambda connection: _found(connection, caller, key_id))
        return key_view(row, owner.name, self._clock.now())

    async def create(self, caller: Principal, wanted: NewApiKey) -> JsonObject:
        """The key's text is in this answer and nowhere else.

        Raises `InvalidRequest`, `Forbidden`, `NotFound`, and `Conflict` for a user who is disabled.
        """
        require_own_password(caller)  # a key would outlive the password that somebody else knows
        name, now = checked_name(wanted.name), self._clock.now()
        expires_at = wanted.expires_at if wanted.lifetime is None else now + wanted.lifetime
        if expires_at is not None and expires_at <= now:
            raise _fault("expires_at", "this time is over", "write one that is to come")
        expires_at = _within_own_time(caller, expires_at)

        def work(connection: "Connection") -> JsonObject:
            owner = _owner(connection, caller, wanted.user)
            if owner.disabled_at is not None:
                raise Conflict("user_disabled", "the user is disabled, whose keys open nothing")
            by_grants = given_by(grants.granted_anywhere(connection, owner.id))
            beyond = sorted((wanted.scopes or frozenset()) - PERMISSIONS[Role(owner.role)] - by_grants)
            if beyond:
                message = f"the role {owner.role} does not have {', '.join(beyond)}, nor was it granted"
                raise _fault("scopes", message, "name permissions that the user has")
            _require_reach(caller, owner, wanted.scopes, "this key")
            made = self._add(connection, owner, name, wanted.scopes, expires_at, caller)
            note(connection, Action.API_KEY_CREATE, str(made["id"]), name, after=_noted(made))
            return made

        return await self._database.write(work)

    async def rotate(self, caller: Principal, key_id: str, *, overlap: Duration) -> JsonObject:
        """A key in place of another, which holds for `overlap` longer. Raises `NotFound`, `Forbidden`, `Conflict`."""
        require_own_password(caller)
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise _fault("overlap", "the overlap is longer than 30 days", "write one up to 30d")
        now = self._clock.now()

        def work(connection: "Connection") -> JsonObject:
            owner, row = _found(connection, caller, key_id)
            ended = row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now)
            if ended or repository.is_replaced(connection, row):
                raise Conflict("key_ended", "this key has ended, or was rotated already; make a new one")
            scopes = scopes_in(row.scopes)
            _require_reach(caller, owner, scopes, "the key in its place")
            lifetime = None if row.expires_at is None else row.expires_at - row.created_at
            if overlap == 0:
                repository.save_key(connection, row.id, revoked_at=now)
            else:
                ends = now + overlap if row.expires_at is None else min(row.expires_at, now + overlap)
                repository.save_key(connection, row.id, expires_at=ends)
            expires_at = None if lifetime is None else now + lifetime
            if row.id != caller.credential_id:
                _refuse_outliving(caller, expires_at)
            made = self._add(connection, owner, row.name, scopes, expires_at, caller, replaces=row.id)
            told = {"replaced_by": made["id"], "overlap": overlap}
            note(connection, Action.API_KEY_ROTATE, row.id, row.name, after=_noted(made) | told)
            return made

        return await self._database.write(work)

    async def revoke(self, caller: Principal, key_id: str) -> JsonObject:
        """The key is refused from when this returns. Raises `NotFound`."""
        now = self._clock.now()

        def work(connection: "Connection") -> tuple[AccountRow, KeyRow]:
            _, row = _found(connection, caller, key_id)
            if row.revoked_at is None:
                repository.save_key(connection, row.id, revoked_at=now)
                note(connection, Action.API_KEY_REVOKE, row.id, row.name, before={"user_id": row.user_id})
            return _found(connection, caller, key_id)

        owner, row = await self._database.write(work)
        return key_view(row, owner.name, now)

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
        return {**key_view(row, owner.name, now), "key": key.text}


def _within_own_time(caller: Principal, expires_at: Instant | None) -> Instant | None:
    """When a key ends that the caller makes. Raises `Forbidden` if that would be later than the key he uses."""
    own = caller.key_expires_at
    if own is None or (expires_at is not None and expires_at <= own):
        return expires_at
    if expires_at is None:
        return own
    raise _would_outlive(own)


def _refuse_outliving(caller: Principal, expires_at: Instant | None) -> None:
    """Raise `Forbidden` if a key that takes the place of another would end later than the one by which that is done."""
    own = caller.key_expires_at
    if own is not None and (expires_at is None or expires_at > own):
        raise _would_outlive(own)


def _would_outlive(own: Instant) -> Forbidden:
    return Forbidden(
        "beyond_own_rights",
        f"the key you use ends at {to_iso(own)}, and cannot make one that ends later; rotate it, or log in",
    )


def _require_reach(caller: Principal, owner: AccountRow, scopes: frozenset[Permission] | None, what: str) -> None:
    """Also what may be granted counts: a key outlives the grants of today, and is to reach no further than this one."""
    require_rights(caller, reach(Role(owner.role), scopes), what, reach(caller.role, caller.scopes))


def _noted(made: JsonObject) -> JsonObject:
    """All but the text of the key."""
    return {name: made[name] for name in ("user", "scopes", "expires_at", "prefix") if name in made}


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
