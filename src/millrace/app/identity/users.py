"""Users and service accounts: made, changed, disabled and deleted by administrators.

Nobody gives rights that he has not himself, nor acts on an account that has more of them than his own credential. One
person who is an administrator is always left.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.identity import repository
from millrace.app.identity.texts import (
    checked_email,
    checked_name,
    checked_service_name,
    deleted_place,
    plain_email,
    service_place,
    shown_email,
)
from millrace.app.identity.views import user_view
from millrace.auth import repository as accounts
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.auth.grants import repository as grants
from millrace.auth.keys import hash_of
from millrace.auth.logins import repository as logins
from millrace.auth.logins.passwords import Passwords, check_password
from millrace.auth.permissions import PERMISSIONS, Access, Role, everywhere, require_rights
from millrace.auth.principal import Principal, UserKind
from millrace.auth.repository import AccountRow
from millrace.core.durations import UNITS
from millrace.core.errors import Conflict, Fault, InvalidRequest, NotFound
from millrace.core.values import Duration, JsonObject, to_iso
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

RESET_PREFIX: Final = "mrp_"
RESET_HOLDS: Final[Duration] = 24 * UNITS["h"]


@dataclass(frozen=True, slots=True)
class NewUser:
    kind: UserKind
    name: str
    role: Role
    email: str | None = None
    password: str | None = None
    access: Access = Access.ALL


class Users:
    def __init__(self, database: Database, clock: Clock, ids: Ids, passwords: Passwords, default_role: Role) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._passwords = passwords
        self.default_role = default_role

    async def list(
        self, *, role: str | None, kind: str | None, status: str | None, cursor: str | None, limit: int
    ) -> Page[JsonObject]:
        after = decode_text(cursor)
        rows = await self._database.read(
            lambda connection: repository.listed(
                connection, role=role, kind=kind, status=status, after=after, limit=limit + 1
            )
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1].id) if len(rows) > limit else None
        return Page([user_view(row) for row in shown], more)

    async def get(self, reference: str) -> JsonObject:
        """By id, e-mail address or name of a service account. Raises `NotFound`."""
        return user_view(await self._database.read(lambda connection: found(connection, reference)))

    async def create(self, wanted: NewUser, *, by: Principal) -> JsonObject:
        """A person without a password gets a token to set one by, which is told here alone.

        Raises `InvalidRequest`, `Forbidden` `beyond_own_rights`, and `Conflict` `email_taken` or `name_taken`.
        """
        require_rights(by, PERMISSIONS[wanted.role], f"the role {wanted.role.value}")
        _refuse_restricted_admin(wanted.role, wanted.access)
        now, user_id = self._clock.now(), self._ids.new()
        values: dict[str, object] = {"id": user_id, "role": wanted.role.value, "kind": wanted.kind.value}
        values["access"] = wanted.access.value
        values |= {"created_at": now, "updated_at": now, **_identity(wanted)}
        if wanted.password is not None:
            check_password(wanted.password, str(values["email"]), wanted.name)
            hashed = await self._passwords.hashed(wanted.password)
            values |= {"password_hash": hashed, "password_set_at": now, "must_change_password": True}
        wants_reset = wanted.kind is UserKind.PERSON and wanted.password is None
        token = RESET_PREFIX + secrets.token_urlsafe(32) if wants_reset else None

        def work(connection: "Connection") -> AccountRow:
            _refuse_taken(connection, str(values["email"]), wanted.kind)
            repository.add_account(connection, values)
            if token is not None:
                self._add_reset(connection, user_id, token, by)
            made = found(connection, user_id)
            note(connection, Action.USER_CREATE, made.id, made.name, after=_noted(made))
            return made

        row = await self._database.write(work)
        return {**user_view(row), **self._told(token)}

    async def change(self, reference: str, given: Mapping[str, str], *, by: Principal) -> JsonObject:
        """Change `name`, `email`, `role` and `access`, those that are given. Where that gives more rights, a reset
        that was not used is void.

        Raises as `create`, and `Conflict` `last_admin`.
        """

        def work(connection: "Connection") -> AccountRow:
            before = self._target(connection, reference, by)
            kind, role = UserKind(before.kind), Role(given.get("role", before.role))
            require_rights(by, PERMISSIONS[role], f"the role {role.value}")
            access = Access(given.get("access", before.access))
            _refuse_restricted_admin(role, access)
            if role is not Role.ADMIN:
                refuse_last_admin(connection, before)
            values: dict[str, object] = {"role": role.value, "access": access.value, "updated_at": self._clock.now()}
            if kind is UserKind.SERVICE and "email" in given:
                raise _fault("email", "a service account has no e-mail address", "leave it out")
            if given.keys() & {"name", "email"}:
                email = given.get("email", before.email)
                values |= _identity(NewUser(kind, given.get("name", before.name), role, email))
            if values.get("email", before.email) != before.email:
                _refuse_taken(connection, str(values["email"]), kind)
            accounts.save_account(connection, before.id, **values)
            if everywhere(role, access) - everywhere(Role(before.role), Access(before.access)):
                # Whoever had it made had power over the account as it was, and not over what it has become.
                logins.void_resets(connection, before.id, self._clock.now())
            after = found(connection, before.id)
            old, new = _noted(before), _noted(after)
            note(connection, Action.USER_UPDATE, after.id, after.name, before=old, after=new)
            return after

        return user_view(await self._database.write(work))

    async def disable(self, reference: str, *, by: Principal) -> JsonObject:
        """Nothing the user has opens anything any more, from when this returns. Raises `Conflict` `last_admin`."""

        def work(connection: "Connection", before: AccountRow) -> None:
            refuse_last_admin(connection, before)
            if before.disabled_at is None:
                self._shut(connection, before)
                note(connection, Action.USER_DISABLE, before.id, before.name)

        return await self._acted(reference, by, work)

    async def enable(self, reference: str, *, by: Principal) -> JsonObject:
        """The API keys hold again; logins have ended."""

        def work(connection: "Connection", before: AccountRow) -> None:
            accounts.save_account(connection, before.id, disabled_at=None, updated_at=self._clock.now())
            if before.disabled_at is not None:
                note(connection, Action.USER_ENABLE, before.id, before.name)

        return await self._acted(reference, by, work)

    async def delete(self, reference: str, *, by: Principal) -> JsonObject:
        """For ever: keys are revoked, the address is free. The name stays with what the user has done."""

        def work(connection: "Connection", before: AccountRow) -> None:
            refuse_last_admin(connection, before)
            now = self._clock.now()
            self._shut(connection, before)
            repository.revoke_keys_of(connection, before.id, now)
            grants.remove_of_user(connection, before.id)
            gone = {"email": deleted_place(before.id), "password_hash": None, "deleted_at": now}
            accounts.save_account(connection, before.id, **gone)
            note(connection, Action.USER_DELETE, before.id, before.name, before=_noted(before))

        return await self._acted(reference, by, work)

    async def reset(self, reference: str, *, by: Principal) -> JsonObject:
        """A token by which the user sets a password, once, within a day. The one that holds stays until then."""
        token = RESET_PREFIX + secrets.token_urlsafe(32)

        def work(connection: "Connection", before: AccountRow) -> None:
            if before.kind == UserKind.SERVICE:
                raise Conflict("service_account", "a service account has no password; make it an API key")
            if before.disabled_at is not None:
                raise Conflict("user_disabled", "the user is disabled; enable the account first")
            self._add_reset(connection, before.id, token, by)
            note(connection, Action.USER_RESET, before.id, before.name)

        return {**await self._acted(reference, by, work), **self._told(token)}

    async def log_out(self, reference: str, *, by: Principal) -> int:
        """End all logins of the user; answers how many there were."""
        ended: list[int] = []

        def work(connection: "Connection", before: AccountRow) -> None:
            ended[:] = [logins.end_sessions_of(connection, before.id, "everywhere", self._clock.now())]
            if ended[0]:
                note(connection, Action.LOGIN_END, None, before.name, after={"user_id": before.id, "ended": ended[0]})

        await self._acted(reference, by, work)
        return ended[0]

    async def _acted(
        self, reference: str, by: Principal, work: "Callable[[Connection, AccountRow], None]"
    ) -> JsonObject:
        def all_of_it(connection: "Connection") -> AccountRow:
            before = self._target(connection, reference, by)
            work(connection, before)
            return found(connection, before.id)

        return user_view(await self._database.write(all_of_it))

    def _target(self, connection: "Connection", reference: str, by: Principal) -> AccountRow:
        row = found(connection, reference)
        if row.deleted_at is not None:
            raise Conflict("user_deleted", "this user is deleted, for ever")
        require_rights(by, PERMISSIONS[Role(row.role)], "power over this account")
        return row

    def _shut(self, connection: "Connection", row: AccountRow) -> None:
        now = self._clock.now()
        accounts.save_account(connection, row.id, disabled_at=row.disabled_at or now, updated_at=now)
        logins.end_sessions_of(connection, row.id, "disabled", now)
        logins.void_resets(connection, row.id, now)

    def _add_reset(self, connection: "Connection", user_id: str, token: str, by: Principal) -> None:
        now = self._clock.now()
        logins.add_reset(
            connection,
            token_hash=hash_of(token),
            user_id=user_id,
            by=by.user_id,
            expires_at=now + RESET_HOLDS,
            now=now,
        )

    def _told(self, token: str | None) -> JsonObject:
        ends = None if token is None else to_iso(self._clock.now() + RESET_HOLDS)
        return {"reset_token": token, "reset_expires_at": ends}


def found(connection: "Connection", reference: str) -> AccountRow:
    """Raises `NotFound`."""
    plain = plain_email(reference)
    row = accounts.find_account(connection, reference)
    row = row or accounts.find_by_email(connection, plain) or accounts.find_by_email(connection, service_place(plain))
    if row is None:
        raise NotFound("user_not_found", f"there is no user {reference[:100]!r}")
    return row


def _identity(wanted: NewUser) -> dict[str, object]:
    """Name and address as they are stored."""
    if wanted.kind is UserKind.SERVICE:
        name = checked_service_name(wanted.name)
        return {"name": name, "email": service_place(name)}
    return {"name": checked_name(wanted.name), "email": checked_email(wanted.email or "")}


def _refuse_taken(connection: "Connection", email: str, kind: UserKind) -> None:
    if accounts.find_by_email(connection, email) is not None:
        if kind is UserKind.SERVICE:
            raise Conflict("name_taken", "there is a service account of this name already")
        raise Conflict("email_taken", "another user has this e-mail address")


def refuse_last_admin(connection: "Connection", row: AccountRow) -> None:
    """Raises `Conflict` `last_admin`."""
    is_admin = row.role == Role.ADMIN and row.kind == UserKind.PERSON and row.disabled_at is None
    if is_admin and not repository.has_another_admin(connection, row.id):
        raise Conflict(
            "last_admin",
            "this is the last administrator who can log in; have another one set a password first",
        )


def _refuse_restricted_admin(role: Role, access: Access) -> None:
    if role is Role.ADMIN and access is Access.GRANTED:
        raise _fault("access", "an administrator cannot be restricted", "write all, or give another role")


def _fault(path: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest("invalid_request", "the request is not valid", faults=[Fault(path, "value", message, remedy)])


def _noted(row: AccountRow) -> JsonObject:
    """What the audit log says of a user."""
    return {"email": shown_email(row.email), **fields(row, "name", "role", "kind", "access")}
