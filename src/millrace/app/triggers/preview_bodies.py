"""What is asked about a schedule that no trigger has yet: the `config` of one of its type, and what shall be shown."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import AwareDatetime, Field

from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.definition.words import hint
from millrace.triggers.configs import Config, CronConfig, IntervalConfig, OnceConfig
from millrace.triggers.registry import TRIGGER_TYPES

MOST = 100
USUAL = 10

Start: TypeAlias = Annotated[
    AwareDatetime,
    Field(
        strict=False,
        ge=datetime(1970, 1, 1, tzinfo=UTC),
        lt=datetime(2100, 1, 1, tzinfo=UTC),
        description="The firings after this moment; now, if it is left out.",
    ),
]


class Asked(Config):
    count: int = Field(default=USUAL, ge=1, le=MOST, description="How many firings.")
    from_: Start | None = Field(default=None, alias="from")


class CronPreview(Asked, CronConfig):
    type: Literal["cron"] = Field(default="cron", description="The type of the trigger; may be left out for cron.")


class IntervalPreview(Asked, IntervalConfig):
    type: Literal["interval"] = Field(description="The type of the trigger.")


class OncePreview(Asked, OnceConfig):
    type: Literal["once"] = Field(description="The type of the trigger.")


PreviewBody: TypeAlias = CronPreview | IntervalPreview | OncePreview

BODIES: Mapping[str, type[PreviewBody]] = {"cron": CronPreview, "interval": IntervalPreview, "once": OncePreview}
"""By the types of `SCHEDULES`."""

USUAL_TYPE = "cron"
TELLING = {"every": "interval", "at": "once"}
"""Fields by which another type is known whose name was forgotten."""


def body_for(given: JsonObject) -> type[PreviewBody]:
    """The model of a request, by the `type` that it names. Raises `InvalidRequest` for one without a schedule."""
    kind = given.get("type", USUAL_TYPE)
    if not isinstance(kind, str) or kind not in BODIES:
        raise _refused("literal_error", _no_schedule(kind), f"write one of {', '.join(BODIES)}")
    meant = next((field for field in TELLING if field in given), None)
    if "type" not in given and "expression" not in given and meant is not None:
        message = f"`{meant}` is a field of another type of schedule than {USUAL_TYPE}"
        raise _refused("missing", message, f"add the type {TELLING[meant]}")
    return BODIES[kind]


def _no_schedule(kind: object) -> str:
    if not isinstance(kind, str):
        return "a type is text"
    if kind in TRIGGER_TYPES:
        return f"a trigger of the type {kind} has no schedule"
    return f"there is no schedule of this type{hint(kind, BODIES)}"


def _refused(code: str, message: str, remedy: str) -> InvalidRequest:
    fault = Fault("type", code, message, remedy)
    return InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
