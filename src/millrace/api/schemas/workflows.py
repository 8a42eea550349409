"""What workflows look like, with examples for the OpenAPI document. Requests are definitions, described elsewhere."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.test_modes import OwnTestMode
from millrace.api.schemas.users import USER_EXAMPLE, UserRef
from millrace.api.schemas.versions import SAVE_OPTIONS, Differences, LiveCanary
from millrace.app.workflows.requests import STATUSES
from millrace.core.values import JsonObject

DEFINITION_EXAMPLE: Final[dict[str, Any]] = {
    "name": "greet",
    "input": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
    "tasks": [
        {"id": "greeting", "type": "transform", "config": {"output": "Hello, {{ input.name }}!"}},
        {"id": "note", "type": "log", "config": {"message": "{{ tasks.greeting.output }}"}},
    ],
    "output": {"greeting": "{{ tasks.greeting.output }}"},
}


WORKFLOW_OPTIONS: Final[JsonObject] = {
    "status": {"type": "string", "enum": [*STATUSES], "description": "What it is to be from now on."},
    "is_active": {"type": "boolean", "description": "Another way to say active or paused."},
    **SAVE_OPTIONS,
}


SHORT_WORDS: Final[JsonObject] = {
    "cron_expression": {
        "type": ["string", "null"],
        "description": "The trigger `cron` fires by it. Null takes the trigger out.",
    },
    "max_concurrent_runs": {
        "type": ["integer", "null"],
        "minimum": 1,
        "description": "The limit of `concurrency`. Null puts it back to 1.",
    },
}
"""Fields of a task list that a change may give alone."""


class WorkflowSummary(BaseModel):
    id: str
    name: str
    slug: str
    description: str | None
    category: str | None
    labels: dict[str, str]
    metadata: dict[str, Any]
    owner: str | None
    status: str = Field(examples=["active"])
    version: int = Field(description="Number of the newest version.")
    deployed_version: int | None
    test_mode: OwnTestMode | None = Field(description="What was said about its test mode; null is as the settings say.")
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class TaskSummary(BaseModel):
    uid: str = Field(description="Stays while the id of the task does, in all versions.")
    id: str
    name: str | None
    type: str
    list: str = Field(examples=["tasks", "finally", "load.tasks"])
    index: int


class WorkflowDetail(WorkflowSummary):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "019e2f60-0000-7000-8000-000000000001",
                "name": "greet",
                "slug": "greet",
                "description": None,
                "category": None,
                "labels": {},
                "metadata": {},
                "owner": None,
                "status": "active",
                "version": 1,
                "deployed_version": 1,
                "test_mode": None,
                "created_by": USER_EXAMPLE,
                "updated_by": USER_EXAMPLE,
                "created_at": "2026-03-29T01:00:00.000000Z",
                "updated_at": "2026-03-29T01:00:00.000000Z",
                "source": None,
                "canary": None,
                "definition": DEFINITION_EXAMPLE,
                "tasks": [
                    {
                        "uid": "019e2f60-0001-7000-8000-000000000001",
                        "id": "greeting",
                        "name": None,
                        "type": "transform",
                        "list": "tasks",
                        "index": 0,
                    }
                ],
                "warnings": [],
            }
        }
    )

    source: str | None = Field(description="What it was applied from last, if it was told.")
    canary: LiveCanary | None = Field(description="The version that is tried out beside the deployed one.")
    definition: dict[str, Any] = Field(description="The canonical form.")
    tasks: list[TaskSummary] = Field(description="The names that the tasks of the definition have besides.")
    warnings: list[str]


class DeletedWorkflow(BaseModel):
    cancelled_runs: int = Field(description="Runs that were to start later.")


class WorkflowPage(BaseModel):
    items: list[WorkflowSummary]
    next_cursor: str | None


class ValidationAnswer(BaseModel):
    valid: bool
    definition: dict[str, Any]
    warnings: list[str]


class StateOfWorkflow(BaseModel):
    version: int
    status: str
    deployed_version: int | None
    source: str | None = Field(description="What it was applied from last, if it was told.")


class ApplyAnswer(StateOfWorkflow):
    outcome: Literal["created", "updated", "adopted", "unchanged"] = Field(
        description="`adopted`: nothing changed but that it belongs to `source` now."
    )
    name: str
    before: StateOfWorkflow | None
    changes: Differences | None = Field(description="Without it the workflow is new.")
    warnings: list[str]
