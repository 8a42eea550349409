"""Which dead incarnations no attempt refers to any more: found by a walk along the attempts, a stretch in each round.

There is no index of the attempts by incarnation, since every attempt would pay for it. Instead: an incarnation that was
declared lost, or has retired, claims nothing any more, so what a walk has passed stays passed, and whoever it did not
meet until its end is unreferenced for good. Only runs that are older than a death can have attempts of the dead, and
retention leaves few of those; where workflows keep theirs for ever, a walk takes as many rounds as it needs. An attempt
that it met is remembered: while that is there, the incarnation need not be sought again.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from millrace.app.retention import repository
from millrace.app.retention.repository import Place, first_id_at
from millrace.core.values import SECOND, Instant
from millrace.ports.database import Database

LOOKED_AT_ONCE = 500
WALKED_AT_ONCE = 2_000
"""Attempts that one reading walks along."""
WALKED_IN_A_ROUND = 100_000
TO_THE_END = 1 << 62

SET_BACK = 86_400 * SECOND
"""How far the clock may have been set back in a life, so that the ids of its runs seem younger than its end."""


@dataclass(slots=True)
class Walk:
    """One walk along the attempts of runs below `bound`, which are old enough to have had the sought incarnations."""

    sought: set[str]
    bound: str
    place: Place = ("", "", 0)


class DeadIncarnations:
    """Finds the unreferenced ones, round after round. It remembers in memory alone: a new process walks anew."""

    def __init__(self, database: Database, *, most: int = WALKED_IN_A_ROUND) -> None:
        self._database = database
        self._most = most
        self._witnesses: dict[str, Place] = {}
        self._walk: Walk | None = None

    async def unreferenced(self, cutoff: Instant) -> AsyncIterator[list[str]]:
        """Ids of incarnations that were dead by `cutoff` and that no attempt refers to, some at a time.

        Walks along so many attempts as were given at most; what that does not decide is left for the next call.
        """
        walk = self._walk
        if walk is None:
            walk = self._walk = Walk(await self._without_witness(cutoff), first_id_at(cutoff + SET_BACK))
        if not await self._has_ended(walk, self._most):
            return
        found, self._walk = sorted(walk.sought), None
        for first in range(0, len(found), LOOKED_AT_ONCE):
            yield found[first : first + LOOKED_AT_ONCE]

    async def _without_witness(self, cutoff: Instant) -> set[str]:
        """The dead of which no attempt is known that refers to them."""
        sought: set[str] = set()
        kept: dict[str, Place] = {}
        after = ""
        while dead := await self._database.read(
            partial(repository.dead_incarnations, cutoff=cutoff, after=after, limit=LOOKED_AT_ONCE)
        ):
            known = {id_: self._witnesses[id_] for id_ in dead if id_ in self._witnesses}
            there = await self._database.read(partial(repository.still_there, witnesses=known))
            kept |= {id_: known[id_] for id_ in there}
            sought |= set(dead) - there
            after = dead[-1]
        self._witnesses = kept
        return sought

    async def _has_ended(self, walk: Walk, most: int) -> bool:
        """Go on with the walk, along `most` attempts; answers whether nothing is left to walk along, or to seek."""
        stretch = partial(repository.attempts_from, bound=walk.bound)
        while walk.sought:
            limit = min(WALKED_AT_ONCE, most)
            if limit == 0:
                return False
            rows = await self._database.read(partial(stretch, after=walk.place, limit=limit))
            for run, path, number, incarnation in rows:
                walk.place = run, path, number
                if incarnation in walk.sought:
                    walk.sought.remove(incarnation)
                    self._witnesses[incarnation] = walk.place
            if len(rows) < limit:
                return True
            most -= limit
        return True
