"""What people do with their own account: name, password, logins; the first of them to begin with."""

from typing import TYPE_CHECKING

from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.identity import repository as key_rows
from millrace.app.identity.logging_in import LoggingIn
from millrace.app.identity.texts import checked_email, checked_name
from millrace.app.identity.views import me_view, session_view
from millrace.auth import repository
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.authentication import Authenticator
from millrace.auth.keys import hash_of
from millrace.auth.logins import repository as logins
from millrace.auth.logins.passwords import Passwords, check_password
from millrace.auth.logins.sessions import Origin, wrong_login
from millrace.auth.permissions import Role
from millrace.auth.principal import Principal, UserKind
from millrace.auth.repository import AccountRow
from millrace.core.errors import Conflict, Fault, Forbidden, InvalidRequest, NotFound, Unauthenticated
from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Accounts:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        logging_in: LoggingIn,
        authenticator: Authenticator,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._logging_in = logging_in
        self._authenticator = authenticator

    async def me(self, caller: Principal) -> JsonObject:
        return await self._me(await self._account(caller.user_id), caller)

    async def rename(self, caller: Principal, name: str) -> JsonObject:
        """Raises `InvalidRequest`, and `Conflict` for a service account, whose name is what it is known by."""
        if caller.kind is UserKind.SERVICE:
            raise Conflict("service_account", "a service account keeps its name")
        plain, now = checked_name(name), self._clock.now()

        def work(connection: "Connection") -> None:
            before = repository.find_account(connection, caller.user_id)
            repository.save_account(connection, caller.user_id, name=plain, updated_at=now)
            old = None if before is None else {"name": before.name}
            note(connection, Action.USER_UPDATE, caller.user_id, plain, before=old, after={"name": plain})

        await self._database.write(work)
        return await self.me(caller)

    async def change_password(self, caller: Principal, old: str, new: str, origin: Origin) -> None:
        """All other logins of the user end. Raises `InvalidRequest`, `Conflict`, `Forbidden`, `TooManyAttempts`."""
        account = await self._account(caller.user_id)
        if account.kind == UserKind.SERVICE or account.password_hash is None:
            raise Conflict("no_password", "this account has no password to change")
        check_password(new, account.email, account.name, path="new_password")
        try:
            checked = await self._logging_in.checked(account.email, old, origin)
        except Unauthenticated:
            raise _wrong_password() from None
        if new == old:
            fault = Fault("new_password", "value", "this is the password that you have", "write another one")
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
        hashed = await self._passwords.hashed(new)

        def work(connection: "Connection") -> bool:
            # Who knew the one before must not win over somebody who has changed it while this was looked at.
            known = repository.find_account(connection, caller.user_id)
            if known is None or known.disabled_at is not None or known.password_set_at != checked.password_set_at:
                return False
            self._set(connection, known, hashed, but=caller.session_id)
            return True

        if not await self._database.write(work):
            raise _wrong_password()

    async def reset(self, token: str, password: str) -> None:
        """Set a password by a token that an administrator has passed on. Raises `InvalidRequest`."""
        token_hash, now = hash_of(token), self._clock.now()

        def find(connection: "Connection") -> AccountRow | None:
            row = logins.find_reset(connection, token_hash)
            if row is None or row.used_at is not None or row.expires_at <= now:
                return None
            account = repository.find_account(connection, row.user_id)
            return None if account is None or account.disabled_at is not None else account

        account = await self._database.read(find)
        if account is None:
            raise _invalid_reset()
        check_password(password, account.email, account.name)
        hashed = await self._passwords.hashed(password)

        def work(connection: "Connection") -> bool:
            found = find(connection)
            if found is not None:
                self._set(connection, found, hashed)
            return found is not None

        if not await self._database.write(work):
            raise _invalid_reset()

    # --- the first start ----------------------------------------------------------------------------------------------

    async def setup_needed(self) -> bool:
        return not await self._database.read(repository.has_password)

    async def set_up(self, setup_key: str, email: str, name: str, password: str) -> JsonObject:
        """Give the first administrator an address and a password.

        Raises `Unauthenticated` unless the key is his, and `Conflict` once anybody has a password.
        """
        if not await self.setup_needed():
            raise _already_set_up()
        caller = await self._first_admin(setup_key)
        plain_email, plain_name = checked_email(email), checked_name(name)
        check_password(password, plain_email, plain_name)
        hashed = await self._passwords.hashed(password)

        def work(connection: "Connection") -> AccountRow | None:
            if repository.has_password(connection):
                raise _already_set_up()
            other = repository.find_by_email(connection, plain_email)
            if other is not None and other.id != caller.user_id:
                raise Conflict("email_taken", "another user has this e-mail address")
            repository.save_account(connection, caller.user_id, email=plain_email, name=plain_name)
            account = repository.find_account(connection, caller.user_id)
            if account is not None:
                told = {"name": account.name, "email": account.email}
                proven_as = (account.id, account.name)
                note(connection, Action.USER_UPDATE, account.id, account.name, after=told, by=proven_as)
                self._set(connection, account, hashed)
            return account

        account = await self._database.write(work)
        if account is None:
            raise wrong_login()
        return await self._me(account, caller)

    async def _first_admin(self, setup_key: str) -> Principal:
        try:
            caller = await self._authenticator.of_key(setup_key)
        except Unauthenticated:
            caller = None
        is_person = caller is not None and caller.kind is UserKind.PERSON
        if caller is None or not is_person or caller.role is not Role.ADMIN or caller.scopes is not None:
            message = "the setup key is wrong; it is the API key in the file api-key of the home folder"
            raise Unauthenticated("wrong_setup_key", message)
        return caller

    # --- logins -------------------------------------------------------------------------------------------------------

    async def sessions(self, caller: Principal, *, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Those that hold, the newest first."""
        before, now = decode_text(cursor), self._clock.now()
        idle_since = now - self._logging_in.sessions.idle
        rows = await self._database.read(
            lambda connection: logins.sessions_of(
                connection, caller.user_id, now=now, idle_since=idle_since, before=before, limit=limit + 1
            )
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1].id) if len(rows) > limit else None
        return Page([session_view(row, caller) for row in shown], more)

    async def end_session(self, caller: Principal, session_id: str) -> None:
        """Raises `NotFound` unless it is a login of the caller that has not ended."""
        if not await self._logging_in.sessions.end(session_id, "ended", of_user=caller.user_id):
            raise NotFound("session_not_found", f"you have no login {session_id[:100]!r}, or it has ended")

    async def log_out(self, caller: Principal) -> None:
        """Raises `Conflict` where it is an API key that proves the caller."""
        if caller.session_id is None:
            raise Conflict("no_session", "this request has an API key and no login; delete the key to end its use")
        await self._logging_in.sessions.end(caller.session_id, "logout", of_user=caller.user_id)

    async def log_out_everywhere(self, caller: Principal) -> int:
        return await self._logging_in.sessions.end_all(caller.user_id, "everywhere")

    def _set(
        self, connection: "Connection", account: AccountRow, password_hash: str, *, but: str | None = None
    ) -> None:
        """Another password: who got in by the one before is out."""
        now = max(self._clock.now(), (account.password_set_at or 0) + 1)
        repository.save_account(
            connection,
            account.id,
            password_hash=password_hash,
            password_set_at=now,
            must_change_password=False,
            updated_at=now,
        )
        logins.void_resets(connection, account.id, now)
        ended = logins.end_sessions_of(connection, account.id, "password", now, but=but)
        by, told = (account.id, account.name), {"logins_ended": ended}
        note(connection, Action.PASSWORD_CHANGE, account.id, account.name, after=told, by=by)

    async def _me(self, account: AccountRow, caller: Principal) -> JsonObject:
        key = None
        if caller.session_id is None:
            key = await self._database.read(lambda connection: key_rows.find_key(connection, caller.credential_id))
        return me_view(account, caller, key)

    async def _account(self, user_id: str) -> AccountRow:
        account = await self._database.read(lambda connection: repository.find_account(connection, user_id))
        if account is None:
            raise NotFound("user_not_found", "there is no such user")
        return account


def _already_set_up() -> Conflict:
    return Conflict("already_set_up", "this installation has been set up; log in, or ask an administrator for a reset")


def _wrong_password() -> Forbidden:
    return Forbidden("wrong_password", "the old password is wrong")


def _invalid_reset() -> InvalidRequest:
    fault = Fault(
        "token", "invalid_token", "there is no such token, or it was used, or its time is over", "ask for another reset"
    )
    return InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
