"""The join rules against the oracle: every rule, every multiset of up to three predecessor endings, every order."""

from itertools import combinations_with_replacement, permutations

import pytest

from millrace.core.plan import JoinRule
from millrace.core.readiness import NO_PREDECESSORS, Decision, Ending, Tally, decide
from tests.model import oracle

WORDS = {
    Ending.SUCCEEDED: oracle.SUCCESS,
    Ending.FAILED: oracle.FAILURE,
    Ending.SKIPPED_BY_IF: oracle.SKIPPED_BY_IF,
    Ending.SKIPPED_BY_JOIN: oracle.SKIPPED_BY_JOIN,
    Ending.CANCELLED: oracle.CANCELLED,
}
MULTISETS = [endings for size in (1, 2, 3) for endings in combinations_with_replacement(Ending, size)]


def runs(join: JoinRule, endings: tuple[Ending, ...]) -> bool:
    return oracle.join_is_met(join, [WORDS[ending] for ending in endings])


@pytest.mark.parametrize("join", JoinRule)
def test_when_all_predecessors_have_ended_the_task_runs_or_is_skipped_as_the_oracle_says(join: JoinRule) -> None:
    for endings in MULTISETS:
        expected = Decision.RUN if runs(join, endings) else Decision.SKIP
        assert decide(join, Tally.of(endings)) is expected, endings


@pytest.mark.parametrize("join", JoinRule)
def test_a_decision_is_taken_exactly_when_no_later_ending_can_change_it(join: JoinRule) -> None:
    """`all_done` alone waits although its decision is known: that is what it is for."""
    for known in [(), *MULTISETS]:
        for still_open in range(1, 4 - len(known)):
            futures = {runs(join, (*known, *rest)) for rest in combinations_with_replacement(Ending, still_open)}
            certain = len(futures) == 1 and join is not JoinRule.ALL_DONE
            expected = (Decision.RUN if futures == {True} else Decision.SKIP) if certain else Decision.WAIT
            tally = Tally.of([*known, *[None] * still_open])
            assert decide(join, tally) is expected, (known, still_open)


def test_the_order_in_which_predecessors_end_does_not_matter() -> None:
    for endings in MULTISETS:
        tallies = set()
        for order in permutations(endings):
            tally = Tally(open=len(order))
            for ending in order:
                tally = tally.plus(ending)
            tallies.add(tally)
        assert tallies == {Tally.of(endings)}


@pytest.mark.parametrize("join", JoinRule)
def test_a_task_without_predecessors_runs_whatever_its_rule(join: JoinRule) -> None:
    assert oracle.join_is_met(join, [])
    assert decide(join, NO_PREDECESSORS) is Decision.RUN
