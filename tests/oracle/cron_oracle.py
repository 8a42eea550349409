"""What a cron expression means, told a second time: by trying everything, slowly, and sharing no code with Millrace.

A part of a field is never turned into a set of numbers: each number there is is held against the text. Days are walked
one by one. What the clocks of a zone show is asked of `zoneinfo` for each single time, by `fold` (PEP 495), and for
schedules that follow the clock also by walking over all seconds of the world in which something could happen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

NAMES = {
    name: str(number)
    for names, first in (("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", 1), ("SUN MON TUE WED THU FRI SAT", 0))
    for number, name in enumerate(names.split(), first)
}
ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip

Firing = tuple[int, str, str | None]
"""Seconds since the epoch, what the clocks show, and the mark of a shift."""


@dataclass(frozen=True)
class Expression:
    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    @classmethod
    def of(cls, text: str) -> "Expression":
        words = ALIASES.get(text.lower(), text).upper().split()
        return cls(*(words if len(words) == 6 else ["0", *words]))

    @property
    def follows_the_clock(self) -> bool:
        return "*" in self.hour or "/" in self.hour

    def has_day(self, day: date) -> bool:
        if not said(self.month, day.month, 1, 12):
            return False
        tomorrow = day + timedelta(days=1)
        by_number = said(self.day, day.day, 1, 31) or ("L" in self.day.split(",") and tomorrow.month != day.month)
        weekday = day.isoweekday() % 7
        in_last_week = (day + timedelta(days=7)).month != day.month
        by_weekday = any(
            said(part[:-1], weekday, 0, 6) and in_last_week
            if part.endswith("L")
            else said(part, weekday, 0, 6) or (weekday == 0 and said(part, 7, 0, 6))
            for part in self.weekday.split(",")
        )
        if self.day[0] in "*?" or self.weekday[0] in "*?":
            return by_number and by_weekday
        return by_number or by_weekday

    def times(self) -> list[timedelta]:
        """The times of a day of 24 hours."""
        return [
            timedelta(hours=hour, minutes=minute, seconds=second)
            for hour in range(24)
            if said(self.hour, hour, 0, 23)
            for minute in range(60)
            if said(self.minute, minute, 0, 59)
            for second in range(60)
            if said(self.second, second, 0, 59)
        ]


def said(field: str, number: int, low: int, high: int) -> bool:
    """Whether a field of `low` to `high` names a number."""
    return any(_part_says(part, number, low, high) for part in field.split(","))


def _part_says(part: str, number: int, low: int, high: int) -> bool:
    if part.endswith("L"):
        return False
    base, _, step = part.partition("/")
    if base in ("*", "?"):
        first, last = low, high
    elif "-" in base:
        first, last = (int(NAMES.get(end, end)) for end in base.split("-"))
        last = 7 if last == 0 and first > 0 and high == 6 else last
        first = 0 if first == 7 and last != 7 else first
    else:
        first = int(NAMES.get(base, base))
        last = high if step else first
    return first <= number <= last and (number - first) % int(step or 1) == 0


def named_times(expression: Expression, first: date, last: date) -> list[datetime]:
    """The wall-clock times that are named from the day `first` to the day `last`, without a zone."""
    times = expression.times()
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    midnights = (datetime(day.year, day.month, day.day) for day in days if expression.has_day(day))  # noqa: DTZ001
    return [midnight + time for midnight in midnights for time in times]


def firings(
    named: list[datetime],
    zone: ZoneInfo,
    *,
    follows_the_clock: bool,
    gap: Literal["shift", "skip"],
    overlap: Literal["first", "last", "both"],
) -> list[Firing]:
    """What becomes of the times that an expression names, in a zone."""
    regular: dict[int, str | None] = {}
    shifted: set[int] = set()
    for wall in named:
        early, late = _seconds(wall, zone, 0), _seconds(wall, zone, 1)
        if early == late:
            regular[early] = None
        elif early < late:
            wanted = "both" if follows_the_clock else overlap
            regular |= {early: "overlap"} if wanted in ("first", "both") else {}
            regular |= {late: "overlap"} if wanted in ("last", "both") else {}
        elif gap == "shift" and not follows_the_clock:
            # In a gap fold=0 reckons with the offset before it and fold=1 with that after it: the change lies between.
            shifted.add(_change_between(late, early, zone))
    marks: dict[int, str | None] = {**dict.fromkeys(shifted, "gap"), **regular}
    return [(second, shown(second, zone), marks[second]) for second in sorted(marks)]


def walked(expression: Expression, zone: ZoneInfo, first: int, last: int) -> list[Firing]:
    """The firings of a schedule that follows the clock, after `first` and up to `last`: every second is looked at.

    Every minute, if seconds are not in play.
    """
    step = 60 if expression.second == "0" and first % 60 == 0 and _whole_minutes(zone, first, last) else 1
    found: list[Firing] = []
    for second in range(first + step, last + 1, step):
        wall = datetime.fromtimestamp(second, zone)
        if (
            said(expression.minute, wall.minute, 0, 59)
            and said(expression.hour, wall.hour, 0, 23)
            and said(expression.second, wall.second, 0, 59)
            and expression.has_day(wall.date())
        ):
            naive = wall.replace(tzinfo=None, fold=0)
            twice = _seconds(naive, zone, 0) < _seconds(naive, zone, 1)
            found.append((second, wall.isoformat(), "overlap" if twice else None))
    return found


def changes(zone: ZoneInfo, first: int, last: int) -> Iterator[int]:
    """The hours in which the clocks are changed."""
    before = _offset(first, zone)
    for second in range(first + 3600, last + 1, 3600):
        offset = _offset(second, zone)
        if offset != before:
            yield second
        before = offset


def shown(second: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(second, zone).isoformat()


def _whole_minutes(zone: ZoneInfo, first: int, last: int) -> bool:
    return _offset(first, zone) % 60 == 0 and _offset(last, zone) % 60 == 0


def _change_between(first: int, last: int, zone: ZoneInfo) -> int:
    """The first second after `first` with another offset."""
    offset = _offset(first, zone)
    minute = next(second for second in range(first, last + 60, 60) if _offset(second, zone) != offset)
    return next(second for second in range(max(first, minute - 60), minute + 1) if _offset(second, zone) != offset)


def _offset(second: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _seconds(wall: datetime, zone: ZoneInfo, fold: int) -> int:
    return int(wall.replace(tzinfo=zone, fold=fold).timestamp())
