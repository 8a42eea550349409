"""What records, log lines and the timeline look like. The models describe; answers are not passed through them."""

from typing import Any

from pydantic import BaseModel, Field

from millrace.api.schemas.runs import FailureView


class RecordView(BaseModel):
    seq: int = Field(description="1, 2, 3, … without gaps.", examples=[4])
    type: str = Field(examples=["task.completed"])
    path: str | None = Field(examples=["fetch"])
    at: str = Field(examples=["2026-03-29T01:00:02.500000Z"])
    data: dict[str, Any] | None = Field(
        description="What belongs to its type; `by` is a user, with `id` and `name`.", examples=[{"attempt": 1}]
    )
    run_id: str | None = Field(default=None, description="Only in streams of more than one run.")
    workflow_id: str | None = Field(default=None, description="Only in streams of more than one run.")


class LogView(BaseModel):
    seq: int = Field(description="Increasing; lines that a filter leaves out leave gaps.", examples=[17])
    path: str | None
    attempt: int | None
    at: str
    level: str = Field(examples=["info"])
    text: str = Field(examples=["128 orders loaded"])
    metadata: dict[str, Any] | None


class RecordPage(BaseModel):
    items: list[RecordView]
    next_cursor: str | None


class LogPage(BaseModel):
    items: list[LogView]
    next_cursor: str | None


class WaitView(BaseModel):
    """A time in which nothing ran, and why."""

    reason: str = Field(
        examples=["queued", "task_limit", "retry_delay", "run_paused", "concurrency", "rate_limit", "not_admitted"],
        description="`task_limit`: for a worker and a place under a limit; `not_admitted`: for either of two limits.",
    )
    since: str = Field(alias="from")
    until: str | None = Field(description="Null while it lasts.")
    available_at: str | None = Field(default=None, description="The earliest time at which it could go on.")
    keys: list[str] = Field(default=[], description="Of the limits under which it waited.")


class AttemptView(BaseModel):
    number: int
    scheduled_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None
    outcome: str | None = Field(examples=["completed", "failed", "cancelled", "lost", "withdrawn"])
    error: FailureView | None
    worker: str | None


class NoteView(BaseModel):
    """A record that is no part of an attempt: what was decided, with its data."""

    seq: int
    type: str = Field(examples=["run.cancel_requested"])
    at: str
    data: dict[str, Any]


class TaskStory(BaseModel):
    path: str
    outcome: str | None = Field(examples=["completed", "failed", "skipped", "cancelled"])
    reason: str | None = Field(description="Why it was skipped.")
    error: FailureView | None
    started_at: str | None
    finished_at: str | None
    attempts: list[AttemptView]
    waits: list[WaitView]
    notes: list[NoteView]


class TimelineView(BaseModel):
    run_id: str
    status: str
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    waits: list[WaitView]
    tasks: list[TaskStory] = Field(description="In the order in which they first appear in the history.")
    notes: list[NoteView] = Field(description="Records of the run itself.")
    last_seq: int = Field(description="The last record told here.")
    complete: bool = Field(description="False when the run has more records than one timeline is made of (50,000).")
    next_after: int | None = Field(description="Then: what to send as `after` for the timeline of the records behind.")
