"""What the `config` of each trigger type takes. Descriptions and limits are shown to users, in the JSON Schema."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from millrace.core import durations
from millrace.core.durations import UNITS, duration_text, parse_duration
from millrace.core.values import Duration, Instant
from millrace.triggers import moments
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.bounds import Bounded
from millrace.triggers.cron import CronSchedule, Gap, Overlap
from millrace.triggers.due import Times
from millrace.triggers.faults import InvalidSchedule, told
from millrace.triggers.fields import LONGEST_EXPRESSION
from millrace.triggers.interval import IntervalTimes
from millrace.triggers.moments import instant_of, parse_moment
from millrace.triggers.once import Once
from millrace.triggers.wall import wall_clock
from millrace.triggers.zones import Zone, zone_of

CatchUpPolicy: TypeAlias = Literal["none", "latest", "all"]

LONGEST_JITTER: Duration = UNITS["d"]
SHORTEST_INTERVAL: Duration = UNITS["s"]
MOST_CAUGHT_UP = 1000

ORDER = "write an `end` that is not before `start`"
LEAVE_OUT_ANCHOR = "leave out `anchor`; `start` says when the first run starts"


def _expression(text: str) -> str:
    try:
        wall_clock(text)
    except InvalidSchedule as error:
        raise _custom(error) from None
    return text


def _timezone(name: str) -> str:
    try:
        zone_of(name)
    except InvalidSchedule as error:
        raise _custom(error) from None
    return name


def _custom(error: InvalidSchedule) -> PydanticCustomError:
    return told("schedule", error.message, error.remedy)


def _jitter(value: object) -> str:
    text, length = _duration(value)
    if length > LONGEST_JITTER:
        raise told("duration", f"a jitter is one day at most, not {text}", durations.REMEDY)
    return text


def _every(value: object) -> str:
    text, length = _duration(value)
    if length < SHORTEST_INTERVAL:
        raise told("duration", f"an interval is 1s at least, not {text}", durations.REMEDY)
    return text


def _duration(value: object) -> tuple[str, Duration]:
    try:
        text = duration_text(value)
        return text, parse_duration(text)
    except ValueError as error:
        raise told("duration", str(error), durations.REMEDY) from None


def _moment(text: str) -> str:
    try:
        parse_moment(text)
    except ValueError as error:
        raise told("moment", str(error), moments.REMEDY) from None
    return text


Expression: TypeAlias = Annotated[str, AfterValidator(_expression)]
Timezone: TypeAlias = Annotated[str, AfterValidator(_timezone)]
Jitter: TypeAlias = Annotated[
    str,
    BeforeValidator(_jitter),
    WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "10m"]}),
]
Every: TypeAlias = Annotated[
    str,
    BeforeValidator(_every),
    WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "15m", "1d"]}),
]
Moment: TypeAlias = Annotated[
    str,
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-11-02T08:00:00+01:00", "2026-11-02T08:00", "2026-11-02"]}),
]


def _after_start(end: str, fields: ValidationInfo) -> str:
    """Compared where it needs no zone: with the offset of both, or as clocks show both."""
    start = fields.data.get("start")
    if start is None:
        return end
    first, last = parse_moment(start), parse_moment(end)
    if (first.tzinfo is None) == (last.tzinfo is None) and last < first:
        raise told("moment", f"it is before `start` ({start}), so nothing would ever be due", ORDER)
    return end


AfterStart: TypeAlias = Annotated[Moment, AfterValidator(_after_start)]


def _with_steps(anchor: str, fields: ValidationInfo) -> str:
    if fields.data.get("counted_from") == "last_end":
        raise told("moment", "what is counted from the end of the last run has no anchor", LEAVE_OUT_ANCHOR)
    return anchor


Anchor: TypeAlias = Annotated[Moment, AfterValidator(_with_steps)]


class Config(BaseModel):
    """Unknown fields are faults, and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Dst(Config):
    """What becomes of an appointment when clocks are changed. Holds where the hour is written as numbers."""

    gap: Gap = Field(
        default="shift",
        description="A time that no clock shows: `shift` fires at the first instant after the gap, `skip` not at all.",
    )
    overlap: Overlap = Field(default="first", description="A time shown twice: fire the first time, the last, or both.")


class CatchUpAll(Config):
    """Make up for every firing that was missed."""

    policy: Literal["all"] = Field(description="The only policy with a limit.")
    limit: int = Field(default=100, ge=1, le=MOST_CAUGHT_UP, description="The most firings that are made up for.")


class ScheduleConfig(Config, ABC):
    """What all schedules have in common."""

    timezone: Timezone | None = Field(
        default=None,
        description="An IANA time zone. Without it that of the installation holds (MILLRACE_SCHEDULER_TIMEZONE).",
        examples=["Europe/Berlin"],
    )
    catch_up: CatchUpPolicy | CatchUpAll = Field(
        default="latest",
        description="After a downtime: make up for none of the missed firings, the latest, or all of them.",
    )
    jitter: Jitter = Field(
        default="0s", description="Each trigger fires later by a delay of its own, from 0 up to this, always the same."
    )

    @abstractmethod
    def times(self, default_timezone: str) -> Times:
        """When it is due. `default_timezone` holds if the config names none; `InvalidSchedule` if that is no zone."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The schedule in a few words."""

    def zone(self, default_timezone: str) -> Zone:
        return zone_of(self.timezone or default_timezone)

    @property
    def catch_up_policy(self) -> CatchUpPolicy:
        return self.catch_up if isinstance(self.catch_up, str) else self.catch_up.policy

    @property
    def catch_up_limit(self) -> int:
        """With the policy `all`: the most firings that are made up for."""
        return CatchUpAll(policy="all").limit if isinstance(self.catch_up, str) else self.catch_up.limit

    @property
    def jitter_length(self) -> Duration:
        return parse_duration(self.jitter)


class RepeatedConfig(ScheduleConfig):
    """A schedule that goes on, if it is not told from when and until when."""

    start: Moment | None = Field(default=None, description="Nothing is due before this moment.")
    end: AfterStart | None = Field(default=None, description="Nothing is due after this moment.")

    def bounded(self, times: Times) -> Times:
        start, end = self.bounds(times.zone)
        return times if start is None and end is None else Bounded(times, start, end)

    def bounds(self, zone: Zone) -> tuple[Instant | None, Instant | None]:
        start, end = (None if moment is None else instant_of(moment, zone) for moment in (self.start, self.end))
        return start, end


class CronConfig(RepeatedConfig):
    expression: Expression = Field(
        description="Minute, hour, day of month, month, day of week; with six fields seconds come first; or @daily …",
        examples=["0 2 * * *"],
        json_schema_extra={"maxLength": LONGEST_EXPRESSION},
    )
    dst: Dst = Field(default=Dst(), description="What happens when clocks are changed.")

    def schedule(self, default_timezone: str) -> CronSchedule:
        """Without its bounds. `default_timezone` holds if the config names none; `InvalidSchedule` if it is no zone."""
        return CronSchedule.parse(
            self.expression,
            timezone=self.timezone or default_timezone,
            gap=self.dst.gap,
            overlap=self.dst.overlap,
        )

    def times(self, default_timezone: str) -> Times:
        return self.bounded(self.schedule(default_timezone))

    @property
    def text(self) -> str:
        return self.expression

    @property
    def follows_the_clock(self) -> bool:
        """The hour has a `*` or a step, so that `dst` does not hold."""
        return not wall_clock(self.expression).hour_is_fixed


class IntervalConfig(RepeatedConfig):
    every: Every = Field(description="The time from one firing to the next, at least 1s.", examples=["15m"])
    counted_from: Literal["anchor", "last_end"] = Field(
        default="anchor",
        description="`anchor`: equal steps of real time, whatever the runs do. `last_end`: each time from the end of "
        "the last run that it started, so that two are never at work at once; the first starts at once.",
    )
    anchor: Anchor = Field(
        default="1970-01-01T00:00:00Z",
        description="A moment from which the steps are counted, in both directions. Left out, an interval that divides "
        "the day falls on the same times of every day, in UTC.",
    )

    def times(self, default_timezone: str) -> Times:
        zone, every = self.zone(default_timezone), parse_duration(self.every)
        if self.counted_from == "last_end":
            return AfterEnd(every, *self.bounds(zone), zone)
        return self.bounded(IntervalTimes(every, instant_of(self.anchor, zone), zone))

    @property
    def text(self) -> str:
        return f"{self.every} after each end" if self.counted_from == "last_end" else f"every {self.every}"


class OnceConfig(ScheduleConfig):
    at: Moment = Field(description="When the run is to start.")

    def times(self, default_timezone: str) -> Times:
        zone = self.zone(default_timezone)
        return Once(instant_of(self.at, zone), zone)

    @property
    def text(self) -> str:
        return f"once at {self.at}"


SCHEDULES: Mapping[str, type[ScheduleConfig]] = {"cron": CronConfig, "interval": IntervalConfig, "once": OnceConfig}
"""The trigger types that fire by the clock."""


class ManualConfig(Config):
    require_confirmation: bool = Field(
        default=False, description="Refuse to start a run unless the request says `confirmation: true`."
    )
