"""What requests about runs may say, and what runs look like, with examples for the OpenAPI document.

The response models describe; answers are not passed through them, since they are made of stored JSON.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, Strict

from millrace.api.schemas.versions import NumberOrTag
from millrace.app.runs.control import LONGEST_REASON

MAX_WAIT: Final = 300


class Waiting(BaseModel):
    """Whether the answer waits for the end of the run."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    wait: bool = Field(default=False, description="Answer when the run has finished, or when `wait_seconds` are over.")
    async_mode: bool | None = Field(default=None, description="`false` is the same as `wait: true`.")
    wait_seconds: float = Field(default=60, gt=0, le=MAX_WAIT)

    @property
    def waits(self) -> bool:
        return self.wait or self.async_mode is False


class StartBody(Waiting):
    """How a run is to be started; everything may be left out."""

    input: dict[str, Any] = Field(default_factory=dict, validation_alias=AliasChoices("input", "input_data"))
    variables: dict[str, Any] = Field(default_factory=dict, description="Override the definition's variables.")
    version: NumberOrTag | None = Field(default=None, description="A number or tag. Default: deployed, else newest.")
    run_at: Annotated[AwareDatetime | None, Strict(False)] = Field(
        default=None, description="Not before this time: ISO 8601 with a zone."
    )
    priority: int | None = Field(
        default=None, ge=-1000, le=1000, description="Higher goes first. Default: the definition's, else 0."
    )
    confirmation: bool = Field(default=False, description="Asked for by manual triggers with require_confirmation.")
    correlation_id: str | None = Field(default=None, min_length=1, max_length=255, pattern=r"^[^\x00]*$")
    idempotency_key: str | None = Field(
        default=None, min_length=1, max_length=255, pattern=r"^[^\x00]*$", description="As the header Idempotency-Key."
    )


class RetryBody(Waiting):
    """What the new run is to have other than the old one; everything may be left out."""

    input: dict[str, Any] | None = Field(
        default=None,
        validation_alias=AliasChoices("input", "input_data"),
        description="Replaces the input; without it the run gets the old one.",
    )
    variables: dict[str, Any] | None = Field(default=None, description="Override those of the old run.")
    version: int | Literal["same", "newest"] = Field(
        default="same", description="The version to run: that of the old run, the newest, or a number."
    )
    priority: int | None = Field(default=None, ge=-1000, le=1000)
    confirmation: bool = False


class RerunBody(RetryBody):
    from_task: str | None = Field(
        default=None, max_length=512, description="Begin with this task, and take over what does not come after it."
    )


class EndBody(BaseModel):
    """Why a run is cancelled, or a workflow's runs are stopped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str | None = Field(default=None, max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")


class WorkflowOfRun(BaseModel):
    id: str
    name: str
    version: int


class FailureView(BaseModel):
    kind: str
    message: str
    details: dict[str, Any] | None = None


RUN_EXAMPLE: Final[dict[str, Any]] = {
    "id": "019e2f60-7a1b-7c3d-8e4f-5a6b7c8d9e0f",
    "workflow": {"id": "019e2f60-0000-7000-8000-000000000001", "name": "nightly-orders", "version": 3},
    "status": "completed",
    "trigger_type": "manual",
    "trigger_id": None,
    "triggered_by": "019e2f5f-0000-7000-8000-000000000001",
    "input": {"day": "2026-03-29"},
    "variables": {"region": "eu"},
    "output": {"orders": 128},
    "error": None,
    "correlation_id": "order-import-17",
    "priority": 0,
    "parent": None,
    "retry_of": None,
    "root": "019e2f60-7a1b-7c3d-8e4f-5a6b7c8d9e0f",
    "waiting_for": [],
    "run_at": None,
    "created_at": "2026-03-29T01:00:00.000000Z",
    "started_at": "2026-03-29T01:00:00.001000Z",
    "finished_at": "2026-03-29T01:00:04.250000Z",
    "cancelled_at": None,
    "cancelled_by": None,
    "payloads_deleted_at": None,
}


class WaitingFor(BaseModel):
    model_config = ConfigDict(extra="allow")

    reason: Literal[
        "delayed", "concurrency", "rate_limit", "admission", "paused", "delay", "task_limit", "worker", "no_worker"
    ]
    message: str


class RunView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": RUN_EXAMPLE})

    id: str
    workflow: WorkflowOfRun
    status: str
    trigger_type: str
    trigger_id: str | None
    triggered_by: str | None
    input: Any
    variables: Any
    output: Any
    error: FailureView | None
    correlation_id: str | None
    priority: int
    parent: str | None
    retry_of: str | None
    root: str = Field(description="The first run of its family: what was retried and rerun belongs together.")
    waiting_for: list[WaitingFor] = Field(description="Why it does not go on at once; empty in lists.")
    run_at: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancelled_at: str | None
    cancelled_by: str | None
    payloads_deleted_at: str | None = Field(
        description="When retention deleted the logs of the run, and what its tasks took and answered."
    )
    omitted: list[str] = Field(default=[], description="In lists: payloads too large for one; the single run has them.")


class WorkerOfTask(BaseModel):
    id: str
    host: str | None


class TaskRunView(BaseModel):
    run_id: str
    task: str
    path: str
    type: str
    status: str
    attempt: int = Field(description="Number of its latest attempt, lost ones included; 0 before the first.")
    failures: int
    crashes: int
    skip_reason: str | None
    input: Any = Field(description="The rendered config, secrets masked.")
    output: Any
    error: FailureView | None
    adopted_from: str | None = Field(description="The earlier run whose output it has taken over.")
    worker: WorkerOfTask | None
    ready_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None
    omitted: list[str] = []


class RunPage(BaseModel):
    items: list[RunView]
    next_cursor: str | None


class TaskRunPage(BaseModel):
    items: list[TaskRunView]
    next_cursor: str | None


class CancelAnswer(BaseModel):
    id: str
    cancelling: bool


class StopAnswer(BaseModel):
    stopped: int = Field(description="Runs that were asked to end.")
