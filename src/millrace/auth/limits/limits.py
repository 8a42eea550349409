"""The limits on how many requests there may be: of one credential, one user, one address, and of strangers.

Who brings no credentials is counted by his address before anything is looked up, so that keys cannot be guessed fast;
and so is a credential that has not been valid lately. A credential that has is not held up by what others at its
address try. Only that is remembered of it, as a hash, and it is looked up for each request all the same.
"""

from collections.abc import Callable
from functools import lru_cache
from math import ceil

from millrace.auth.limits.buckets import Buckets
from millrace.auth.limits.known import Known
from millrace.auth.limits.senders import Senders
from millrace.auth.logins.throttling import network_of
from millrace.auth.principal import Principal
from millrace.config import Settings
from millrace.core.errors import MillraceError
from millrace.core.rates import parse_rate


class RateLimited(MillraceError):
    """429: `retry_after` seconds."""

    def __init__(self, whose: str, setting: str, limit: int, retry_after: int, reset: int) -> None:
        super().__init__(
            "rate_limited", f"too many requests {whose}; try again in {retry_after} s ({setting} says how many)"
        )
        self.retry_after = retry_after
        self.limit = limit
        self.reset = reset
        """Seconds until as many as the limit says would be taken at once again."""


class RateLimit:
    """One of the limits."""

    def __init__(
        self, name: str, whose: str, text: str, monotonic: Callable[[], float], setting: str | None = None
    ) -> None:
        """`setting`: how the one that says how many ends, if not as the name."""
        self.name = name
        self._whose = whose
        self._setting = f"MILLRACE_RATE_LIMIT_{(setting or name).upper()}"
        rate = parse_rate(text)
        self.buckets = None if rate is None else Buckets(rate, monotonic)

    def take(self, subject: str) -> None:
        """Raises `RateLimited`."""
        if self.buckets is not None and (wait := self.buckets.take(subject)) > 0.0:
            raise self._limited(self.buckets, subject, wait)

    def refuse_if_full(self, subject: str) -> None:
        """Raises `RateLimited`, and counts nothing."""
        if self.buckets is not None and (wait := self.buckets.seconds_until_one_fits(subject)) > 0.0:
            raise self._limited(self.buckets, subject, wait)

    def give_back(self, subject: str) -> None:
        if self.buckets is not None:
            self.buckets.give_back(subject)

    def _limited(self, buckets: Buckets, subject: str, wait: float) -> RateLimited:
        reset = ceil(buckets.seconds_until_empty(subject))
        return RateLimited(self._whose, self._setting, buckets.rate.number, ceil(wait), reset)


class Visit:
    """A request from an address until it is known whose it is."""

    __slots__ = ("_limits", "_place", "counted", "credential")

    def __init__(self, limits: "RateLimits", place: str, credential: int | None) -> None:
        self._limits = limits
        self._place = place
        self.credential = credential
        self.counted = credential is None or credential not in limits.known
        """As one of a stranger."""

    def begin(self) -> None:
        """Raises `RateLimited`."""
        self._limits.address.take(self._place)
        if self.counted:
            self._limits.anonymous.take(self._place)

    def belongs_to(self, caller: Principal) -> None:
        """The credential was valid. Raises `RateLimited`."""
        if self.credential is not None:
            self._limits.known.add(self.credential)
            if self.counted:
                self._limits.anonymous.give_back(self._place)
                self.counted = False
        self._limits.key.take(caller.credential_id)
        self._limits.user.take(caller.user_id)

    def is_refused(self) -> None:
        """The credential is not valid, or not any more. Raises `RateLimited`."""
        if self.credential is not None and not self.counted:
            self._limits.known.discard(self.credential)
            self.counted = True
            self._limits.anonymous.take(self._place)


class RateLimits:
    def __init__(self, settings: Settings, monotonic: Callable[[], float]) -> None:
        self.key = RateLimit("key", "with this credential", settings.rate_limit_key, monotonic)
        self.user = RateLimit("user", "of this user", settings.rate_limit_user, monotonic)
        self.address = RateLimit("address", "from this address", settings.rate_limit_address, monotonic)
        self.anonymous = RateLimit(
            "anonymous", "without valid credentials from this address", settings.rate_limit_anonymous, monotonic
        )
        self.known = Known()
        self._place_of = lru_cache(4_096)(network_of)
        wrong = "with wrong credentials from this address"
        self.webhook = RateLimit("webhook", wrong, settings.rate_limit_anonymous, monotonic, "anonymous")
        self.senders = Senders(self.webhook, self._place_of)

    @property
    def all(self) -> tuple[RateLimit, ...]:
        return self.key, self.user, self.address, self.anonymous, self.webhook

    def of_sender(self, address: str) -> None:
        """A request of a webhook. Raises `RateLimited`."""
        if self.address.buckets is not None:
            self.address.take(self._place_of(address))

    def visit(self, address: str, credential: bytes | None) -> Visit:
        return Visit(self, self._place_of(address), None if credential is None else hash(credential))
