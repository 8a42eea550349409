"""Which requests are sent again, and when.

Only a request that cannot do anything twice: one that reads, one with an idempotency key (as start and retry send), or
one of which it is certain that the server did nothing about it (it could not be reached at all, or it answered 429).
"""

import random
import time
from dataclasses import dataclass
from typing import Final

from millrace.client.errors import MillraceError, RequestRefused, TooManyRequests, Unreachable

PASSING: Final = frozenset({429, 502, 503, 504})
"""Answers that another attempt may change."""

PATIENCE_SECONDS: Final = 60.0
"""How long the server may be away in the middle of something that lasts, a restart for example."""

LONGEST_RETRY_AFTER: Final = 60.0
"""A server that asks for more seconds than this gets no further attempt; the caller hears of it at once."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """At most `retries` further attempts, after `first` seconds, then twice as long each time, up to `longest`."""

    retries: int = 4
    first: float = 0.25
    longest: float = 8.0

    def pause(self, failures: int, failure: MillraceError, *, repeatable: bool) -> float | None:
        """Seconds until the next attempt after so many failed ones, `None` if there is to be none."""
        if failures > self.retries or not _may_pass(failure, repeatable):
            return None
        asked = failure.retry_after if isinstance(failure, RequestRefused) else None
        if asked is not None and asked > LONGEST_RETRY_AFTER:
            return None
        longest = min(self.first * 2 ** (failures - 1), self.longest)
        return max(asked or 0.0, random.uniform(longest / 2, longest))  # noqa: S311  spreads load, protects nothing


def _may_pass(failure: MillraceError, repeatable: bool) -> bool:
    match failure:
        case TooManyRequests() | Unreachable(sent=False):
            return True
        case RequestRefused(status=status):
            return repeatable and status in PASSING
        case Unreachable():
            return repeatable
        case _:
            return False


class Patience:
    """For what lasts longer than a request: lets failures pass until the server has been away for too long."""

    def __init__(self) -> None:
        self._away_since: float | None = None

    def there(self) -> None:
        """The server has answered."""
        self._away_since = None

    def away(self, failure: MillraceError) -> None:
        """Raises `failure` if it is not one that passes, or if it has not passed for too long."""
        if not _may_pass(failure, repeatable=True):
            raise failure
        self._away_since = self._away_since or time.monotonic()
        if time.monotonic() - self._away_since > PATIENCE_SECONDS:
            raise failure
