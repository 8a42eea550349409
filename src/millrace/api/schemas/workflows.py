"""What workflows look like, with examples for the OpenAPI document. Requests are definitions, described elsewhere."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

DEFINITION_EXAMPLE: Final[dict[str, Any]] = {
    "name": "greet",
    "input": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
    "tasks": [
        {"id": "greeting", "type": "transform", "config": {"output": "Hello, {{ input.name }}!"}},
        {"id": "note", "type": "log", "config": {"message": "{{ tasks.greeting.output }}"}},
    ],
    "output": {"greeting": "{{ tasks.greeting.output }}"},
}


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
    created_by: str | None
    updated_by: str | None
    created_at: str
    updated_at: str


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
                "created_by": "019e2f5f-0000-7000-8000-000000000001",
                "updated_by": "019e2f5f-0000-7000-8000-000000000001",
                "created_at": "2026-03-29T01:00:00.000000Z",
                "updated_at": "2026-03-29T01:00:00.000000Z",
                "definition": DEFINITION_EXAMPLE,
                "warnings": [],
            }
        }
    )

    definition: dict[str, Any] = Field(description="The canonical form.")
    warnings: list[str]


class WorkflowPage(BaseModel):
    items: list[WorkflowSummary]
    next_cursor: str | None


class VersionSummary(BaseModel):
    id: str
    number: int
    tag: str | None
    author: str | None
    comment: str | None
    content_hash: str
    created_at: str


class VersionDetail(VersionSummary):
    definition: dict[str, Any]


class VersionPage(BaseModel):
    items: list[VersionSummary]
    next_cursor: str | None


class ValidationAnswer(BaseModel):
    valid: bool
    definition: dict[str, Any]
    warnings: list[str]
