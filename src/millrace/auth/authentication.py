"""From a credential to a principal: one indexed read for each request, and nothing is remembered.

So what is revoked, ended, disabled or given another role is so at once, in every process. When a credential was last
used is kept in memory and written in batches, since a write per request would cost more than the request.
"""

from millrace.auth import repository
from millrace.auth.keys import hash_of, looks_like_key
from millrace.auth.logins import repository as logins
from millrace.auth.logins.sessions import Sessions
from millrace.auth.principal import Principal
from millrace.auth.refusals import over, refusal, refuse_after, refuse_without_user
from millrace.core.values import Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database


class Authenticator:
    """Each way raises `Unauthenticated`; only who has a true credential is told why it does not hold."""

    def __init__(self, database: Database, clock: Clock, sessions: Sessions) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._used_keys: dict[str, Instant] = {}
        self._used_sessions: dict[str, Instant] = {}

    async def of_key(self, key: str) -> Principal:
        found = await repository.find_key(self._database, hash_of(key)) if looks_like_key(key) else None
        if found is None:
            raise refusal()
        now = self._clock.now()
        refuse_without_user("API key", found.row)
        if found.row["revoked_at"] is not None:
            raise over("API key", "was revoked")
        refuse_after("API key", found.row["expires_at"], now)
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
