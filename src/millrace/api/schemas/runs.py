"""What requests about runs may say, and what runs look like, with examples for the OpenAPI document.

The response models describe; answers are not passed through them, since they are made of stored JSON.
"""

from typing import Any, Final

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from millrace.app.runs.control import LONGEST_REASON

MAX_WAIT: Final = 300


class StartBody(BaseModel):
    """How a run is to be started; everything may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    input: dict[str, Any] = Field(default_factory=dict, validation_alias=AliasChoices("input", "input_data"))
    variables: dict[str, Any] = Field(default_factory=dict, description="Override the definition's variables.")
    version: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Default: deployed, else newest.")
    wait: bool = Field(default=False, description="Answer when the run has finished, or when `wait_seconds` are over.")
    async_mode: bool | None = Field(default=None, description="`false` is the same as `wait: true`.")
    wait_seconds: float = Field(default=60, gt=0, le=MAX_WAIT)
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher is admitted first.")
    correlation_id: str | None = Field(default=None, min_length=1, max_length=255, pattern=r"^[^\x00]*$")
    idempotency_key: str | None = Field(
        default=None, min_length=1, max_length=255, pattern=r"^[^\x00]*$", description="As the header Idempotency-Key."
    )

    @property
    def waits(self) -> bool:
        return self.wait or self.async_mode is False


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
    "created_at": "2026-03-29T01:00:00.000000Z",
    "started_at": "2026-03-29T01:00:00.001000Z",
    "finished_at": "2026-03-29T01:00:04.250000Z",
    "cancelled_at": None,
    "cancelled_by": None,
}


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
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancelled_at: str | None
    cancelled_by: str | None
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
    worker: WorkerOfTask | None
    ready_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None
    omitted: list[str] = []


class RecordView(BaseModel):
    seq: int = Field(description="1, 2, 3, … without gaps.", examples=[4])
    type: str = Field(examples=["task.completed"])
    path: str | None = Field(examples=["fetch"])
    at: str = Field(examples=["2026-03-29T01:00:02.500000Z"])
    data: dict[str, Any] | None = Field(examples=[{"attempt": 1}])


class LogView(BaseModel):
    seq: int
    path: str | None
    attempt: int | None
    at: str
    level: str = Field(examples=["info"])
    text: str = Field(examples=["128 orders loaded"])
    metadata: dict[str, Any] | None


class RunPage(BaseModel):
    items: list[RunView]
    next_cursor: str | None


class TaskRunPage(BaseModel):
    items: list[TaskRunView]
    next_cursor: str | None


class RecordPage(BaseModel):
    items: list[RecordView]
    next_cursor: str | None


class LogPage(BaseModel):
    items: list[LogView]
    next_cursor: str | None


class CancelAnswer(BaseModel):
    id: str
    cancelling: bool


class StopAnswer(BaseModel):
    stopped: int = Field(description="Runs that were asked to end.")
