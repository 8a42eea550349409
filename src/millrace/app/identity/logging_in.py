"""Log in by a password: for the web, and for programs. Who fails learns nothing but that."""

from millrace.app.identity.texts import plain_email
from millrace.auth import repository
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.logins.passwords import Passwords
from millrace.auth.logins.sessions import Origin, Sessions, Tokens, WebLogin, wrong_login
from millrace.auth.logins.throttling import Throttle
from millrace.auth.permissions import PERMISSIONS, Permission, Role
from millrace.auth.repository import AccountRow
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import Instant
from millrace.ports.database import Database


class LoggingIn:
    def __init__(self, database: Database, passwords: Passwords, throttle: Throttle, sessions: Sessions) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle
        self.sessions = sessions

    async def web(self, email: str, password: str, origin: Origin) -> tuple[AccountRow, WebLogin]:
        """Raises `Unauthenticated`, `TooManyAttempts`, `Unavailable`."""
        account = await self.checked(email, password, origin)
        return account, await self.sessions.begin_web(account, origin)

    async def tokens(
        self, email: str, password: str, origin: Origin, scopes: frozenset[Permission] | None = None
    ) -> Tokens:
        """As `web`, and `InvalidRequest` `invalid_scope` for what the user may not do himself."""
        account = await self.checked(email, password, origin)
        beyond = sorted((scopes or frozenset()) - PERMISSIONS[Role(account.role)])
        if beyond:
            fault = Fault("scope", "value", f"your role does not have {', '.join(beyond)}", "ask for less")
            raise InvalidRequest("invalid_scope", "the scope goes beyond the role", faults=[fault])
        return await self.sessions.begin(account, origin, scopes)

    async def checked(self, email: str, password: str, origin: Origin) -> AccountRow:
        """The user whose password this is. An account that there is not costs as much work, and answers the same."""
        self._passwords.refuse_if_crowded()
        plain = plain_email(email)
        attempt = await self._throttle.begin(plain, origin.address)
        account = await self._database.read(lambda connection: repository.find_by_email(connection, plain))
        kept = None if account is None else account.password_hash
        right, fresh = await self._passwords.verified(password, kept)
        if account is None or not right or account.disabled_at is not None:
            await self._note_failure(account, right=right)
            raise wrong_login()
        await self._throttle.succeeded(attempt)
        if fresh is not None:
            await self._keep(account.id, account.password_set_at, fresh)
        return account

    async def _note_failure(self, account: AccountRow | None, *, right: bool) -> None:
        """It failed after it was counted, so this is a write of its own. What was typed is not kept: people type their
        passwords into the wrong field."""
        reason = "no such user" if account is None else "disabled" if right else "wrong password"
        entity = (None, None) if account is None else (account.id, account.name)
        told = {"reason": reason}
        await self._database.write(lambda connection: note(connection, Action.LOGIN_FAIL, *entity, after=told))

    async def _keep(self, user_id: str, set_at: Instant | None, password_hash: str) -> None:
        """The same password, hashed as it is done now; unless it has been changed meanwhile."""
        await self._database.write(
            lambda connection: repository.rehash(connection, user_id, set_at, password_hash=password_hash)
        )
