"""Events: what may be told of one, and how they are shown. Models of answers are for the OpenAPI document."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

LONGEST: Final = 255

EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "type": "orders.imported",
    "source": "shops/berlin",
    "subject": "day/2026-11-21",
    "data": {"count": 17},
    "id": "import-2026-11-21",
}
CLOUD_EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "import-2026-11-21",
    "source": "shops/berlin",
    "type": "orders.imported",
    "data": {"count": 17},
}
BATCH_EXAMPLE: Final = [CLOUD_EVENT_EXAMPLE]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        told = {"remedy": f"write one line of at most {LONGEST} characters"}
        raise PydanticCustomError("line", "this cannot hold a line break or another control character", told)
    return text


def _no_blanks(text: str) -> str:
    if text.strip() != text:
        told = {"remedy": "write it without blanks around it: orders.imported"}
        raise PydanticCustomError("event_type", "a type of events neither begins nor ends with a blank", told)
    return text


Line: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_one_line)]
EventType: TypeAlias = Annotated[Line, AfterValidator(_no_blanks)]
EventTime: TypeAlias = Annotated[
    AwareDatetime,
    Field(strict=False, ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]


class EventFields(BaseModel):
    """What an event tells, in Millrace's own form."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    type: EventType = Field(description="What kind of thing happened.", examples=["orders.imported"])
    source: Line = Field(default="api", description="Who tells it.", examples=["shops/berlin"])
    subject: Line | None = Field(default=None, description="What it happened to.", examples=["day/2026-11-21"])
    data: Any = Field(default=None, description="Any JSON, 256 KiB at most.")
    id: Line | None = Field(
        default=None,
        description="An id that the source gives it. The same source and id again is the same event: it is stored and "
        "acted on once. The header Idempotency-Key stands for it where it is left out.",
    )
    time: EventTime | None = Field(default=None, description="When it happened; the moment of the request otherwise.")


class EventBody(EventFields):
    model_config = ConfigDict(json_schema_extra={"example": EVENT_EXAMPLE})


class CloudEventBody(BaseModel):
    """A CloudEvent 1.0. What it has beside these attributes are its extensions."""

    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Line = Field(description="With the source it says which event this is.")
    source: Line = Field(description="Who tells it.", examples=["shops/berlin"])
    type: EventType = Field(description="What kind of thing happened.", examples=["orders.imported"])
    subject: Line | None = Field(default=None, description="What it happened to.", examples=["day/2026-11-21"])
    time: EventTime | None = Field(default=None, description="When it happened.")
    datacontenttype: Line | None = None
    dataschema: Line | None = None
    data: Any = None
    data_base64: str | None = None


class EventView(BaseModel):
    """Something that happened, as it was told. An event never changes."""

    id: str
    type: str = Field(examples=["orders.imported"])
    source: str = Field(description="Who told it.", examples=["workflows/nightly-orders"])
    subject: str | None = Field(description="What it happened to.")
    data: Any
    run_id: str | None = Field(description="The run that published it.")
    task: str | None = Field(description="The task that published it.")
    at: str = Field(description="When it was stored.")
    external_id: str | None = Field(description="The id that its source gave it.")
    occurred_at: str | None = Field(description="When it happened, by its source.")
    extensions: dict[str, Any] = Field(description="Further attributes of a CloudEvent.")


class PublishedEvent(EventView):
    repeated: bool = Field(description="Whether its source had told it before; then it is shown as it was told then.")


class PublishedEvents(BaseModel):
    """Of a batch of CloudEvents."""

    items: list[PublishedEvent]


class EventPage(BaseModel):
    items: list[EventView]
    next_cursor: str | None
