"""What may be asked of backfills, and how they look. Models of answers are for the OpenAPI document."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from millrace.api.queries import instant
from millrace.api.schemas.users import UserRef
from millrace.app.backfills.commands import BackfillRequest

BackfillStatus = Literal["running", "paused", "completed", "cancelled", "failed"]
STATUSES: Final = ("running", "paused", "completed", "cancelled", "failed")
USUAL_PARALLEL: Final = 10

BACKFILL_BODY_EXAMPLE: Final[dict[str, Any]] = {
    "from": "2026-03-01T00:00:00Z",
    "until": "2026-03-08T00:00:00Z",
    "order": "parallel",
    "max_parallel": 4,
}
BACKFILL_EXAMPLE: Final[dict[str, Any]] = {
    "id": "019e2f60-1b1b-7c3d-8e4f-5a6b7c8d9e0f",
    "trigger": {"id": "019e2f60-0000-7000-8000-000000000002", "name": "nightly"},
    "workflow": {"id": "019e2f60-0000-7000-8000-000000000001", "name": "nightly-orders"},
    "from": "2026-03-01T00:00:00.000000Z",
    "until": "2026-03-08T00:00:00.000000Z",
    "order": "parallel",
    "max_parallel": 4,
    "again": False,
    "stop_on_failure": False,
    "status": "running",
    "reason": None,
    "rests_because": None,
    "total": 7,
    "left": 2,
    "fired_before": 1,
    "started": 4,
    "skipped": 0,
    "refused": 0,
    "completed": 3,
    "failed": 0,
    "under_way": ["019e2f60-7a1b-7c3d-8e4f-5a6b7c8d9e0f"],
    "created_by": {"id": "019e2f5f-0000-7000-8000-000000000001", "name": "Ada Lovelace"},
    "created_at": "2026-03-16T09:30:00.000000Z",
    "finished_at": None,
}

Past = Annotated[AwareDatetime, Strict(False)]


class BackfillBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    from_: Past = Field(alias="from", description="The first due time that is meant may be at this moment.")
    until: Past = Field(description="The last may be at this moment, which must not be in the future.")
    order: Literal["in_order", "parallel"] = Field(
        default="in_order",
        description="`in_order`: the next run starts when the one before has finished, with whatever outcome.",
    )
    max_parallel: int | None = Field(
        default=None,
        ge=1,
        le=50,
        description=f"With `parallel`: so many runs at once; {USUAL_PARALLEL} if it is left out.",
    )
    again: bool = Field(default=False, description="Start runs also for due times that have fired before.")
    stop_on_failure: bool = Field(default=False, description="End it when a run fails, is cancelled or cannot start.")
    dry_run: bool = Field(default=False, description="Only say what would be begun.")

    @model_validator(mode="after")
    def _one_at_a_time_in_order(self) -> Self:
        if self.order == "in_order" and (self.max_parallel or 1) > 1:
            raise PydanticCustomError(
                "order",
                "`max_parallel` is {given}, but `in_order` is one at a time",
                {"given": self.max_parallel, "remedy": "write `order: parallel`, or leave out `max_parallel`"},
            )
        return self

    def wanted(self) -> BackfillRequest:
        start, until = instant(self.from_), instant(self.until)
        assert start is not None, "it is required"  # noqa: S101
        assert until is not None, "it is required"  # noqa: S101
        at_once = 1 if self.order == "in_order" else self.max_parallel or USUAL_PARALLEL
        return BackfillRequest(start, until, at_once, self.again, self.stop_on_failure)


class TriggerOfBackfill(BaseModel):
    id: str
    name: str | None = Field(description="null once it is removed.")


class WorkflowOfBackfill(BaseModel):
    id: str
    name: str


class BackfillView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": BACKFILL_EXAMPLE})

    id: str
    trigger: TriggerOfBackfill
    workflow: WorkflowOfBackfill
    from_: str = Field(alias="from")
    until: str
    order: Literal["in_order", "parallel"]
    max_parallel: int
    again: bool
    stop_on_failure: bool
    status: BackfillStatus
    reason: str | None = Field(description="Why it ended before its time.")
    rests_because: str | None = Field(
        description="Why it starts nothing now, though it was not paused: `trigger_disabled`, `workflow_paused` (or "
        "another status), `workflow_not_deployed`. It goes on by itself."
    )
    total: int = Field(description="Due times of the range.")
    left: int = Field(description="Due times about which nothing is decided yet.")
    fired_before: int = Field(description="Due times that had a run already.")
    started: int = Field(description="Runs it started.")
    skipped: int = Field(description="Due times at which the trigger's `if` is false, or the limit had no room.")
    refused: int = Field(description="Due times for which no run could be started; the trigger's firings say why.")
    completed: int = Field(description="Of the runs it started those that completed.")
    failed: int = Field(description="Of the runs it started those that failed or were cancelled.")
    under_way: list[str] = Field(description="The runs that have not been seen to finish.")
    created_by: UserRef | None
    created_at: str
    finished_at: str | None


class BackfillPage(BaseModel):
    items: list[BackfillView]
    next_cursor: str | None


class BackfilledTime(BaseModel):
    due_at: str
    local: str = Field(description="The same, as clocks in the trigger's zone show it.")


class BackfillPreview(BaseModel):
    dry_run: Literal[True]
    total: int = Field(description="Due times of the range.")
    fired_before: int = Field(description="Of them those that have a run already, for which none would be started.")
    first: BackfilledTime
    last: BackfilledTime
