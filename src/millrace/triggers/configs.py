"""What the `config` of each trigger type takes. Descriptions and limits are shown to users, in the JSON Schema."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from millrace.core.durations import REMEDY, UNITS, duration_text, parse_duration
from millrace.core.values import Duration
from millrace.triggers.cron import CronSchedule, Gap, Overlap
from millrace.triggers.faults import InvalidSchedule
from millrace.triggers.fields import LONGEST_EXPRESSION
from millrace.triggers.wall import wall_clock
from millrace.triggers.zones import zone_of

CatchUpPolicy: TypeAlias = Literal["none", "latest", "all"]

LONGEST_JITTER: Duration = UNITS["d"]
MOST_CAUGHT_UP = 1000


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
    return PydanticCustomError("schedule", "{reason}", {"reason": error.message, "remedy": error.remedy})


def _jitter(value: object) -> str:
    try:
        text = duration_text(value)
        if parse_duration(text) > LONGEST_JITTER:
            raise ValueError(f"a jitter is one day at most, not {text}")
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": str(error), "remedy": REMEDY}) from None
    return text


Expression: TypeAlias = Annotated[str, AfterValidator(_expression)]
Timezone: TypeAlias = Annotated[str, AfterValidator(_timezone)]
Jitter: TypeAlias = Annotated[
    str,
    BeforeValidator(_jitter),
    WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "10m"]}),
]


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


class CronConfig(Config):
    expression: Expression = Field(
        description="Minute, hour, day of month, month, day of week; with six fields seconds come first; or @daily …",
        examples=["0 2 * * *"],
        json_schema_extra={"maxLength": LONGEST_EXPRESSION},
    )
    timezone: Timezone | None = Field(
        default=None,
        description="An IANA time zone. Without it that of the installation holds (MILLRACE_SCHEDULER_TIMEZONE).",
        examples=["Europe/Berlin"],
    )
    dst: Dst = Field(default=Dst(), description="What happens when clocks are changed.")
    catch_up: CatchUpPolicy | CatchUpAll = Field(
        default="latest",
        description="After a downtime: make up for none of the missed firings, the latest, or all of them.",
    )
    jitter: Jitter = Field(
        default="0s", description="Each trigger fires later by a delay of its own, from 0 up to this, always the same."
    )

    def schedule(self, default_timezone: str) -> CronSchedule:
        """`default_timezone` holds if the config names none. Raises `InvalidSchedule` if that is no zone."""
        return CronSchedule.parse(
            self.expression,
            timezone=self.timezone or default_timezone,
            gap=self.dst.gap,
            overlap=self.dst.overlap,
        )

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


class ManualConfig(Config):
    require_confirmation: bool = Field(
        default=False, description="Refuse to start a run unless the request says `confirmation: true`."
    )
