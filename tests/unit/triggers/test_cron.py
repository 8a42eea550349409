"""Cron schedules in zones: what becomes of appointments when clocks are changed, in all the ways it was ever done."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from millrace.core.values import EPOCH, SECOND, Instant, to_iso
from millrace.triggers import CronSchedule, Due
from millrace.triggers.due import ClockChange, clock_changes
from millrace.triggers.zones import zone_of

BERLIN = "Europe/Berlin"


def at(iso: str) -> Instant:
    return (datetime.fromisoformat(iso) - EPOCH) // timedelta(microseconds=1)


def due(expression: str, timezone: str, after: str, until: str, **rules: Any) -> list[tuple[str, str | None]]:
    """What clocks show at each firing between two moments, and the mark."""
    schedule = CronSchedule.parse(expression, timezone=timezone, **rules)
    return [(one.local, one.shift) for one in schedule.due_between(at(after), at(until), 1000)]


def test_a_firing_says_when_it_is_and_what_clocks_show() -> None:
    schedule = CronSchedule.parse("30 2 * * *", timezone=BERLIN)
    found = schedule.next_after(at("2026-07-01T12:00:00Z"))
    assert found == Due(at("2026-07-02T00:30:00Z"), "2026-07-02T02:30:00+02:00", None)
    assert found.offset == "+02:00"


@pytest.mark.parametrize(
    ("after", "local"),
    [
        ("2026-01-01T00:59:59.999999Z", "2026-01-01T01:00:00+00:00"),
        ("2026-01-01T01:00:00Z", "2026-01-02T01:00:00+00:00"),
        ("2026-01-01T01:00:00.000001Z", "2026-01-02T01:00:00+00:00"),
    ],
)
def test_the_next_firing_is_later_to_the_microsecond(after: str, local: str) -> None:
    found = CronSchedule.parse("0 1 * * *", timezone="UTC").next_after(at(after))
    assert found is not None
    assert found.local == local


# --- a gap ------------------------------------------------------------------------------------------------------------

SPRING = ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z")
"""Berlin: 02:00 to 03:00 does not exist on 29 March."""


def test_an_appointment_in_a_gap_is_kept_at_the_first_instant_after_it() -> None:
    assert due("30 2 * * *", BERLIN, *SPRING) == [("2026-03-29T03:00:00+02:00", "gap")]


def test_or_it_is_dropped() -> None:
    assert due("30 2 * * *", BERLIN, *SPRING, gap="skip") == []


def test_many_appointments_in_a_gap_are_one_firing() -> None:
    assert due("*/10 2 * * *", BERLIN, *SPRING) == [("2026-03-29T03:00:00+02:00", "gap")]


def test_an_appointment_in_a_gap_and_one_right_after_it_are_one_firing() -> None:
    assert due("0 2,3 * * *", BERLIN, *SPRING) == [("2026-03-29T03:00:00+02:00", None)]
    assert due("30 2,3 * * *", BERLIN, *SPRING) == [
        ("2026-03-29T03:00:00+02:00", "gap"),
        ("2026-03-29T03:30:00+02:00", None),
    ]


def test_the_edges_of_a_gap() -> None:
    assert due("0 2 * * *", BERLIN, *SPRING) == [("2026-03-29T03:00:00+02:00", "gap")]
    assert due("59 59 1 * * *", BERLIN, *SPRING) == [("2026-03-29T01:59:59+01:00", None)]
    assert due("59 59 2 * * *", BERLIN, *SPRING) == [("2026-03-29T03:00:00+02:00", "gap")]
    assert due("0 3 * * *", BERLIN, *SPRING) == [("2026-03-29T03:00:00+02:00", None)]


@pytest.mark.parametrize("hour", ["*", "*/1", "0-23/1", "0/1"])
def test_a_schedule_that_follows_the_clock_knows_no_gap(hour: str) -> None:
    for rule in ("shift", "skip"):
        found = due(f"30 {hour} * * *", BERLIN, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z", gap=rule)
        assert found == [("2026-03-29T01:30:00+01:00", None), ("2026-03-29T03:30:00+02:00", None)]


def test_every_second_hour_misses_one_that_does_not_exist() -> None:
    found = due("0 */2 * * *", BERLIN, "2026-03-28T22:59:00Z", "2026-03-29T05:00:00Z")
    assert [local[11:16] for local, _ in found] == ["00:00", "04:00", "06:00"]


# --- an overlap -------------------------------------------------------------------------------------------------------

AUTUMN = ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z")
"""Berlin: 02:00 to 03:00 is shown twice on 25 October."""
FIRST, SECOND_TIME = "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"


@pytest.mark.parametrize(
    ("overlap", "shown"), [("first", [FIRST]), ("last", [SECOND_TIME]), ("both", [FIRST, SECOND_TIME])]
)
def test_an_appointment_that_is_shown_twice(overlap: str, shown: list[str]) -> None:
    assert due("30 2 * * *", BERLIN, *AUTUMN, overlap=overlap) == [(local, "overlap") for local in shown]


def test_the_edges_of_an_overlap() -> None:
    for overlap, offset in (("first", "+02:00"), ("last", "+01:00")):
        found = due("0 0 1,2,3 * * *", BERLIN, *AUTUMN, overlap=overlap)
        assert found == [
            ("2026-10-25T01:00:00+02:00", None),
            (f"2026-10-25T02:00:00{offset}", "overlap"),
            ("2026-10-25T03:00:00+01:00", None),
        ]
        assert due("59 59 2 * * *", BERLIN, *AUTUMN, overlap=overlap) == [(f"2026-10-25T02:59:59{offset}", "overlap")]


def test_both_times_follow_each_other_as_the_clock_goes() -> None:
    found = due("*/30 2 * * *", BERLIN, *AUTUMN, overlap="both")
    assert [local[11:] for local, _ in found] == [
        "02:00:00+02:00",
        "02:30:00+02:00",
        "02:00:00+01:00",
        "02:30:00+01:00",
    ]


@pytest.mark.parametrize("overlap", ["first", "last", "both"])
def test_a_schedule_that_follows_the_clock_fires_both_times(overlap: str) -> None:
    found = due("0 * * * *", BERLIN, "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z", overlap=overlap)
    assert found == [
        ("2026-10-25T02:00:00+02:00", "overlap"),
        ("2026-10-25T02:00:00+01:00", "overlap"),
        ("2026-10-25T03:00:00+01:00", None),
    ]


# --- the odd ones -----------------------------------------------------------------------------------------------------


def test_half_an_hour_at_lord_howe() -> None:
    zone = "Australia/Lord_Howe"
    assert due("15 2 * * *", zone, "2026-10-03T00:00:00Z", "2026-10-03T22:00:00Z") == [
        ("2026-10-04T02:30:00+11:00", "gap")
    ]
    found = due("45 1 * * *", zone, "2026-04-04T00:00:00Z", "2026-04-04T22:00:00Z", overlap="both")
    assert found == [("2026-04-05T01:45:00+11:00", "overlap"), ("2026-04-05T01:45:00+10:30", "overlap")]
    assert due("0 2 * * *", zone, "2026-04-04T00:00:00Z", "2026-04-04T22:00:00Z") == [
        ("2026-04-05T02:00:00+10:30", None)
    ]


def test_the_day_that_apia_skipped() -> None:
    found = due("0 2 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z")
    assert found == [
        ("2011-12-29T02:00:00-10:00", None),
        ("2011-12-31T00:00:00+14:00", "gap"),
        ("2011-12-31T02:00:00+14:00", None),
        ("2012-01-01T02:00:00+14:00", None),
    ]
    assert due("0 2 30 12 *", "Pacific/Apia", "2011-06-01T00:00:00Z", "2012-06-01T00:00:00Z", gap="skip") == []
    assert due("0 * 30 12 *", "Pacific/Apia", "2011-06-01T00:00:00Z", "2012-06-01T00:00:00Z") == []


def test_the_day_that_kwajalein_skipped_and_the_day_that_alaska_had_twice() -> None:
    assert due("0 12 21 8 *", "Pacific/Kwajalein", "1993-08-01T00:00:00Z", "1993-09-01T00:00:00Z") == [
        ("1993-08-22T00:00:00+12:00", "gap")
    ]
    twice = due("0 16 18 10 *", "America/Sitka", "1867-10-01T00:00:00Z", "1867-11-01T00:00:00Z", overlap="both")
    assert [local[:16] for local, _ in twice] == ["1867-10-18T16:00"] * 2


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00"),
        ("Asia/Beirut", "2026-03-29", "2026-03-29T01:00:00+03:00"),
        ("America/Havana", "2026-03-08", "2026-03-08T01:00:00-04:00"),
        ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"),
        ("America/Asuncion", "2023-10-01", "2023-10-01T01:00:00-03:00"),
    ],
)
def test_a_day_without_midnight(zone: str, day: str, first: str) -> None:
    start = (datetime.fromisoformat(f"{day}T00:00:00+00:00") - timedelta(hours=12)).isoformat()
    end = (datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(hours=12)).isoformat()
    assert due("@daily", zone, start, end) == [(first, "gap")]
    assert due("@daily", zone, start, end, gap="skip") == []


def test_ramadan_in_casablanca() -> None:
    """Clocks go back by an hour for the month, and forward again."""
    back, forth = clock_changes(zone_of("Africa/Casablanca"), at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"))
    assert (back.before, back.after) == ("2026-02-15T03:00:00+01:00", "2026-02-15T02:00:00+00:00")
    assert (forth.before, forth.after) == ("2026-03-22T02:00:00+00:00", "2026-03-22T03:00:00+01:00")
    assert due("30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00:00Z", "2026-02-15T12:00:00Z", overlap="last") == [
        ("2026-02-15T02:30:00+00:00", "overlap")
    ]


def test_offsets_with_seconds() -> None:
    assert due("0 12 * * *", "Africa/Monrovia", "1971-06-01T00:00:00Z", "1971-06-02T00:00:00Z") == [
        ("1971-06-01T12:00:00-00:44:30", None)
    ]
    assert due("5 0 7 1 *", "Africa/Monrovia", "1972-01-01T00:00:00Z", "1972-01-09T00:00:00Z") == [
        ("1972-01-07T00:44:30+00:00", "gap")
    ]
    amsterdam = CronSchedule.parse("0 12 * * *", timezone="Europe/Amsterdam").next_after(at("1920-01-01T00:00:00Z"))
    assert amsterdam is not None
    assert amsterdam.at % (60 * SECOND) != 0 or amsterdam.offset == "+00:00"


def test_a_zone_that_changed_its_base_on_a_day_with_a_gap() -> None:
    """Pyongyang gave up half an hour in 2015 and took it back in 2018."""
    assert due("15 0 * * *", "Asia/Pyongyang", "2018-05-04T00:00:00Z", "2018-05-04T20:00:00Z") == [
        ("2018-05-05T00:15:00+09:00", None)
    ]
    assert due("45 23 * * *", "Asia/Pyongyang", "2018-05-04T00:00:00Z", "2018-05-04T20:00:00Z") == [
        ("2018-05-05T00:00:00+09:00", "gap")
    ]


# --- rare days, and the ends of time ----------------------------------------------------------------------------------


def test_leap_days_also_over_the_year_2100() -> None:
    schedule = CronSchedule.parse("0 0 29 2 *", timezone="UTC")
    found = schedule.due_between(at("2092-03-01T00:00:00Z"), at("2109-01-01T00:00:00Z"), 10)
    assert [one.local[:10] for one in found] == ["2096-02-29", "2104-02-29", "2108-02-29"]


def test_the_rarest_days_there_are() -> None:
    """29 February at a week's end: a day of the week that begins with `*` must hold as well."""
    schedule = CronSchedule.parse("0 0 29 2 */6", timezone="UTC")
    found = schedule.due_between(at("2088-03-01T00:00:00Z"), at("2200-01-01T00:00:00Z"), 3)
    assert [one.local[:10] for one in found] == ["2116-02-29", "2128-02-29", "2144-02-29"]


def test_there_is_an_end_and_a_beginning() -> None:
    schedule = CronSchedule.parse("@yearly", timezone="UTC")
    assert schedule.next_after(at("2499-06-01T00:00:00Z")) is None
    assert schedule.next_after(2**62) is None
    first = schedule.next_after(-(2**62))
    assert first is not None
    assert first.local.startswith("1800-01-01T00:00:00")


@pytest.mark.parametrize("expression", ["* * * * *", "0 2 * * *", "*/5 * * * * *"])
def test_the_ends_of_what_is_known_of_a_zone_leave_no_seam(expression: str) -> None:
    """What is known of a zone grows with the questions; the answers are the same in whatever order they are asked."""
    schedule = CronSchedule.parse(expression, timezone="America/Nuuk")
    moments = [at("2024-01-01T00:00:00Z") + number * 97 * 86_400 * SECOND for number in range(-60, 60)]
    forth = [schedule.next_after(moment) for moment in moments]
    back = [schedule.next_after(moment) for moment in reversed(moments)]
    assert forth == back[::-1]


# --- several at once --------------------------------------------------------------------------------------------------


def test_between_is_without_its_beginning_and_with_its_end() -> None:
    schedule = CronSchedule.parse("@hourly", timezone="UTC")
    found = schedule.due_between(at("2026-01-01T01:00:00Z"), at("2026-01-01T03:00:00Z"), 10)
    assert [to_iso(one.at)[11:16] for one in found] == ["02:00", "03:00"]
    assert schedule.due_between(at("2026-01-01T01:00:00Z"), at("2026-01-01T03:00:00Z"), 1) == found[:1]
    assert schedule.due_between(at("2026-01-01T01:00:00Z"), at("2026-01-01T01:59:59Z"), 10) == []
    assert schedule.due_between(at("2026-01-01T01:00:00Z"), at("2026-01-01T00:00:00Z"), 10) == []


@pytest.mark.parametrize("expression", ["* * * * * *", "@hourly", "0 2 * * *", "@yearly"])
def test_the_latest_of_a_long_time(expression: str) -> None:
    schedule = CronSchedule.parse(expression, timezone=BERLIN)
    after, until = at("2020-01-01T00:00:00Z"), at("2026-03-29T05:00:00.5Z")
    latest = schedule.latest_between(after, until)
    assert latest is not None
    following = schedule.next_after(latest.at)
    assert latest.at <= until
    assert following is not None
    assert following.at > until
    assert schedule.latest_between(latest.at, until) is None
    assert schedule.latest_between(until, after) is None


def test_changes_of_clocks() -> None:
    schedule = CronSchedule.parse("@daily", timezone=BERLIN)
    spring, autumn = clock_changes(schedule.zone, at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"))
    assert spring == ClockChange(at("2026-03-29T01:00:00Z"), "2026-03-29T02:00:00+01:00", "2026-03-29T03:00:00+02:00")
    assert clock_changes(schedule.zone, spring.at, autumn.at) == [autumn]
    assert clock_changes(schedule.zone, spring.at, autumn.at - 1) == []
    assert clock_changes(zone_of("UTC"), 0, at("2400-01-01T00:00:00Z")) == []


@pytest.mark.parametrize(
    "expression", ["0 2 * * *", "*/5 * * * *", "30 9 * * MON-FRI", "0 0 L * *", "@yearly", "0 12 29 2 *", "* * * * * *"]
)
def test_it_is_quick_enough_for_ten_thousand_schedules(expression: str) -> None:
    """Some ten microseconds each; the limit is far above that, and counts the time of this process only."""
    schedule = CronSchedule.parse(expression, timezone=BERLIN)
    start = at("2026-01-01T00:00:00Z")
    schedule.next_after(start + 4 * 366 * 86_400 * SECOND)
    began = time.process_time()
    for number in range(2000):
        schedule.next_after(start + number * 3600 * SECOND)
    assert (time.process_time() - began) / 2000 < 150e-6
