"""From an API key to a principal. Known keys are answered from memory, so that a request costs no database read.

A revoked key is forgotten in the same call that revokes it; expiry is checked at every use. When a key was last used
is kept in memory and written in batches, since a write per request would cost more than the request.
"""

from collections import OrderedDict
from dataclasses import dataclass

from millrace.auth import repository
from millrace.auth.keys import hash_of, looks_like_key, new_key
from millrace.auth.permissions import Role
from millrace.auth.principal import Principal
from millrace.core.errors import Unauthenticated
from millrace.core.values import Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

MAX_CACHED = 4096

REFUSAL = "send a valid API key in the header X-API-Key; the first one is in the file api-key of the home folder"


@dataclass(frozen=True, slots=True)
class KnownKey:
    principal: Principal
    expires_at: Instant | None


class Authenticator:
    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._known: OrderedDict[str, KnownKey] = OrderedDict()
        self._revocations = 0
        self._used: dict[str, Instant] = {}

    async def authenticate(self, key: str | None) -> Principal:
        """Whose key this is. Raises `Unauthenticated`, in the same words for every reason."""
        if not key or not looks_like_key(key):
            raise Unauthenticated("unauthenticated", REFUSAL)
        key_hash = hash_of(key)
        known = self._known.get(key_hash) or await self._find(key_hash)
        now = self._clock.now()
        if known is None or (known.expires_at is not None and known.expires_at <= now):
            raise Unauthenticated("unauthenticated", REFUSAL)
        self._used[known.principal.key_id] = now
        return known.principal

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
        revoked = await self._database.write(lambda connection: repository.revoke_key(connection, key_id, now))
        self._revocations += 1
        for key_hash in [hash_ for hash_, known in self._known.items() if known.principal.key_id == key_id]:
            del self._known[key_hash]
        return revoked

    async def write_uses(self) -> None:
        """Write the last uses that came together since the last call."""
        used, self._used = self._used, {}
        if used:
            await self._database.write(lambda connection: repository.note_use(connection, used))

    async def _find(self, key_hash: str) -> KnownKey | None:
        revocations = self._revocations
        row = await self._database.read(lambda connection: repository.find_key(connection, key_hash))
        if row is None or row.revoked_at is not None or row.disabled_at is not None:
            return None
        known = KnownKey(Principal(row.user_id, row.user_name, Role(row.role), row.key_id), row.expires_at)
        # What was read before a revocation committed must not be remembered after it.
        if revocations == self._revocations:
            self._known[key_hash] = known
            if len(self._known) > MAX_CACHED:
                self._known.popitem(last=False)
        return known
