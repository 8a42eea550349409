"""Logins: begun with a password, held by a cookie or by tokens, and ended by whoever they belong to.

A refresh token is used once. One that comes a second time was stolen, or the thief was quicker: the login ends, for
both. Tokens and cookies are 32 random bytes, of which the database has the hash.
"""

import logging
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millrace.auth import repository as users
from millrace.auth.audit.acting import acting
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.keys import hash_of
from millrace.auth.logins import repository
from millrace.auth.logins.access_tokens import AccessTokens, Claims
from millrace.auth.logins.repository import TOKEN, WEB, RefreshRow, SessionRow
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.refusals import over, refuse_after, refuse_without_user
from millrace.auth.repository import AccountRow, Proven
from millrace.core.errors import Unauthenticated
from millrace.core.values import Duration, Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

COOKIE_PREFIX: Final = "mrw_"
REFRESH_PREFIX: Final = "mrr_"

BEFORE_ALL: Final[Instant] = 0
"""A time at which no access token is over, whoever has one."""

_TEXT = re.compile(r"mr[wr]_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, as far as the server can tell."""

    address: str
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class WebLogin:
    session_id: str
    cookie: str
    """Its value, which nobody else has."""
    expires_at: Instant


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program gets that logs in, and again each time it refreshes."""

    access_token: str
    lifetime: Duration
    refresh_token: str
    scopes: frozenset[Permission] | None


class Sessions:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        tokens: AccessTokens,
        *,
        lifetime: Duration,
        idle: Duration,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._tokens = tokens
        self._lifetime = lifetime
        self._idle = idle
        self._installation_id: str | None = None

    # --- who it is ----------------------------------------------------------------------------------------------------

    async def of_cookie(self, value: str) -> Principal | None:
        """`None` for no login of ours. Raises `Unauthenticated` for one that holds no more."""
        if not _TEXT.fullmatch(value):
            return None
        return self._holding(await repository.of_cookie(self._database, hash_of(value)))

    async def of_access_token(self, token: str) -> Principal | None:
        """As `of_cookie`."""
        claims = self._tokens.read(await self._issuer(), token, self._clock.now())
        if claims is None:
            if self._tokens.read(await self._issuer(), token, BEFORE_ALL) is not None:
                raise over("access token")
            return None
        return self._holding(await repository.of_session(self._database, claims.session_id, claims.user_id))

    def _holding(self, found: Proven | None) -> Principal | None:
        if found is None:
            return None
        refuse_without_user("login", found.row)
        if found.row["ended_at"] is not None:
            raise over("login", "has ended")
        refuse_after("login", min(found.row["expires_at"], found.row["last_used_at"] + self._idle), self._clock.now())
        return found.principal

    # --- login --------------------------------------------------------------------------------------------------------

    async def begin_web(self, account: AccountRow, origin: Origin) -> WebLogin:
        """Raises `Unauthenticated` if the user may not log in any more, or has another password by now."""
        value = COOKIE_PREFIX + secrets.token_urlsafe(32)
        row = self._new(account, origin, WEB, hash_of(value), None)
        await self._begin(account, row, None)
        return WebLogin(row.id, value, row.expires_at)

    async def begin(self, account: AccountRow, origin: Origin, scopes: frozenset[Permission] | None) -> Tokens:
        """As `begin_web`, for a program."""
        row = self._new(account, origin, TOKEN, None, users.scopes_text(scopes))
        refresh = REFRESH_PREFIX + secrets.token_urlsafe(32)
        await self._begin(account, row, refresh)
        return await self._told(account.id, row.id, scopes, refresh)

    def _new(
        self, account: AccountRow, origin: Origin, kind: str, token_hash: str | None, scopes: str | None
    ) -> SessionRow:
        now = self._clock.now()
        agent = None if origin.user_agent is None else origin.user_agent[:255]
        return SessionRow(
            id=self._ids.new(),
            user_id=account.id,
            kind=kind,
            token_hash=token_hash,
            scopes=scopes,
            address=origin.address[:64],
            user_agent=agent,
            created_at=now,
            expires_at=now + self._lifetime,
            last_used_at=now,
        )

    async def _begin(self, account: AccountRow, row: SessionRow, refresh: str | None) -> None:
        def work(connection: "Connection") -> bool:
            # A password that was changed while it was being looked at has ended all logins but this one.
            known = users.find_account(connection, account.id)
            if known is None or known.disabled_at is not None or known.password_set_at != account.password_set_at:
                return False
            repository.add_session(connection, row)
            users.save_account(connection, account.id, last_login_at=row.created_at)
            if refresh is not None:
                self._add_refresh(connection, row.id, row.expires_at, refresh)
            told = {"kind": row.kind, "user_agent": row.user_agent, "scopes": row.scopes}
            note(connection, Action.LOGIN_START, row.id, known.name, after=told, by=(known.id, known.name))
            return True

        if not await self._database.write(work):
            raise wrong_login()

    # --- refresh ------------------------------------------------------------------------------------------------------

    async def refresh(self, token: str) -> Tokens:
        """New tokens for a refresh token, which is used up. Raises `Unauthenticated`, for every reason the same."""
        fresh, token_hash = REFRESH_PREFIX + secrets.token_urlsafe(32), hash_of(token)
        now = self._clock.now()

        def work(connection: "Connection") -> RefreshRow | None:
            row = repository.find_refresh(connection, token_hash)
            if row is not None and row.used_at is not None:
                repository.end_session(connection, row.session_id, "reuse", now)
                account = users.find_account(connection, row.user_id)
                name = row.user_id if account is None else account.name
                note(connection, Action.LOGIN_REUSE, row.session_id, name, by=(row.user_id, name))
            elif row is not None and _may_refresh(row, now):
                repository.use_refresh(connection, token_hash, now)
                repository.note_use(connection, {row.session_id: now})
                self._add_refresh(connection, row.session_id, row.session_expires_at, fresh)
            return row

        row = None
        if _TEXT.fullmatch(token):
            # What never was a token writes nothing, however often it comes.
            row = await self._database.read(lambda connection: repository.find_refresh(connection, token_hash))
        row = None if row is None else await self._database.write(work)
        if row is not None and row.used_at is not None:
            logger.warning(
                "a refresh token of the login %s of user %s came a second time; the login has ended",
                row.session_id,
                row.user_id,
            )
        if row is None or not _may_refresh(row, now):
            raise Unauthenticated("invalid_refresh_token", "this refresh token cannot be used; log in again")
        return await self._told(row.user_id, row.session_id, users.scopes_in(row.scopes), fresh)

    def _add_refresh(self, connection: "Connection", session_id: str, ends_at: Instant, token: str) -> None:
        now = self._clock.now()
        expires_at = min(ends_at, now + self._idle)
        repository.add_refresh(
            connection, token_hash=hash_of(token), session_id=session_id, issued_at=now, expires_at=expires_at
        )

    async def _told(self, user_id: str, session_id: str, scopes: frozenset[Permission] | None, refresh: str) -> Tokens:
        access = self._tokens.make(await self._issuer(), Claims(user_id, session_id), self._clock.now())
        return Tokens(access, self._tokens.lifetime, refresh, scopes)

    async def _issuer(self) -> str:
        if self._installation_id is None:
            self._installation_id = await repository.installation_id(self._database)
        return self._installation_id

    # --- end ----------------------------------------------------------------------------------------------------------

    async def end(self, session_id: str, because: str, *, of_user: str) -> bool:
        """It is refused from when this returns. False if the user has no such login."""
        now = self._clock.now()

        def work(connection: "Connection") -> bool:
            ended = repository.end_session(connection, session_id, because, now, of_user)
            if ended:
                told = {"user_id": of_user, "because": because}
                note(connection, Action.LOGIN_END, session_id, acting().name, after=told)
            return ended

        return await self._database.write(work)

    async def end_all(self, user_id: str, because: str) -> int:
        """Answers how many logins there were."""
        now = self._clock.now()

        def work(connection: "Connection") -> int:
            ended = repository.end_sessions_of(connection, user_id, because, now)
            if ended:
                told = {"user_id": user_id, "because": because, "ended": ended}
                note(connection, Action.LOGIN_END, None, acting().name, after=told)
            return ended

        return await self._database.write(work)

    @property
    def idle(self) -> Duration:
        return self._idle


def _may_refresh(row: RefreshRow, now: Instant) -> bool:
    ended = row.used_at is not None or row.ended_at is not None or row.disabled_at is not None
    return not ended and now < min(row.expires_at, row.session_expires_at)


def wrong_login() -> Unauthenticated:
    """Whatever the reason."""
    return Unauthenticated("wrong_login", "the e-mail address or the password is wrong")
