"""How several processes count together: once a second each tells of those who have used an eighth of a limit or more.

A row is the bucket of all processes: telling is filling it, and the answer is how full all of them have made it. Where
nobody comes near a limit nothing is told, read or written, and a process that is alone has nobody to tell. The price:
in each process an eighth of a limit, and what comes within a second, is not counted by the others.
"""

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from millrace.auth.limits.limits import RateLimits
from millrace.auth.limits.repository import delete_empty, fill
from millrace.core.values import SECOND
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from millrace.auth.limits.buckets import Bucket, Buckets

WORTH_TELLING: Final = 1 / 8
PAUSE: Final = 1.0
MOST_AT_ONCE: Final = 1_000
DELETED_AT_ONCE: Final = 1_000
KEPT: Final = 60 * SECOND
"""Beyond the moment at which a bucket is empty, since clocks differ."""


class RateSharing(Service):
    """Tells the others, while there is something to tell."""

    interval = 60.0

    def __init__(self, limits: RateLimits, database: Database) -> None:
        super().__init__()
        self._limits = limits
        self._database = database
        self._busy = False
        for limit in limits.all:
            if limit.buckets is not None:
                limit.buckets.share(WORTH_TELLING, self._begin)

    def _begin(self) -> None:
        if not self._busy:
            self._busy = True
            self.wake()

    async def run_once(self) -> float | None:
        untold = self._untold()
        self._busy = bool(untold)
        if not untold:
            return None
        told = {name: round(seconds * SECOND) for name, (_, _, _, seconds) in untold.items()}
        for name, filled in await self._database.write(partial(_filled, told=told)):
            buckets, bucket, requests, _ = untold[name]
            buckets.learn(bucket, requests, filled / SECOND)
        return PAUSE

    def _untold(self) -> "dict[str, tuple[Buckets, Bucket, int, float]]":
        """By the names of rows: of what, the bucket, requests, and the seconds they have filled it by."""
        found: dict[str, tuple[Buckets, Bucket, int, float]] = {}
        for limit in self._limits.all:
            if (buckets := limit.buckets) is None:
                continue
            for subject, bucket, seconds in islice(buckets.untold(), MOST_AT_ONCE - len(found)):
                found[f"{limit.name}:{subject}"] = buckets, bucket, bucket.untold, seconds
        return found


def _filled(connection: "Connection", told: dict[str, int]) -> list[tuple[str, int]]:
    return list(fill(connection, told))


class EmptyBuckets(Service):
    """Deletes the rows of those who have not come near a limit for a while."""

    interval = 600.0

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._clock = clock

    async def run_once(self) -> float | None:
        before = self._clock.now() - KEPT
        deleted = await self._database.write(lambda connection: delete_empty(connection, before, DELETED_AT_ONCE))
        return 1.0 if deleted == DELETED_AT_ONCE else None
