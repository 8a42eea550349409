"""What previews of schedules look like. The response models describe; answers are not passed through them."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PREVIEW_BODY_EXAMPLE: Final[dict[str, Any]] = {
    "expression": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "dst": {"gap": "shift", "overlap": "first"},
    "count": 3,
    "from": "2026-03-28T00:00:00Z",
}
PREVIEW_EXAMPLE: Final[dict[str, Any]] = {
    "expression": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "from": "2026-03-28T00:00:00.000000Z",
    "note": None,
    "items": [
        {
            "due_at": "2026-03-29T01:00:00.000000Z",
            "local": "2026-03-29T03:00:00+02:00",
            "offset": "+02:00",
            "shift": "gap",
            "note": "clocks skip the time that is named; this is the first moment after the gap",
            "starts_at": "2026-03-29T01:00:00.000000Z",
            "starts_before": None,
        }
    ],
    "clock_changes": [
        {
            "at": "2026-03-29T01:00:00.000000Z",
            "before": "2026-03-29T02:00:00+01:00",
            "after": "2026-03-29T03:00:00+02:00",
        }
    ],
}


class PreviewedFiring(BaseModel):
    due_at: str = Field(description="What the schedule says.")
    local: str = Field(description="What clocks in the zone show then, with their distance from UTC.")
    offset: str
    shift: Literal["gap", "overlap"] | None = Field(
        description="`gap`: the time that is named does not exist on this day. `overlap`: clocks show this time twice."
    )
    note: str | None = Field(description="The shift in words.")
    starts_at: str | None = Field(description="Later by the trigger's jitter; null if that is not known yet.")
    starts_before: str | None = Field(description="With a jitter that is not known yet: it starts before this.")


class PreviewedClockChange(BaseModel):
    at: str
    before: str = Field(description="What clocks would show.")
    after: str = Field(description="What they show.")


class Preview(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": PREVIEW_EXAMPLE})

    expression: str
    timezone: str
    from_: str = Field(alias="from")
    note: str | None = Field(description="Why later firings are not shown: each depends on the run before it.")
    items: list[PreviewedFiring]
    clock_changes: list[PreviewedClockChange] = Field(
        description="From a day before the first firing shown, up to the last."
    )


class TriggerTypeView(BaseModel):
    type: str = Field(examples=["cron"])
    summary: str
    config_schema: dict[str, Any] = Field(description="JSON Schema of what `config` takes.")


class TriggerTypePage(BaseModel):
    items: list[TriggerTypeView]
    next_cursor: None
