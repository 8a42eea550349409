"""Who sends requests to webhooks with wrong credentials: so many from one address to one webhook, and then none of what
comes from there is looked at for a while. So a key is guessed slowly, and a right guess looks like a wrong one.

Whoever has shown the right credentials is not held up by what others at his address try. A key or a password that was
right is looked at wherever it comes from. A signature is another one each time, so it is the address that is remembered
to have sent a right one: whoever shares it with such a sender is not slowed down, and guesses a signature no sooner.

A request that is in order is counted nowhere. All is in memory, and bounded as buckets and credentials are.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from millrace.auth.limits.known import Known

if TYPE_CHECKING:
    from millrace.auth.limits.limits import RateLimit


class Sender:
    """That of one request."""

    __slots__ = ("_is_credential", "_senders", "_subject", "_trait")

    def __init__(self, senders: "Senders", subject: str, trait: int, *, is_credential: bool) -> None:
        self._senders = senders
        self._subject = subject
        self._trait = trait
        """What he is known by."""
        self._is_credential = is_credential

    def refuse_if_held_up(self) -> None:
        """Raises `RateLimited`. To be asked right before his credentials are looked at, or many at once get by."""
        if self._trait not in self._senders.known:
            self._senders.limit.refuse_if_full(self._subject)

    def is_right(self) -> None:
        self._senders.known.add(self._trait)

    def is_wrong(self) -> None:
        """Raises `RateLimited`, also of an address that is not held up."""
        if self._is_credential:
            self._senders.known.discard(self._trait)
        self._senders.limit.take(self._subject)


class Senders:
    def __init__(self, limit: "RateLimit", place_of: Callable[[str], str]) -> None:
        self.limit = limit
        self.known = Known()
        self._place_of = place_of

    def sender(self, webhook_id: str, address: str, shown: tuple[str | None, ...] | None) -> Sender:
        """`shown`: his credentials, if they are the same each time; else `None`."""
        place = self._place_of(address)
        trait = hash((webhook_id, place) if shown is None else (webhook_id, shown))
        return Sender(self, f"{webhook_id} {place}", trait, is_credential=shown is not None)
