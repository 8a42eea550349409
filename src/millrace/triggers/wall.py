"""The wall-clock times that an expression names, on a calendar without zones: every day has 24 hours.

A wall-clock time is a number here: the seconds since 1970-01-01 00:00 that the clock would show.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from millrace.triggers.faults import InvalidSchedule
from millrace.triggers.fields import Times, read_expression

DAY = 86_400
EPOCH_DAY = date(1970, 1, 1).toordinal()
YEARS = 100
"""How far a day is looked for. The rarest there are, 29 February on a given weekday, lie 40 years apart at most."""

ALL_DAYS = (1 << 32) - 2


class WallClock:
    """When a clock shows what the expression names."""

    def __init__(self, times: Times) -> None:
        self._seconds = _next_of(times.seconds, 60)
        self._minutes = _next_of(times.minutes, 60)
        self._hours = _next_of(times.hours, 24)
        self._earliest = times.hours[0] * 3600 + times.minutes[0] * 60 + times.seconds[0]
        """The first time of a day."""
        self._days = sum(1 << day for day in times.days)
        self._last_day = times.last_day
        self._months = _next_of(times.months, 13)
        self._weekdays = tuple(_month_of(times.weekdays, first) for first in range(7))
        self._last_weekdays = tuple(_month_of(times.last_weekdays, first) for first in range(7))
        self._either = times.either_day
        self.hour_is_fixed = times.hour_is_fixed

    def first_from(self, wall: int) -> int | None:
        """The first time named that is not before `wall`; `None` if there is none in a hundred years."""
        number, second = divmod(wall, DAY)
        day = date.fromordinal(number + EPOCH_DAY)
        if self._months[day.month] == day.month and self._days_of(day.year, day.month, day) >> day.day & 1:
            time = self._time_from(second)
            if time is not None:
                return number * DAY + time
        following = self._day_after(day)
        if following is None:
            return None
        return (following.toordinal() - EPOCH_DAY) * DAY + self._earliest

    def _time_from(self, second: int) -> int | None:
        """The first time of a day that is not before its `second`."""
        hour, rest = divmod(second, 3600)
        minute, second = divmod(rest, 60)
        if self._hours[hour] == hour:
            if self._minutes[minute] == minute and self._seconds[second] >= 0:
                return hour * 3600 + minute * 60 + self._seconds[second]
            minute = self._minutes[minute + 1]
            if minute >= 0:
                return hour * 3600 + minute * 60 + self._seconds[0]
        hour = self._hours[hour + 1]
        return None if hour < 0 else hour * 3600 + self._earliest % 3600

    def _day_after(self, day: date) -> date | None:
        """The first day named after `day`."""
        year, month = day.year, self._months[day.month]
        if month == day.month:
            later = self._days_of(year, month, day) >> (day.day + 1) << (day.day + 1)
            if later:
                return day.replace(day=_lowest(later))
            month = self._months[month + 1]
        for _ in range(YEARS * 12):
            if month < 0:
                year, month = year + 1, self._months[0]
            days = self._days_of(year, month, date(year, month, 1))
            if days:
                return date(year, month, _lowest(days))
            month = self._months[month + 1]
        return None

    def _days_of(self, year: int, month: int, day: date) -> int:
        """The days of a month, `day` being one of them, that are named: a bit for each."""
        length = _length(year, month)
        first = (day.isoweekday() - day.day + 1) % 7
        days = self._days | (1 << length if self._last_day else 0)
        weekdays = self._weekdays[first] | self._last_weekdays[first] >> (length - 6) << (length - 6)
        return (days | weekdays if self._either else days & weekdays) & ((2 << length) - 1)


@lru_cache(maxsize=4096)
def wall_clock(expression: str) -> WallClock:
    """Raises `InvalidSchedule`, also if no day is ever named. Many triggers have the same expression: it is shared."""
    clock = WallClock(read_expression(expression))
    if clock.first_from(0) is None:
        remedy = "leave day of month or day of week at *"
        raise InvalidSchedule("expression", "it never fires: no day of a month is also that day of the week", remedy)
    return clock


def _length(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _next_of(numbers: Sequence[int], size: int) -> tuple[int, ...]:
    """For every number up to `size` the first of `numbers` that is not smaller; -1 if there is none."""
    found = [-1] * (size + 1)
    low = 0
    for number in numbers:
        found[low : number + 1] = [number] * (number + 1 - low)
        low = number + 1
    return tuple(found)


def _month_of(weekdays: frozenset[int], first: int) -> int:
    """The days with these weekdays in a month that begins with the weekday `first`: a bit for each."""
    return sum(1 << day for day in range(1, 32) if (first + day - 1) % 7 in weekdays)
