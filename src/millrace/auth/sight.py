"""What of the workflows somebody sees: a value that goes from a route to the query that reads.

`None` in its place sees everything. Nothing is filtered after it was read: a page that was would be short, and its
cursor would tell of what it left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.auth.permissions import GRANTED, Grant, Permission


@dataclass(frozen=True, slots=True)
class Sight:
    """The workflows on which a user has any of these grants, as they stand when it is asked."""

    user_id: str
    grants: tuple[str, ...]

    @classmethod
    def of(cls, user_id: str, permission: Permission) -> "Sight":
        """What a user may do this with."""
        return cls(user_id, tuple(sorted(grant.value for grant in grants_with(permission))))

    @classmethod
    def stored(cls, told: Mapping[str, Any] | None) -> "Sight | None":
        """As `dataclasses.asdict` has written it."""
        return None if told is None else cls(told["user_id"], tuple(told["grants"]))


def given_by(grants: Iterable[Grant]) -> frozenset[Permission]:
    """All that grants give."""
    return frozenset[Permission]().union(*(GRANTED[grant] for grant in grants))


def grants_with(permission: Permission) -> frozenset[Grant]:
    """The grants that give a permission."""
    return frozenset(grant for grant, given in GRANTED.items() if permission in given)
