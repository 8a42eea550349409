"""What is asked of a simulation, and what it answers. Models of answers are for the OpenAPI document."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from millrace.api.schemas.events import EVENT_EXAMPLE, EventFields

SIMULATION_EXAMPLE: Final[dict[str, Any]] = {"event": EVENT_EXAMPLE, "workflow": "monthly-report"}


MomentInTime = Annotated[AwareDatetime, Strict(False)]


class SimulatedEvent(EventFields):
    """An event that nobody publishes; it may also be one of Millrace's own."""

    extensions: dict[str, str | int | bool] = Field(default_factory=dict, description="Those of a CloudEvent.")


class SimulationBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"example": SIMULATION_EXAMPLE})

    event: SimulatedEvent | None = Field(default=None, description="What is thought of as having happened.")
    from_: MomentInTime | None = Field(
        default=None, alias="from", description="Instead of `event`: what schedules would fire after this moment."
    )
    until: MomentInTime | None = Field(default=None, description="With `from`: up to this moment.")
    workflow: str | None = Field(default=None, max_length=255, description="Only triggers of this workflow.")
    cursor: str | None = Field(default=None, max_length=1000, description="`next_cursor` of the page before.")
    limit: int = Field(default=50, ge=1, le=1000, description="At most so many triggers (200), or firings.")

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        asked = (self.event is not None, self.from_ is not None, self.until is not None)
        if asked not in ((True, False, False), (False, True, True)):
            raise _unclear("give an `event`, or `from` and `until`", "give one of the two")
        if self.from_ is not None and self.until is not None and self.until < self.from_:
            raise _unclear("`until` is before `from`", "name a later moment")
        if self.event is None and self.cursor is not None:
            raise _unclear("what schedules fire has no pages", "leave out `cursor`; begin at a later `from`")
        return self


def _unclear(message: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("question", "{message}", {"message": message, "remedy": remedy})


class SimulatedWorkflow(BaseModel):
    id: str
    name: str
    status: str


class SimulatedTrigger(BaseModel):
    id: str
    name: str
    type: str
    workflow: SimulatedWorkflow


class RefusedBy(BaseModel):
    filter: str = Field(
        description="`event_type`, `source`, `subject`, `if`; or `enabled`, `workflow.status`, `workflow.deployed`, "
        "`config` for a trigger that fires for nothing now.",
        examples=["subject"],
    )
    wanted: Any = Field(description="What the filter asks for.")
    got: Any = Field(description="What the event has.")
    message: str


class SimulatedFiring(BaseModel):
    trigger: SimulatedTrigger
    matches: bool = Field(description="Whether this event would make it fire.")
    refused: list[RefusedBy] = Field(description="Every filter that refuses the event.")
    input: dict[str, Any] | None = Field(description="What the run would be given.")
    error: str | None = Field(description="Why the firing would fail: its `if` or its `input` has no value.")


class ScheduledFiring(BaseModel):
    trigger: SimulatedTrigger
    due_at: str
    local: str = Field(description="What clocks in its zone show then, with their distance from UTC.")
    shift: Literal["gap", "overlap"] | None = Field(
        description="`gap`: the time that is named does not exist on this day. `overlap`: clocks show this time twice."
    )
    starts_at: str = Field(description="Later than `due_at` by the trigger's jitter.")


class ScheduleSimulation(BaseModel):
    """What active schedules would fire, the earliest first."""

    items: list[ScheduledFiring]
    complete: bool = Field(description="Whether these are all: neither `limit` nor the number of schedules cut it off.")
    schedules: int = Field(description="Schedules that were looked at; 5,000 at most, those that fire next first.")


class SimulationPage(BaseModel):
    items: list[SimulatedFiring]
    next_cursor: str | None
