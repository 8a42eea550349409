"""How much of a rate each subject has used: one bucket each, which requests fill and time empties.

A bucket is the moment at which it will be empty again: that is all there is to know, so a check is one look into a
dictionary, and what another process has counted is added by adding (the leaky bucket as a meter, in the form of ITU-T
I.371). A full bucket's worth of requests may come at once; from then on they come at the rate.

What is remembered is bounded: subjects are kept in two generations, and when the younger is full the older is dropped
with those that were not seen meanwhile.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Final

from millrace.core.rates import Rate
from millrace.core.values import SECOND

MOST_SUBJECTS: Final = 32_768
"""Of one generation."""


class Bucket:
    __slots__ = ("empty_at", "untold")

    def __init__(self, empty_at: float) -> None:
        self.empty_at = empty_at
        """Monotonic seconds."""
        self.untold = 0
        """Requests that other processes have not been told of."""


class Buckets:
    """Those of one rate. Seconds are of a monotonic clock."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float], most: int = MOST_SUBJECTS) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._most = most
        self.interval = rate.interval / SECOND
        self._depth = rate.period / SECOND
        # A request fits if the bucket is not fuller than this; sums of fractions are a little more than they should be.
        self._fullest = self._depth - self.interval * 0.999
        self._young: dict[str, Bucket] = {}
        self._old: dict[str, Bucket] = {}
        self._worth_telling = inf
        self._tell: Callable[[], None] = lambda: None

    def share(self, worth_telling: float, tell: Callable[[], None]) -> None:
        """Have `tell` called whenever a request finds its bucket fuller than this part of it."""
        self._worth_telling = self._depth * worth_telling
        self._tell = tell

    def take(self, subject: str) -> float:
        """Count a request and answer 0; or count nothing and answer the seconds until one fits."""
        now = self._monotonic()
        bucket = self._young.get(subject) or self._found(subject, now)
        begins = bucket.empty_at if bucket.empty_at > now else now
        if begins - now > self._fullest:
            return begins - now - self._fullest
        if begins - now > self._worth_telling:
            self._tell()
        bucket.empty_at = begins + self.interval
        bucket.untold += 1
        return 0.0

    def give_back(self, subject: str) -> None:
        """A request that was counted was none of this subject's after all."""
        if (bucket := self._young.get(subject) or self._old.get(subject)) is not None:
            bucket.empty_at -= self.interval
            bucket.untold = max(bucket.untold - 1, 0)

    def seconds_until_one_fits(self, subject: str) -> float:
        return max(self.seconds_until_empty(subject) - self._fullest, 0.0)

    def seconds_until_empty(self, subject: str) -> float:
        bucket = self._young.get(subject) or self._old.get(subject)
        return 0.0 if bucket is None else max(bucket.empty_at - self._monotonic(), 0.0)

    def untold(self) -> Iterator[tuple[str, Bucket, float]]:
        """What is worth telling, and is not told: subject, bucket, and by how many seconds requests have filled it."""
        now = self._monotonic()
        for subject, bucket in (*self._young.items(), *self._old.items()):
            filled = bucket.empty_at - now
            if bucket.untold and filled > self._worth_telling:
                yield subject, bucket, min(bucket.untold * self.interval, filled)

    def learn(self, bucket: Bucket, told: int, filled: float) -> None:
        """So many requests were told, and everybody together has filled the bucket by so many seconds."""
        bucket.untold = max(bucket.untold - told, 0)
        since = bucket.untold * self.interval
        bucket.empty_at = max(bucket.empty_at, self._monotonic() + filled + since)

    def _found(self, subject: str, now: float) -> Bucket:
        """The bucket of a subject that is not among the younger ones; it is from now on."""
        bucket = self._old.pop(subject, None) or Bucket(now)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[subject] = bucket
        return bucket

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
