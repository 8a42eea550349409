"""The language of cron expressions: what it means, and what is said about what it does not take."""

from typing import Any

import pytest

from millrace.triggers import InvalidSchedule
from millrace.triggers.cron import CronSchedule
from millrace.triggers.fields import read_expression

EVERY_MINUTE = tuple(range(60))
EVERY_HOUR = tuple(range(24))
ALL_WEEK = frozenset(range(7))


def test_five_fields() -> None:
    times = read_expression("5 2 10 3 1")
    assert (times.seconds, times.minutes, times.hours) == ((0,), (5,), (2,))
    assert (times.days, times.months, times.weekdays) == ({10}, (3,), {1})


def test_six_fields_begin_with_seconds() -> None:
    times = read_expression("7 5 2 * * *")
    assert (times.seconds, times.minutes, times.hours) == ((7,), (5,), (2,))


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [
        ("* * * * *", EVERY_MINUTE),
        ("*/15 * * * *", (0, 15, 30, 45)),
        ("*/59 * * * *", (0, 59)),
        ("5/20 * * * *", (5, 25, 45)),
        ("10-20/5 * * * *", (10, 15, 20)),
        ("10-20/7 * * * *", (10, 17)),
        ("1,2,1 * * * *", (1, 2)),
        ("50-59,0-3 * * * *", (0, 1, 2, 3, *range(50, 60))),
        ("007 * * * *", (7,)),
        ("5-5 * * * *", (5,)),
    ],
)
def test_minutes(expression: str, minutes: tuple[int, ...]) -> None:
    assert read_expression(expression).minutes == minutes


@pytest.mark.parametrize(
    ("field", "months"),
    [("JAN", (1,)), ("jan,Dec", (1, 12)), ("Mar-May", (3, 4, 5)), ("*/4", (1, 5, 9)), ("feb/5", (2, 7, 12))],
)
def test_months(field: str, months: tuple[int, ...]) -> None:
    assert read_expression(f"0 0 1 {field} *").months == months


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [
        ("0", {0}),
        ("7", {0}),
        ("sun", {0}),
        ("MON-FRI", {1, 2, 3, 4, 5}),
        ("Fri-Sun", {5, 6, 0}),
        ("5-7", {5, 6, 0}),
        ("0-7", ALL_WEEK),
        ("1-7", ALL_WEEK),
        ("SUN-SAT", ALL_WEEK),
        ("7-2", {0, 1, 2}),
        ("SUN-TUE", {0, 1, 2}),
        ("*/2", {0, 2, 4, 6}),
        ("1/3", {1, 4}),
        ("1-7/3", {1, 4, 0}),
        ("?", ALL_WEEK),
    ],
)
def test_weekdays(field: str, weekdays: set[int]) -> None:
    assert read_expression(f"0 0 * * {field}").weekdays == weekdays


def test_last_days() -> None:
    assert read_expression("0 0 L * *").last_day
    assert read_expression("0 0 1,l * *").days == {1}
    assert read_expression("0 0 * * FRIL").last_weekdays == {5}
    mixed = read_expression("0 0 * * 1,7L")
    assert (mixed.weekdays, mixed.last_weekdays) == ({1}, {0})


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@Monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        (" @HOURLY ", "0 * * * *"),
        ("\t0  0\t1 1 * ", "0 0 1 1 *"),
    ],
)
def test_other_ways_to_write_it(short: str, long: str) -> None:
    assert read_expression(short) == read_expression(long)


@pytest.mark.parametrize(
    ("days", "either"),
    [("1 * MON", True), ("* * MON", False), ("1 * *", False), ("*/2 * MON", False), ("1 * */2", False),
     ("1 * ?", False), ("? * 1", False), ("L * 1", True), ("1,2 * 5L", True)],
)  # fmt: skip
def test_when_one_of_both_days_is_enough(days: str, either: bool) -> None:
    assert read_expression(f"0 0 {days}").either_day is either


@pytest.mark.parametrize(("hour", "fixed"), [("2", True), ("1,2", True), ("1-5", True), ("*", False), ("1-5/2", False),
                                             ("0/6", False), ("*/2", False), ("1,*/6", False)])  # fmt: skip
def test_which_hours_are_fixed(hour: str, fixed: bool) -> None:
    assert read_expression(f"0 {hour} * * *").hour_is_fixed is fixed


BAD: list[tuple[str, str, str]] = [
    ("", "is empty", "0 2 * * *"),
    ("   ", "is empty", "0 2 * * *"),
    ("*", "has 1 of 5 fields", "0 2 * * *"),
    ("0 2 * *", "has 4 of 5 fields", "minute, hour, day of month"),
    ("0 2 * * * * *", "a seventh field, which would be a year", "leave the year out"),
    ("0 0 2 * * ? 2026", "a seventh field, which would be a year", "leave the year out"),
    ("0 2 * * * root backup --all", "has 8 parts", "without a user or a command"),
    ("0 2 * * * /usr/bin/backup", "'/usr/bin/backup' is not a part", "without a command"),
    ("TZ=UTC 0 2 * * *", "TZ=UTC is a setting", "timezone"),
    ("CRON_TZ=Europe/Berlin 0 2 * * *", "is a setting", "timezone"),
    ("@reboot", "@reboot is no time", "start script"),
    ("@every 5m", "@every is not a schedule", "*/5 * * * *"),
    ("@fortnightly", "no shorthand '@fortnightly'", "@yearly, @annually"),
    ("@", "no shorthand '@'", "@daily"),
    ("60 * * * *", "minute: 60 is not between 0 and 59", "0-59"),
    ("-1 * * * *", "minute: a number is missing", "0-59"),
    ("99999 * * * *", "minute: '99999' is not a number", "0-59"),
    ("1.5 * * * *", "minute: '1.5' is not a number", "0-59"),
    ("٣ * * * *", "minute: '٣' is not a number", "0-59"),
    ("a * * * *", "minute: 'a' is not a number", "0-59"),
    ("MON * * * *", "minute: 'MON' is not a number", "0-59"),
    ("+5 * * * *", "minute: '+5' is not a number", "0-59"),
    ("0x5 * * * *", "minute: '0x5' is not a number", "0-59"),
    ("** * * * *", "minute: '**' cannot be read", "let * stand alone"),
    ("*5 * * * *", "minute: '*5' cannot be read", "let * stand alone"),
    ("5* * * * *", "minute: '5*' cannot be read", "let * stand alone"),
    ("*-5 * * * *", "minute: '*' cannot be read", "let * stand alone"),
    ("? * * * *", "minute: ? has a meaning for days only", "write *"),
    ("L * * * *", "minute: L stands for a last day only", "day of month (L)"),
    ("H * * * *", "minute: H is not supported", "jitter"),
    ("1, * * * *", "minute: a part of the list is empty", "one comma"),
    (",1 * * * *", "minute: a part of the list is empty", "one comma"),
    ("1,,2 * * * *", "minute: a part of the list is empty", "one comma"),
    (", * * * *", "minute: a part of the list is empty", "one comma"),
    ("5- * * * *", "minute: a number is missing", "0-59"),
    ("1-2-3 * * * *", "minute: '2-3' is not a number", "0-59"),
    ("50-10 * * * *", "minute: the range 50-10 runs backwards", "50-59,0-10"),
    ("*/0 * * * *", "minute: a step of 0 never moves", "1 or more"),
    ("*/ * * * *", "minute: '' is not a step", "*/15"),
    ("*/x * * * *", "minute: 'x' is not a step", "*/15"),
    ("*/-5 * * * *", "minute: '-5' is not a step", "*/15"),
    ("*/5/5 * * * *", "minute: '5/5' is not a step", "*/15"),
    ("*/60 * * * *", "minute: the step of */60 leads out of 0-59", "for one time only, write 0"),
    ("*/90 * * * *", "minute: the step of */90 leads out of 0-59", "at most 59"),
    ("55/10 * * * *", "minute: the step of 55/10 leads out of 55-59", "for one time only, write 55"),
    ("10-20/11 * * * *", "minute: the step of 10-20/11 leads out of 10-20", "at most 10"),
    ("/5 * * * *", "minute: a number is missing", "0-59"),
    ("60 * * * * *", "second: 60 is not between 0 and 59", "0-59"),
    ("0 24 * * *", "hour: 24 is not between 0 and 23", "0-23"),
    ("0 22-2 * * *", "hour: the range 22-2 runs backwards", "22-23,0-2"),
    ("0 */24 * * *", "hour: the step of */24 leads out of 0-23", "for one time only, write 0"),
    ("0 2pm * * *", "hour: '2pm' is not a number", "0-23"),
    ("0 02:00 * * *", "hour: '02:00' is not a number", "0-23"),
    ("0 0 0 * *", "day of month: 0 is not between 1 and 31", "1-31"),
    ("0 0 32 * *", "day of month: 32 is not between 1 and 31", "1-31"),
    ("0 0 L-3 * *", "day of month: 'L-3' is not supported", "write L"),
    ("0 0 LW * *", "day of month: 'LW' is not supported", "write L"),
    ("0 0 15W * *", "day of month: '15W' is not supported", "condition"),
    ("0 0 */31 * *", "day of month: the step of */31 leads out of 1-31", "for one time only, write 1"),
    ("0 0 1L * *", "day of month: '1L' is not a number", "1-31"),
    ("0 0 1 0 *", "month: 0 is not between 1 and 12", "JAN-DEC"),
    ("0 0 1 13 *", "month: 13 is not between 1 and 12", "JAN-DEC"),
    ("0 0 1 JANUARY *", "month: 'JANUARY' is not a name of three letters", "write JAN"),
    ("0 0 1 JUX *", "month: 'JUX' is not a number or a name", "JAN-DEC"),
    ("0 0 1 NOV-FEB *", "month: the range NOV-FEB runs backwards", "NOV-DEC,JAN-FEB"),
    ("0 0 1 L *", "month: L stands for a last day only", "day of month (L)"),
    ("0 0 * * 8", "day of week: 8 is not between 0 and 7", "SUN-SAT"),
    ("0 0 * * MONDAY", "day of week: 'MONDAY' is not a name of three letters", "write MON"),
    ("0 0 * * MO", "day of week: 'MO' is not a number or a name", "SUN-SAT"),
    ("0 0 * * FRI-MON", "day of week: the range FRI-MON runs backwards", "FRI-SAT,SUN-MON"),
    ("0 0 * * 5-1", "day of week: the range 5-1 runs backwards", "5-SAT,SUN-1"),
    ("0 0 * * L", "day of week: L needs a day", "5L or FRIL"),
    ("0 0 * * 5#2", "day of week: '5#2' is not supported", "1-7"),
    ("0 0 * * 8L", "day of week: 8 is not between 0 and 7", "0-7"),
    ("0 0 * * MON-FRIL", "day of week: 'MON-FRI'", ""),
    ("0 0 * * */7", "day of week: the step of */7 leads out of 0-6", "write SUN"),
    ("0 0 30 2 *", "never fires: FEB never has a day 30", "up to 29, or L"),
    ("0 0 30,31 FEB *", "never fires: FEB never has a day 30", "up to 29"),
    ("0 0 31 4,6,9,11 *", "never fires: APR, JUN, SEP, NOV never have a day 31", "up to 30"),
    ("0 0 31 2,4 */2", "never fires: FEB, APR never have a day 31", "up to 30"),
    ("0 0 */20 2 5L", "it never fires: no day of a month is also that day of the week", "at *"),
    ("{{ variables.when }}", "has 3 of 5 fields", "0 2 * * *"),
    ("0\n2 * * * *", "", ""),
    ("0 2 * * *\x00", "day of week", ""),
    ("0 " * 600, "longer than 1000 characters", "several triggers"),
]


@pytest.mark.parametrize(("expression", "says", "remedy"), BAD, ids=[repr(bad[0][:30]) for bad in BAD])
def test_a_bad_expression_is_told_with_what_would_be_right(expression: str, says: str, remedy: str) -> None:
    with pytest.raises(InvalidSchedule) as told:
        CronSchedule.parse(expression, timezone="UTC")
    error = told.value
    assert error.field == "expression"
    assert says in error.message
    assert error.remedy
    assert remedy in error.remedy
    assert len(str(error)) < 400


def test_there_are_many_bad_expressions() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("day", ["29", "L", "28-31"])
def test_the_end_of_february_comes(day: str) -> None:
    assert CronSchedule.parse(f"0 0 {day} 2 *", timezone="UTC").next_after(0) is not None


def test_a_weekday_comes_where_the_day_of_the_month_does_not() -> None:
    assert read_expression("0 0 31 2 MON").either_day


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("Europe/Berlinn", "write Europe/Berlin"),
        ("europe/berlin", "write Europe/Berlin"),
        ("berlin", "write Europe/Berlin"),
        ("new york", "write America/New_York"),
        ("utc", "write UTC"),
        ("", "IANA name"),
        ("+02:00", "IANA name"),
        ("localtime", "IANA name"),
        ("../../etc/passwd", "IANA name"),
        ("/etc/localtime", "IANA name"),
        ("right/Europe/Berlin", ""),
        ("Mars/Olympus", "IANA name"),
        ("x" * 10_000, "IANA name"),
    ],
)
def test_bad_zones(name: str, remedy: str) -> None:
    with pytest.raises(InvalidSchedule) as told:
        CronSchedule.parse("0 2 * * *", timezone=name)
    assert told.value.field == "timezone"
    assert "there is no time zone" in told.value.message
    assert remedy in told.value.remedy
    assert len(str(told.value)) < 300


@pytest.mark.parametrize("rule", ["gap", "overlap"])
def test_bad_rules(rule: Any) -> None:
    with pytest.raises(InvalidSchedule, match=f"{rule} cannot be 'maybe'") as told:
        CronSchedule.parse("0 2 * * *", timezone="UTC", **{rule: "maybe"})
    assert told.value.field == rule
