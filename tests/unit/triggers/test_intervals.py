"""Schedules that are no cron expressions: equal steps, one moment, and the moments between which a schedule holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from millrace.core.values import SECOND, Instant
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.configs import CronConfig, IntervalConfig, OnceConfig
from millrace.triggers.due import Times
from millrace.triggers.interval import IntervalTimes
from millrace.triggers.moments import instant_of
from millrace.triggers.zones import zone_of
from tests.unit.triggers.test_cron import at

BERLIN = zone_of("Europe/Berlin")
DAY = 86_400 * SECOND


def shown(times: Times, after: str, count: int = 3) -> list[str]:
    """What clocks show at the first due times."""
    found: list[str] = []
    due = times.next_after(at(after))
    while due is not None and len(found) < count:
        found.append(due.local)
        due = times.next_after(due.at)
    return found


def interval(**config: str) -> Times:
    return IntervalConfig.model_validate(config).times("UTC")


def test_an_interval_without_an_anchor_divides_the_day() -> None:
    assert shown(interval(every="15m"), "2026-11-21T18:44:59Z") == [
        "2026-11-21T18:45:00+00:00",
        "2026-11-21T19:00:00+00:00",
        "2026-11-21T19:15:00+00:00",
    ]


def test_steps_are_counted_from_the_anchor_in_both_directions() -> None:
    times = interval(every="7h", anchor="2026-11-21T12:30:00Z")
    assert shown(times, "2026-11-21T00:00:00Z") == [
        "2026-11-21T05:30:00+00:00",
        "2026-11-21T12:30:00+00:00",
        "2026-11-21T19:30:00+00:00",
    ]


def test_an_interval_counts_real_time_across_a_change_of_clocks() -> None:
    times = interval(every="1d", anchor="2026-03-28T08:00", timezone="Europe/Berlin")
    assert shown(times, "2026-03-28T00:00:00Z") == [
        "2026-03-28T08:00:00+01:00",
        "2026-03-29T09:00:00+02:00",
        "2026-03-30T09:00:00+02:00",
    ]


@settings(deadline=None)
@given(
    every=st.integers(1, 10**7),
    anchor=st.integers(-(10**10), 10**10),
    after=st.integers(-(10**9), 4 * 10**9),
    span=st.integers(0, 10**7),
)
def test_what_is_due_is_due_in_every_way_of_asking(every: int, anchor: int, after: int, span: int) -> None:
    times = IntervalTimes(every * SECOND, anchor * SECOND, zone_of("UTC"))
    start: Instant = after * SECOND
    until = start + span * SECOND
    first = times.next_after(start)
    assert first is not None
    assert 0 < first.at - start <= every * SECOND
    assert (first.at - anchor * SECOND) % (every * SECOND) == 0
    found = times.due_between(start, until, 50)
    assert [due.at for due in found] == [
        first.at + n * every * SECOND for n in range(50) if first.at + n * every * SECOND <= until
    ]
    latest = times.latest_between(start, until)
    if latest is None:
        assert first.at > until
    else:
        assert start < latest.at <= until < latest.at + every * SECOND


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"every": "500ms"}, "an interval is 1s at least"),
        ({"every": "soon"}, "'soon' is not a duration"),
        ({"every": "1h", "anchor": "noon"}, "'noon' is not a moment"),
        ({"every": "1h", "start": "2600-01-01"}, "is not between the years"),
        ({"every": "1h", "end": 7}, "valid string"),
        ({"every": "1h", "start": "2026-02-01", "end": "2026-01-31T23:59"}, r"end\n.*before `start` \(2026-02-01\)"),
        ({"every": "1h", "start": "2026-02-01T12:00Z", "end": "2026-02-01T12:59+01:00"}, r"end\n.*before `start`"),
        ({}, "Field required"),
    ],
)
def test_what_cannot_be_an_interval_is_told(config: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        IntervalConfig.model_validate(config)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-02-01", "2026-02-01T00:00"),
        ("2026-02-01T12:00+01:00", "2026-02-01T11:00Z"),
        ("2026-02-01T12:00", "2026-02-01T11:00Z"),
    ],
)
def test_an_end_may_be_the_start_or_what_only_the_zone_can_order(start: str, end: str) -> None:
    config = {"every": "1h", "start": start, "end": end, "timezone": "Europe/Berlin"}
    assert IntervalConfig.model_validate(config).end == end


def test_a_bound_is_part_of_what_it_bounds() -> None:
    config = {"expression": "0 8 * * *", "start": "2026-11-22T08:00", "end": "2026-11-24T08:00"}
    times = CronConfig.model_validate({**config, "timezone": "Europe/Berlin"}).times("UTC")
    assert shown(times, "2026-11-01T00:00:00Z", 9) == [f"2026-11-{day}T08:00:00+01:00" for day in (22, 23, 24)]
    whole = [due.local for due in times.due_between(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), 100)]
    assert whole == shown(times, "2026-11-01T00:00:00Z", 9)
    latest = times.latest_between(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"))
    assert latest is not None
    assert latest.local == "2026-11-24T08:00:00+01:00"
    assert times.latest_between(at("2026-11-25T00:00:00Z"), at("2027-01-01T00:00:00Z")) is None
    assert times.latest_between(at("2026-01-01T00:00:00Z"), at("2026-11-22T06:59:59Z")) is None


def test_one_moment_is_due_once() -> None:
    times = OnceConfig.model_validate({"at": "2026-12-24T18:00", "timezone": "Europe/Berlin"}).times("UTC")
    assert shown(times, "2026-11-21T00:00:00Z") == ["2026-12-24T18:00:00+01:00"]
    assert shown(times, "2026-12-24T17:00:00Z") == []
    assert [due.at for due in times.due_between(0, at("2027-01-01T00:00:00Z"), 5)] == [at("2026-12-24T17:00:00Z")]
    assert times.latest_between(at("2026-12-24T17:00:00Z"), at("2027-01-01T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-21T08:00:00+05:30", "2026-11-21T02:30:00Z"),
        ("2026-11-21T08:00:00.25Z", "2026-11-21T08:00:00.25Z"),
        ("2026-11-21", "2026-11-20T23:00:00Z"),
        ("2026-07-01T08:00", "2026-07-01T06:00:00Z"),
        ("2026-03-29T02:30", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ("1850-06-01T12:00:28", "1850-06-01T11:07:00Z"),
    ],
)
def test_a_moment_is_when_clocks_show_it(written: str, instant: str) -> None:
    assert instant_of(written, BERLIN) == at(instant)


def test_what_is_counted_from_the_last_end_is_due_only_once_that_is_known() -> None:
    times = interval(every="10m", counted_from="last_end", start="2026-11-22T08:00", end="2026-11-22T09:00")
    assert isinstance(times, AfterEnd)
    assert [due and due.local[11:19] for due in (times.first(at(f"2026-11-22T{now}Z")) for now in FIRST)] == [
        "08:00:00", "08:00:00", "08:59:59", None
    ]  # fmt: skip
    assert [due and due.local[11:19] for due in (times.next_after(at(f"2026-11-22T{end}Z")) for end in ENDS)] == [
        "08:00:00", "08:12:30", "09:00:00", None
    ]  # fmt: skip
    assert times.due_between(at("2026-11-22T08:00Z"), at("2026-11-22T09:00Z"), 9) == []
    assert times.latest_between(at("2026-11-22T08:00Z"), at("2026-11-22T09:00Z")) is None


FIRST = ("07:00", "08:00", "08:59:59", "09:00:01")
ENDS = ("07:30", "08:02:30", "08:50", "08:50:01")


def test_what_is_counted_from_the_last_end_has_no_anchor() -> None:
    config = {"every": "1h", "counted_from": "last_end", "anchor": "2026-11-22T08:00"}
    with pytest.raises(ValidationError, match=r"anchor\n.*has no anchor"):
        IntervalConfig.model_validate(config)
    assert IntervalConfig.model_validate({**config, "counted_from": "anchor"}).text == "every 1h"
