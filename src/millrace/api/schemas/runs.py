"""What requests about runs may say, and what runs look like, with examples for the OpenAPI document.

The response models describe; answers are not passed through them, since they are made of stored JSON.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    Strict,
    model_validator,
)

from millrace.api.keys import BodyKey
from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.users import USER_EXAMPLE, UserRef
from millrace.api.schemas.versions import Number, NumberOrTag
from millrace.app.runs.control import LONGEST_REASON
from millrace.core.errors import Fault, InvalidRequest

MAX_WAIT: Final = 300


class TakesInput(BaseModel):
    """Takes `input`, which older clients call `input_data`."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _input_once(cls, given: Any) -> Any:
        """Of two words for one thing the one would win that the caller did not mean."""
        if isinstance(given, dict) and {"input", "input_data"} <= given.keys():
            raise _contradiction("input_data", "input_data is another name of input, which is given, too")
        return given


class Waiting(TakesInput):
    """Whether the answer waits for the end of the run; what all bodies that start one have in common."""

    wait: bool = Field(default=False, description="Answer when the run has finished, or when `wait_seconds` are over.")
    async_mode: bool | None = Field(default=None, description="`false` is the same as `wait: true`.")
    wait_seconds: float = Field(default=60, gt=0, le=MAX_WAIT)

    @property
    def waits(self) -> bool:
        return self.wait or self.async_mode is False

    @model_validator(mode="wrap")
    @classmethod
    def _says_nothing_twice(cls, given: Any, validated: ModelWrapValidatorHandler[Self]) -> Self:
        """As of `input_data`."""
        body = validated(given)
        if "wait" in body.model_fields_set and body.async_mode is body.wait:
            opposite = "waits" if body.wait else "does not wait"
            raise _contradiction("async_mode", f"async_mode is the opposite of wait, which {opposite}")
        return body


def _contradiction(path: str, message: str) -> InvalidRequest:
    fault = Fault(path, "contradiction", message, "send one of them")
    return InvalidRequest("invalid_request", "the request is not valid", faults=[fault])


class StartBody(Waiting):
    """How a run is to be started; everything may be left out."""

    input: dict[str, Any] = Field(default_factory=dict, validation_alias=AliasChoices("input", "input_data"))
    variables: dict[str, Any] = Field(default_factory=dict, description="Override the definition's variables.")
    version: NumberOrTag | None = Field(
        default=None, description="A number, a tag or newest. Default: deployed, else newest."
    )
    run_at: Annotated[AwareDatetime | None, Strict(False)] = Field(
        default=None, description="Not before this time: ISO 8601 with a zone."
    )
    priority: int | None = Field(
        default=None, ge=-1000, le=1000, description="Higher goes first. Default: the definition's, else 0."
    )
    confirmation: bool = Field(default=False, description="Asked for by manual triggers with require_confirmation.")
    correlation_id: str | None = Field(default=None, min_length=1, max_length=255, pattern=NO_NUL)
    idempotency_key: BodyKey = None


class RetryBody(Waiting):
    """What the new run is to have other than the old one; everything may be left out."""

    input: dict[str, Any] | None = Field(
        default=None,
        validation_alias=AliasChoices("input", "input_data"),
        description="Replaces the input; without it the run gets the old one. Finished tasks that read a value that "
        "is another now are done again, and what comes after them; `done_again` of the answer names them.",
    )
    variables: dict[str, Any] | None = Field(
        default=None, description="Override those of the old run. What reads them is done again as for `input`."
    )
    version: Number | Literal["same", "newest"] = Field(
        default="same", description="The version to run: that of the old run, the newest, or a number."
    )
    priority: int | None = Field(default=None, ge=-1000, le=1000)
    confirmation: bool = False
    idempotency_key: BodyKey = None


class RerunBody(RetryBody):
    from_task: str | None = Field(
        default=None, max_length=512, description="Begin with this task, and take over what does not come after it."
    )


class EndBody(BaseModel):
    """Why a run is cancelled, or a workflow's runs are stopped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str | None = Field(default=None, max_length=LONGEST_REASON, pattern=NO_NUL)


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
    "triggered_by": USER_EXAMPLE,
    "input": {"day": "2026-03-29"},
    "variables": {"region": "eu"},
    "output": {"orders": 128},
    "error": None,
    "test": None,
    "correlation_id": "order-import-17",
    "priority": 0,
    "parent": None,
    "parent_path": None,
    "retry_of": None,
    "root": "019e2f60-7a1b-7c3d-8e4f-5a6b7c8d9e0f",
    "done_again": [],
    "waiting_for": [],
    "run_at": None,
    "created_at": "2026-03-29T01:00:00.000000Z",
    "started_at": "2026-03-29T01:00:00.001000Z",
    "finished_at": "2026-03-29T01:00:04.250000Z",
    "cancelled_at": None,
    "cancelled_by": None,
    "cancel_reason": None,
    "payloads_deleted_at": None,
}


class WaitingFor(BaseModel):
    model_config = ConfigDict(extra="allow")

    reason: Literal[
        "delayed",
        "concurrency",
        "rate_limit",
        "admission",
        "paused",
        "delay",
        "task_limit",
        "worker",
        "no_worker",
        "sleep",
        "event",
        "signal",
        "approval",
        "sub_workflow",
    ]
    message: str


class DoneAgain(BaseModel):
    task: str
    reason: str


class TestOfRun(BaseModel):
    mocked: list[str] = Field(description="Tasks that were not done.")
    only: str | None = Field(description="The task that runs alone.")
    virtual_time: bool


class RunView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": RUN_EXAMPLE})

    id: str
    workflow: WorkflowOfRun
    status: str
    trigger_type: str
    trigger_id: str | None
    triggered_by: UserRef | None
    input: Any
    variables: Any
    output: Any
    error: FailureView | None
    test: TestOfRun | None = Field(description="What a test run tests; null for other runs, and in lists.")
    correlation_id: str | None
    priority: int
    parent: str | None = Field(description="The run whose sub-workflow it is.")
    parent_path: str | None = Field(description="The task there that waits for it.")
    retry_of: str | None
    root: str = Field(description="The first run of its family: what was retried and rerun belongs together.")
    done_again: list[DoneAgain] = Field(
        description="Of a retry or a rerun from a task: what was done in the run it repeats and is done again all the "
        "same, and why; the first 100. Empty in lists."
    )
    waiting_for: list[WaitingFor] = Field(description="Why it does not go on at once; in lists the first reason only.")
    run_at: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancelled_at: str | None
    cancelled_by: UserRef | None = Field(description="Who asked for the end; null where no person did.")
    cancel_reason: str | None = Field(description="Why it was to end, as far as somebody said so; null in lists.")
    payloads_deleted_at: str | None = Field(
        description="When retention deleted the logs of the run, and what its tasks took and answered."
    )
    omitted: list[str] = Field(default=[], description="In lists: payloads too large for one; the single run has them.")


class WorkerOfTask(BaseModel):
    id: str
    host: str | None


class QuestionView(BaseModel):
    message: str
    form: dict[str, Any] | None = Field(description="JSON Schema of what whoever decides may fill in.")
    default: Literal["approve", "reject"] | None = Field(
        description="What is decided when its time is over; null: then the task has timed out."
    )
    since: str
    until: str | None = Field(description="When its time is over; null if it may wait for ever.")


class TaskRunView(BaseModel):
    run_id: str
    task: str = Field(description="The id of the task.")
    path: str = Field(description="Its id, in loops behind the iterations that it stands in: `load[3].store`.")
    parent: str | None = Field(description="The path of the control task that it stands in.")
    iteration: int | None = Field(description="The number of the innermost iteration that it stands in, from 0.")
    item_key: str | None = Field(description="What its item is called, in a foreach with a `key`.")
    type: str
    mocked: bool = Field(description="Whether it is a task of a test run that is not done.")
    status: str
    attempt: int = Field(description="Number of its latest attempt, lost ones included; 0 before the first.")
    failures: int
    crashes: int
    skip_reason: str | None
    input: Any = Field(description="The rendered config, secrets masked.")
    output: Any
    error: FailureView | None
    block: str | None = Field(description="Of a control task: which of its lists of tasks runs, or ran.")
    items: int | None = Field(description="Of a foreach: how many items it has.")
    begun: int | None = Field(description="Of a loop in a list with `loops=closed`: how many iterations have begun.")
    child_run_id: str | None = Field(description="Of a sub_workflow: its run.")
    adopted_from: str | None = Field(description="The earlier run whose output it has taken over.")
    worker: WorkerOfTask | None
    ready_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None
    approval: QuestionView | None = Field(
        default=None, description="What is asked, if it waits for a decision; left out in lists."
    )
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
