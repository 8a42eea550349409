"""What the installation says about itself, and the shape of every error, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class FaultView(BaseModel):
    path: str = Field(description="The place in what was sent.", examples=["tasks[2].depends_on[0]"])
    code: str
    message: str
    remedy: str


class Problem(BaseModel):
    """RFC 9457, with a stable `code` and the `faults` of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "code": "run_not_found",
                "detail": "there is no run with the id 'x'",
                "faults": [],
                "request_id": "85f82d63e6405551-00002a",
            }
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    faults: list[FaultView]
    request_id: str | None = Field(description="As in the header `X-Request-Id`, by which the log has it, too.")


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(Health):
    overdue_schedules: int | None = Field(
        default=None,
        description="Schedules that should have fired a minute ago or more and did not; left out if there are none. "
        "101 means more than 100.",
    )


class TaskType(BaseModel):
    type: str = Field(examples=["http"])
    summary: str = Field(description="Empty if the type cannot be used.")
    origin: str = Field(
        description="`built-in`, or the package that brings it.", examples=["built-in", "parse-csv 1.0"]
    )
    config_schema: dict[str, Any] | None = Field(
        description="JSON Schema of what `config` takes; null if the type cannot be used."
    )
    problem: str | None = Field(description="Why the type cannot be used; null if it can.")


class TaskTypePage(BaseModel):
    items: list[TaskType]
    next_cursor: None


class WorkerView(BaseModel):
    """One life of a worker process."""

    id: str
    status: Literal["live", "lost", "retired"]
    host: str
    pid: int
    queues: list[str]
    slots: int = Field(description="Task attempts it runs at the same time.")
    running: int = Field(description="Task attempts it runs now.")
    started_at: str
    heartbeat_at: str
    lost_at: str | None
    retired_at: str | None


class WorkerPage(BaseModel):
    installation_id: str
    items: list[WorkerView]
    next_cursor: None


class DoctorProblem(BaseModel):
    code: str
    run_id: str | None
    message: str
    remedy: str


class DoctorReport(BaseModel):
    checks: int
    problems: list[DoctorProblem]
    warnings: list[DoctorProblem] = Field(description="What is not as it should be, but does no harm.")


class Setting(BaseModel):
    name: str
    variables: list[str]
    value: Any
    default: str
    description: str


class SettingPage(BaseModel):
    items: list[Setting]
    next_cursor: None
