"""What triggers and firings look like, with examples for the OpenAPI document.

The response models describe; answers are not passed through them.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

TRIGGER_EXAMPLE: Final[dict[str, Any]] = {
    "id": "019e2f60-1b1b-7c3d-8e4f-5a6b7c8d9e0f",
    "name": "nightly",
    "workflow": {"id": "019e2f60-0000-7000-8000-000000000001", "name": "nightly-orders", "status": "active"},
    "type": "cron",
    "origin": "definition",
    "enabled": True,
    "active": True,
    "silent_because": None,
    "if": None,
    "config": {"expression": "0 2 * * *", "timezone": "Europe/Berlin"},
    "input": {"day": "{{ trigger.due_date }}"},
    "webhook": None,
    "next_firing": {
        "due_at": "2026-03-29T00:00:00.000000Z",
        "local": "2026-03-29T02:00:00+02:00",
        "timezone": "Europe/Berlin",
        "starts_at": "2026-03-29T00:00:12.500000Z",
    },
    "awaits_run": None,
    "overdue": False,
    "overdue_since": None,
    "last_firing": {"at": "2026-03-28T01:00:12.512000Z", "run_id": "019e2f60-7a1b-7c3d-8e4f-5a6b7c8d9e0f"},
    "last_error": None,
    "counts": {"fired": 12, "started": 12, "failed": 0, "missed": 0},
    "created_at": "2026-03-16T09:30:00.000000Z",
    "updated_at": "2026-03-16T09:30:00.000000Z",
}


class WorkflowOfTrigger(BaseModel):
    id: str
    name: str
    status: str


class NextFiring(BaseModel):
    due_at: str = Field(description="What the schedule says.")
    local: str = Field(description="The same, as clocks in the trigger's zone show it.")
    timezone: str
    starts_at: str = Field(description="Later than `due_at` by the trigger's jitter.")


class LastFiring(BaseModel):
    at: str
    run_id: str | None = Field(description="null if it started no run; then `last_error` or the firing says why.")


class TriggerCounts(BaseModel):
    fired: int = Field(description="Times it fired, whatever came of it.")
    started: int = Field(description="Runs it started.")
    failed: int = Field(description="Times it fired and could start no run: an error, or a refusal.")
    missed: int = Field(description="Due times that nobody was there to act on.")


class WebhookPaths(BaseModel):
    paths: list[str] = Field(description="Where it takes requests.", examples=[["/webhook/orders"]])


class TriggerView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": TRIGGER_EXAMPLE})

    id: str
    name: str = Field(description="The id of the trigger in its definition.")
    workflow: WorkflowOfTrigger
    type: str
    origin: str = Field(description="`definition`, or `api` for one that was made by a request of its own.")
    enabled: bool
    active: bool = Field(description="Enabled, of a type that fires, and its workflow is active and deployed.")
    silent_because: str | None = Field(
        description="Why it does not fire: `not_supported` (this release keeps triggers of this type, and fires none), "
        "`disabled`, `workflow_paused` (or another status), `workflow_not_deployed`, `no_next_time`."
    )
    if_: Any = Field(alias="if")
    config: dict[str, Any]
    input: dict[str, Any]
    webhook: WebhookPaths | None = Field(description="null for all other types.")
    next_firing: NextFiring | None
    awaits_run: str | None = Field(
        description="The run after whose end it is due: of an interval that is counted from there."
    )
    overdue: bool = Field(description="It should have fired a minute ago or more, and nobody has decided about it.")
    overdue_since: str | None = Field(description="When it should have fired.")
    last_firing: LastFiring | None
    last_error: str | None
    counts: TriggerCounts
    created_at: str
    updated_at: str


class FiringView(BaseModel):
    id: str
    trigger_id: str
    workflow_id: str
    decision: str = Field(description="`started`, `skipped`, `refused`, `missed` or `failed`.", examples=["started"])
    reason: str | None = Field(description="Why no run was started.")
    run_id: str | None
    due_at: str | None = Field(examples=["2026-03-29T00:00:00.000000Z"])
    due_until: str | None = Field(description="Of `missed`: the last of the due times it stands for.")
    count: int = Field(description="Of `missed`: how many due times it stands for.")
    start_key: str = Field(examples=["cron:2026-03-29T00:00:00.000000Z"])
    at: str


class TriggerPage(BaseModel):
    items: list[TriggerView]
    next_cursor: str | None


class FiringPage(BaseModel):
    items: list[FiringView]
    next_cursor: str | None
