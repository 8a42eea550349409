"""Log in by an OpenID Connect provider: from a browser, and from a command line that has a browser do it."""

import hmac
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millrace.app.identity.oidc_accounts import OidcAccounts
from millrace.auth import repository as accounts
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.keys import hash_of
from millrace.auth.logins.sessions import Origin, Sessions, Tokens, WebLogin
from millrace.auth.logins.throttling import Throttle
from millrace.auth.oidc import repository
from millrace.auth.oidc.claims import Person, RoleRules, person_of
from millrace.auth.oidc.pending import Pending, PendingLogins, Program, challenge_of
from millrace.auth.oidc.provider import Provider
from millrace.auth.oidc.repository import LoginRow
from millrace.auth.oidc.tokens import TokenRefused
from millrace.auth.repository import AccountRow
from millrace.core.durations import UNITS
from millrace.core.errors import Forbidden, InvalidRequest, MillraceError, NotFound, Unauthenticated, Unavailable
from millrace.core.values import Duration, JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

CODE_PREFIX: Final = "mro_"
CODE_HOLDS: Final[Duration] = 5 * UNITS["m"]
LOGIN_PATH: Final = "/api/v1/auth/oidc/login"
CALLBACK_PATH: Final = "/api/v1/auth/oidc/callback"
SHOWN: Final = 40
"""Characters of an error's name that the provider has sent and the log repeats."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back from the provider by way of the browser; nothing of it is believed."""

    state: str | None
    code: str | None
    error: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True)
class Configured:
    """What logins by the provider of the settings need."""

    name: str
    public_url: str
    provider: Provider
    rules: RoleRules


class OidcLogins:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        pending: PendingLogins,
        throttle: Throttle,
        sessions: Sessions,
        configured: Configured | None,
        opening: OidcAccounts | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._pending = pending
        self._throttle = throttle
        self._sessions = sessions
        self._configured = configured
        self._opening = opening

    def shown(self) -> JsonObject:
        """Whether there is a provider, and what is to be known of it before a login."""
        by = self._configured
        if by is None:
            return {"enabled": False, "name": None, "login_url": None}
        return {"enabled": True, "name": by.name, "login_url": f"{by.public_url}{LOGIN_PATH}"}

    @property
    def public_url(self) -> str:
        """Raises `NotFound` where there is no provider."""
        return self._needed.public_url

    async def begin(self, path: str, program: Program | None) -> tuple[str, str]:
        """Where to send the browser, and what it keeps. Raises `NotFound`, `InvalidRequest`, `Unavailable`."""
        provider = self._needed.provider
        pending, kept = self._pending.begin(path, program)
        return await provider.login_url(pending), kept

    def begun(self, kept: str | None) -> Pending:
        """The login that this browser has begun. Raises `NotFound`, and `InvalidRequest` if none holds."""
        _ = self._needed
        pending = None if kept is None else self._pending.read(kept)
        if pending is None:
            raise InvalidRequest("login_expired", "this browser has begun no login, or too long ago; begin again")
        return pending

    async def web(self, pending: Pending, answered: Answered, origin: Origin) -> WebLogin:
        """Raises as `_proven`, and `Unauthenticated`."""
        account = await self._proven(pending, answered, origin, None)
        return await self._sessions.begin_web(account, origin)

    async def code(self, pending: Pending, program: Program, answered: Answered, origin: Origin) -> str:
        """A code that the program exchanges for tokens, once and within five minutes. Raises as `_proven`."""
        code = CODE_PREFIX + secrets.token_urlsafe(32)
        await self._proven(pending, answered, origin, (code, program))
        return code

    async def exchange(self, code: str, verifier: str, origin: Origin) -> Tokens:
        """Tokens for a code and the verifier of its challenge.

        Raises `NotFound`, `Unauthenticated` and `TooManyAttempts`.
        """
        _ = self._needed
        attempt = await self._throttle.begin_unnamed(origin.address)
        code_hash, now = hash_of(code), self._clock.now()

        def work(connection: "Connection") -> AccountRow | None:
            row = repository.login_of_code(connection, code_hash)
            if row is None or row.used_at is not None or row.expires_at <= now:
                return None
            # Used up also by a wrong verifier: whoever has stolen it tries once.
            repository.use_code(connection, row.state_hash, now)
            right = hmac.compare_digest(challenge_of(verifier).encode(), str(row.challenge).encode())
            return accounts.find_account(connection, row.user_id) if right else None

        account = await self._database.write(work)
        if account is None:
            raise Unauthenticated("invalid_code", "this code cannot be used: it was used, or its time is over")
        tokens = await self._sessions.begin(account, origin, None)
        await self._throttle.succeeded(attempt)
        return tokens

    async def logout_url(self, user_id: str) -> str | None:
        """Where the user can log out at the provider as well, if he is known there."""
        by = self._configured
        if by is None:
            return None
        issuer = by.provider.client.issuer
        known = await self._database.read(lambda connection: repository.has_identity(connection, user_id, issuer))
        return await by.provider.logout_url() if known else None

    # --- what comes back ----------------------------------------------------------------------------------------------

    async def _proven(
        self, pending: Pending, answered: Answered, origin: Origin, code: tuple[str, Program] | None
    ) -> AccountRow:
        """The user who has logged in.

        Raises `InvalidRequest` `login_mixed_up` for an answer to another login, `Unauthenticated` `login_refused` if
        the provider or what it says is refused, `Forbidden`, `TooManyAttempts` and `Unavailable`.
        """
        attempt = await self._throttle.begin_unnamed(origin.address)
        try:
            person = await self._person(pending, answered)
            account = await self._account(pending, person, code)
        except Unavailable:
            # Nothing that whoever logs in could be blamed for.
            await self._throttle.succeeded(attempt)
            raise
        except MillraceError as error:
            logger.info("a login by the OpenID Connect provider was refused: %s", error.code)
            told = {"reason": f"login provider: {error.code}"}
            await self._database.write(lambda connection: note(connection, Action.LOGIN_FAIL, None, after=told))
            raise
        await self._throttle.succeeded(attempt)
        return account

    async def _person(self, pending: Pending, answered: Answered) -> Person:
        by = self._needed
        if answered.state is None or not hmac.compare_digest(answered.state.encode(), pending.state.encode()):
            raise _mixed_up()
        if not await by.provider.answered_by(answered.issuer):
            raise _mixed_up()
        if answered.error is not None:
            raise _refused_by(answered.error)
        if answered.code is None:
            raise _mixed_up()
        try:
            claims = await by.provider.claims_for(answered.code, pending)
        except TokenRefused as error:
            logger.warning("what the OpenID Connect provider said of a login is not believed: %s", error)
            raise Unauthenticated(
                "login_refused", "the answer of the login provider cannot be used; begin again"
            ) from None
        return person_of(by.provider.client.issuer, claims, by.rules)

    async def _account(self, pending: Pending, person: Person, code: tuple[str, Program] | None) -> AccountRow:
        assert self._opening is not None, "there is a provider"  # noqa: S101
        opening, now = self._opening, self._clock.now()

        def work(connection: "Connection") -> AccountRow:
            if repository.find_login(connection, hash_of(pending.state)) is not None:
                raise _mixed_up()
            account = opening.opened(connection, person, now)
            row = LoginRow(hash_of(pending.state), account.id, None, None, pending.expires_at)
            if code is not None:
                text, program = code
                expires_at = max(pending.expires_at, now + CODE_HOLDS)
                row = LoginRow(row.state_hash, account.id, hash_of(text), program.challenge, expires_at)
            repository.add_login(connection, row)
            return account

        return await self._database.write(work)

    @property
    def _needed(self) -> Configured:
        if self._configured is None:
            raise NotFound("oidc_not_configured", "this installation has no login provider; see MILLRACE_OIDC_ISSUER")
        return self._configured


def _mixed_up() -> InvalidRequest:
    return InvalidRequest(
        "login_mixed_up", "this answer belongs to no login of this browser, or was used already; begin again"
    )


def _refused_by(error: str) -> MillraceError:
    """For an error that the provider has sent by way of the browser (RFC 6749, section 4.1.2.1)."""
    known = error if error.isidentifier() and error.isascii() and len(error) <= SHOWN else "an unknown one"
    if known == "access_denied":
        return Forbidden("access_denied", "the login provider did not let you in, or you have cancelled the login")
    if known in ("temporarily_unavailable", "server_error"):
        logger.warning("the OpenID Connect provider answered a login with the error %s", known)
        return Unavailable("oidc_unavailable", "the login provider has trouble; try again in a moment")
    logger.warning("the OpenID Connect provider answered a login with the error %s", known)
    return Unauthenticated("login_refused", "the login provider answered with an error; the log of the server names it")
