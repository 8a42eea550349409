"""What holds for every schedule, tried with expressions and moments that nobody thought of."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.core.values import SECOND
from millrace.triggers import CronSchedule, InvalidSchedule
from millrace.triggers.due import clock_changes
from millrace.triggers.zones import zone_names

DAY = 86_400 * SECOND
FROM, UNTIL = -2_000_000_000 * SECOND, 6_000_000_000 * SECOND
"""1906 to 2160."""

BUDGET = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parts(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.integers(1, high - low).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), number.map(str), ranges, stepped)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    return st.lists(parts(low, high), min_size=1, max_size=3).map(",".join)


expressions = st.tuples(fields(0, 59), fields(0, 23), fields(1, 28), fields(1, 12), fields(0, 6)).map(" ".join)
with_seconds = st.tuples(fields(0, 59), expressions).map(" ".join)
rules = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(sorted(zone_names())),
        "gap": st.sampled_from(["shift", "skip"]),
        "overlap": st.sampled_from(["first", "last", "both"]),
    }
)
moments = st.integers(FROM, UNTIL)


@BUDGET
@given(st.one_of(expressions, with_seconds), rules, moments)
def test_firings_go_on_and_on(expression: str, rules: dict[str, Any], moment: int) -> None:
    schedule = CronSchedule.parse(expression, **rules)
    before = moment
    for _ in range(20):
        due = schedule.next_after(before)
        assert due is not None
        assert due.at > before
        assert due.at % SECOND == 0
        # Whatever lies between two firings leads to the later one.
        assert schedule.next_after(due.at - 1) == due
        assert schedule.next_after((before + due.at) // 2) == due or (before + due.at) // 2 == due.at
        before = due.at


@BUDGET
@given(st.one_of(expressions, with_seconds), rules, moments, st.integers(0, DAY // 4), st.integers(1, 50))
def test_between_is_next_repeated(expression: str, rules: dict[str, Any], moment: int, length: int, limit: int) -> None:
    schedule = CronSchedule.parse(expression, **rules)
    expected = []
    due = schedule.next_after(moment)
    while due is not None and due.at <= moment + length and len(expected) < limit:
        expected.append(due)
        due = schedule.next_after(due.at)
    assert schedule.due_between(moment, moment + length, limit) == expected


@BUDGET
@given(expressions, rules, moments, st.integers(0, DAY // 4))
def test_the_latest_is_the_last_of_all(expression: str, rules: dict[str, Any], moment: int, length: int) -> None:
    schedule = CronSchedule.parse(expression, **rules)
    everything = schedule.due_between(moment, moment + length, 10_000)
    assert schedule.latest_between(moment, moment + length) == (everything[-1] if everything else None)


@BUDGET
@given(expressions, rules, moments)
def test_both_times_are_the_first_and_the_last(expression: str, rules: dict[str, Any], moment: int) -> None:
    changes = clock_changes(CronSchedule.parse(expression, **rules).zone, moment, moment + 400 * DAY)
    start = changes[0].at - DAY // 8 if changes else moment

    def due(overlap: Any) -> set[int]:
        schedule = CronSchedule.parse(expression, **{**rules, "overlap": overlap})
        return {one.at for one in schedule.due_between(start, start + DAY // 4, 10_000)}

    assert due("both") == due("first") | due("last")


@BUDGET
@given(st.text(alphabet="0123456789*/,-? LWH@#\tMONJANdaily", max_size=30))
def test_any_text_is_a_schedule_or_a_fault_in_words(text: str) -> None:
    schedule, fault = None, None
    try:
        schedule = CronSchedule.parse(text, timezone="UTC")
    except InvalidSchedule as error:
        fault = error
    if schedule is not None:
        assert schedule.next_after(0) is not None
    if fault is not None:
        assert fault.field == "expression"
        assert fault.message
        assert fault.remedy
