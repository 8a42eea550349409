"""From a trigger's type and config to when it fires: one interface over all types that fire by the clock.

A schedule is a pure function of what stands in the row, so what is cached here by that text is never stale.
"""

from dataclasses import dataclass
from functools import lru_cache

import orjson
from pydantic import ValidationError

from millrace.app.request_faults import of_stored_config
from millrace.core.values import Duration, Instant
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.configs import SCHEDULES, CatchUpPolicy
from millrace.triggers.due import Times
from millrace.triggers.faults import InvalidSchedule
from millrace.triggers.jitter import jitter_for

MAX_CACHED = 20_000


class UnusableSchedule(Exception):
    """The config of a trigger says no time; the message is for people."""


@dataclass(frozen=True, slots=True)
class Schedule:
    times: Times
    timezone: str
    policy: CatchUpPolicy
    """What becomes of due times that nobody was there to act on."""
    limit: int
    """With the policy `all`: at most so many of them."""
    jitter: Duration
    """Starts are spread over so long a time."""

    def first_after(self, after: Instant) -> Instant | None:
        """When it fires first if it is new at `after`; `None` for one whose time is over."""
        times = self.times
        due = times.first(after) if isinstance(times, AfterEnd) else times.next_after(after)
        return None if due is None else due.at

    def jitter_of(self, trigger_id: str) -> Duration:
        return jitter_for(trigger_id, self.jitter)


class Schedules:
    """`timezone` is that of schedules that name none."""

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._known = lru_cache(MAX_CACHED)(self._read)

    def of(self, type_: str, config: str) -> Schedule | None:
        """When a trigger fires by itself; `None` for a type that waits for something else.

        Raises `UnusableSchedule`, though definitions are checked when they are saved: an older release may have saved
        it, or the zone may be gone.
        """
        known = self._known(type_, config)
        if isinstance(known, UnusableSchedule):
            raise UnusableSchedule(*known.args)
        return known

    def _read(self, type_: str, config: str) -> Schedule | UnusableSchedule | None:
        if type_ not in SCHEDULES:
            return None
        given = orjson.loads(config)
        try:
            read = SCHEDULES[type_].model_validate(given)
            times = read.times(self._timezone)
        except ValidationError as error:
            return UnusableSchedule(of_stored_config(given, error, SCHEDULES[type_]))
        except InvalidSchedule as error:
            return UnusableSchedule(f"config.{error.field}: {error}")
        return Schedule(times, times.zone.name, read.catch_up_policy, read.catch_up_limit, read.jitter_length)
