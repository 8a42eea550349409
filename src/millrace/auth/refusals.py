"""In which words a request without valid credentials is refused.

A stranger learns nothing from them. Whoever has the secret itself may know why it does not hold any more: only for
credentials whose hash or signature was right is `over` the answer.
"""

from typing import Final

from millrace.core.errors import Unauthenticated
from millrace.core.values import Instant
from millrace.ports.database import Columns

HOW: Final = (
    "send a valid API key in the header X-API-Key, or an access token as Authorization: Bearer, which POST "
    "/api/v1/auth/token gives"
)


def nothing_sent() -> Unauthenticated:
    return _refused(f"{HOW}; the first API key is in the file api-key of the home folder")


def refusal() -> Unauthenticated:
    """For whatever is no credential of ours, for every reason the same."""
    return _refused(f"these credentials are not valid; {HOW}")


def over(what: str, how: str = "has expired") -> Unauthenticated:
    """For a true credential, such as "API key", which holds no more."""
    return _refused(f"this {what} {how}")


def refuse_without_user(what: str, row: Columns) -> None:
    """Raise `Unauthenticated` if the user of a true credential may not come in."""
    if row["deleted_at"] is not None:
        raise over(what, "holds no more: its user was deleted")
    if row["disabled_at"] is not None:
        raise over(what, "does not hold now: its user is disabled")


def refuse_after(what: str, ends: Instant | None, now: Instant) -> None:
    """Raise `Unauthenticated` if the time of a true credential is over."""
    if ends is not None and ends <= now:
        raise over(what)


def _refused(message: str) -> Unauthenticated:
    return Unauthenticated("unauthenticated", message)
