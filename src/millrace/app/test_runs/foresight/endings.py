"""How tasks may end, and whether others run by that: `core.readiness` asked for every way that is possible."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from millrace.core.plan import Mock, TaskPlan
from millrace.core.readiness import NO_PREDECESSORS, Decision, Ending, Tally, decide
from millrace.core.retry import delay_after_failure

Endings: TypeAlias = frozenset[Ending]
"""The ways in which a task may end; one that is sure to end in some way has one."""

WELL: Final[Endings] = frozenset({Ending.SUCCEEDED})
BADLY: Final[Endings] = frozenset({Ending.FAILED})
EITHER: Final[Endings] = WELL | BADLY
PASSED: Final[Endings] = frozenset({Ending.SKIPPED_BY_IF})
BLOCKED: Final[Endings] = frozenset({Ending.SKIPPED_BY_JOIN})


def decisions(own: TaskPlan, before: Mapping[str, Endings]) -> frozenset[Decision]:
    """What may be decided about a task, given how those may end that it depends on."""
    tallies = {Tally(open=len(own.needs)) if own.needs else NO_PREDECESSORS}
    for need in own.needs:
        tallies = {tally.plus(ending) for tally in tallies for ending in before[need]}
    return frozenset(decide(own.join, tally) for tally in tallies)


def of_block(tasks: Iterable[Endings]) -> Endings:
    """How what holds these tasks may end."""
    found = list(tasks)
    if BADLY in found:
        return BADLY
    return EITHER if any(Ending.FAILED in endings for endings in found) else WELL


def allowed(own: TaskPlan, endings: Endings) -> Endings:
    """A failure that the definition allows counts as success."""
    return endings - BADLY | WELL if own.allow_failure and Ending.FAILED in endings else endings


def of_mock(own: TaskPlan, mock: Mock) -> Endings:
    """How a mocked task ends, with all the attempts that its policy gives it."""
    attempt = 1
    while (failure := mock.failure_of(attempt)) is not None:
        if delay_after_failure(own.retry, attempt, failure, seed="") is None:
            return BADLY
        attempt += 1
    return WELL
