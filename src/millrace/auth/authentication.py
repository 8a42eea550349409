"""From a credential to a principal: one indexed read for each request, and nothing is remembered.

So what is revoked, disabled or given another role is so at once, in every process. When a credential was last used is
kept in memory and written in batches, since a write per request would cost more than the request.
"""

from millrace.auth import repository
from millrace.auth.keys import hash_of, looks_like_key, new_key
from millrace.auth.principal import Principal
from millrace.core.errors import Unauthenticated
from millrace.core.values import Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

REFUSAL = "send a valid API key in the header X-API-Key; the first one is in the file api-key of the home folder"


class Authenticator:
    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._used: dict[str, Instant] = {}

    async def authenticate(self, key: str | None) -> Principal:
        """Whose key this is. Raises `Unauthenticated`, in the same words for every reason."""
        if not key or not looks_like_key(key):
            raise Unauthenticated("unauthenticated", REFUSAL)
        found = await repository.find_key(self._database, hash_of(key))
        now = self._clock.now()
        if found is None or not _key_holds(found, now):
            raise Unauthenticated("unauthenticated", REFUSAL)
        self._used[found.principal.credential_id] = now
        return found.principal

    async def create_key(self, user_id: str, name: str) -> tuple[str, str]:
        """A new key of a user: its id, and its text, which is kept nowhere."""
        key, key_id, now = new_key(), self._ids.new(), self._clock.now()
        await self._database.write(
            lambda connection: repository.add_key(
                connection, key_id=key_id, user_id=user_id, name=name, key=key, now=now
            )
        )
        return key_id, key.text

    async def revoke_key(self, key_id: str) -> bool:
        """The key is refused from when this returns. False if there is no such key in use."""
        now = self._clock.now()
        return await self._database.write(lambda connection: repository.revoke_key(connection, key_id, now))

    async def write_uses(self) -> None:
        """Write the last uses that came together since the last call."""
        used, self._used = self._used, {}
        if used:
            await self._database.write(lambda connection: repository.note_use(connection, used))


def _key_holds(found: repository.Proven, now: Instant) -> bool:
    expires_at = found.row["expires_at"]
    ended = found.row["revoked_at"] is not None or found.row["disabled_at"] is not None
    return not ended and (expires_at is None or now < expires_at)
