"""Which triggered starts a canary takes. Pure: the same answer in every process, and for a firing that is repeated.

Nothing is drawn and nothing is counted. Each start has a place among 10,000, which follows from the canary and from
what names the occasion; the canary takes those below its share. So a larger share takes all that a smaller one took.
"""

from dataclasses import dataclass
from hashlib import blake2b

PLACES = 10_000
"""A share is told in so many parts of the whole: in hundredths of a percent."""


@dataclass(frozen=True, slots=True)
class LiveCanary:
    """A second version of a workflow that takes a share of its triggered runs."""

    id: str
    version: int
    version_id: str
    share: int
    """In hundredths of a percent."""

    def takes(self, trigger_id: str, occasion: str) -> bool:
        """`occasion`: what a repeated firing of this trigger has in common with the first, its start key."""
        return place_of(self.id, trigger_id, occasion) < self.share


def place_of(canary_id: str, trigger_id: str, occasion: str) -> int:
    """From 0 to 9,999. Another canary shuffles anew, so that nobody's events are always the ones to be tried out."""
    digest = blake2b("\0".join((canary_id, trigger_id, occasion)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % PLACES
