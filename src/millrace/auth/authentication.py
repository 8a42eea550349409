"""From a credential to a principal: one indexed read for each request, and nothing is remembered.

So what is revoked, ended, disabled or given another role is so at once, in every process. When a credential was last
used is kept in memory and written in batches, since a write per request would cost more than the request.
"""

from millrace.auth import repository
from millrace.auth.keys import hash_of, looks_like_key
from millrace.auth.logins import repository as logins
from millrace.auth.logins.sessions import Sessions
from millrace.auth.principal import Principal
from millrace.core.errors import Unauthenticated
from millrace.core.values import Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database

REFUSAL = (
    "send a valid API key in the header X-API-Key, or an access token as Authorization: Bearer; the first API key is "
    "in the file api-key of the home folder, POST /api/v1/auth/token gives tokens"
)


class Authenticator:
    """Each way raises `Unauthenticated`, in the same words for every reason."""

    def __init__(self, database: Database, clock: Clock, sessions: Sessions) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._used_keys: dict[str, Instant] = {}
        self._used_sessions: dict[str, Instant] = {}

    async def of_key(self, key: str) -> Principal:
        found = await repository.find_key(self._database, hash_of(key)) if looks_like_key(key) else None
        now = self._clock.now()
        if found is None or not _key_holds(found, now):
            raise refusal()
        self._used_keys[found.principal.credential_id] = now
        return found.principal

    async def of_bearer(self, token: str) -> Principal:
        """An API key or an access token."""
        if looks_like_key(token):
            return await self.of_key(token)
        return self._of_session(await self._sessions.of_access_token(token))

    async def of_cookie(self, value: str) -> Principal:
        return self._of_session(await self._sessions.of_cookie(value))

    def _of_session(self, found: Principal | None) -> Principal:
        if found is None:
            raise refusal()
        self._used_sessions[found.credential_id] = self._clock.now()
        return found

    async def write_uses(self) -> None:
        """Write the last uses that came together since the last call."""
        keys, self._used_keys = self._used_keys, {}
        sessions, self._used_sessions = self._used_sessions, {}
        if keys:
            await self._database.write(lambda connection: repository.note_use(connection, keys))
        if sessions:
            await self._database.write(lambda connection: logins.note_use(connection, sessions))


def refusal() -> Unauthenticated:
    return Unauthenticated("unauthenticated", REFUSAL)


def _key_holds(found: repository.Proven, now: Instant) -> bool:
    expires_at = found.row["expires_at"]
    ended = found.row["revoked_at"] is not None or found.row["disabled_at"] is not None
    return not ended and (expires_at is None or now < expires_at)
