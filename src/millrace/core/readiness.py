"""Join rules: whether a task runs, given how its predecessors ended. The truth table of SPEC D3, and nothing else.

A decision is taken as soon as no later ending can change it: `one_success` runs at the first success,
`all_success` skips at the first failure. How an ending counts:

- *succeeded*: the task completed, or failed with `allow_failure`.
- *failed*: it failed otherwise.
- *skipped by its own `if`*: satisfies `all_success`, but is no success for `one_success`.
- *skipped because its own join could not be met*: passes the skip on through `all_success`.
- *cancelled*: only while a phase is being ended, when no task starts any more; satisfies nothing.

The table in the docs is printed from `decide`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from millrace.core.plan import JoinRule


class Ending(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED_BY_IF = "skipped by if"
    SKIPPED_BY_JOIN = "skipped by join"
    CANCELLED = "cancelled"


class Decision(StrEnum):
    RUN = "run"
    SKIP = "skip"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Tally:
    """How the predecessors of a task have ended so far. Kept by counting, so that a join of 500 costs 500 steps."""

    open: int = 0
    succeeded: int = 0
    failed: int = 0
    passed: int = 0
    """Skipped by their own `if`."""
    blocked: int = 0
    """Skipped by their join, or cancelled."""

    @classmethod
    def of(cls, endings: Iterable[Ending | None]) -> "Tally":
        """Count from scratch; `None` stands for a predecessor that has not ended."""
        known = list(endings)
        tally = cls(open=len(known))
        for ending in known:
            if ending is not None:
                tally = tally.plus(ending)
        return tally

    def plus(self, ending: Ending) -> "Tally":
        """The tally after one more predecessor ended."""
        left = self.open - 1
        match ending:
            case Ending.SUCCEEDED:
                return Tally(left, self.succeeded + 1, self.failed, self.passed, self.blocked)
            case Ending.FAILED:
                return Tally(left, self.succeeded, self.failed + 1, self.passed, self.blocked)
            case Ending.SKIPPED_BY_IF:
                return Tally(left, self.succeeded, self.failed, self.passed + 1, self.blocked)
            case Ending.SKIPPED_BY_JOIN | Ending.CANCELLED:
                return Tally(left, self.succeeded, self.failed, self.passed, self.blocked + 1)
            case _:
                assert_never(ending)


NO_PREDECESSORS = Tally()


def decide(join: JoinRule, tally: Tally) -> Decision:
    """Run, skip or wait. A task without predecessors runs, whatever its rule."""
    if tally is NO_PREDECESSORS or tally == NO_PREDECESSORS:
        return Decision.RUN
    match join:
        case JoinRule.ALL_SUCCESS:
            if tally.failed or tally.blocked:
                return Decision.SKIP
            return Decision.WAIT if tally.open else Decision.RUN
        case JoinRule.ALL_DONE:
            return Decision.WAIT if tally.open else Decision.RUN
        case JoinRule.ONE_SUCCESS:
            return _at_least_one(tally.succeeded, tally.open)
        case JoinRule.ONE_FAILED:
            return _at_least_one(tally.failed, tally.open)
        case _:
            assert_never(join)


def _at_least_one(seen: int, still_open: int) -> Decision:
    if seen:
        return Decision.RUN
    return Decision.WAIT if still_open else Decision.SKIP
