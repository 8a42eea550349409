"""What is told about agents, with examples for the OpenAPI document. Nothing that is told has a field for a value of
credentials."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.secrets import UserOfIt
from millrace.api.schemas.users import UserRef

AGENT_EXAMPLE: Final[dict[str, Any]] = {
    "name": "auditor",
    "url": "https://auditor.example.com/v1",
    "description": "looks through orders",
    "auth_type": "bearer",
    "auth_config": {"token": "…"},
    "timeout_ms": 30_000,
    "retry_config": {"max_retries": 3, "delay": 1, "max_delay": 30, "multiplier": 2},
    "max_concurrent": 4,
}
CHANGE_EXAMPLE: Final[dict[str, Any]] = {"status": "inactive", "version": 1}
MOMENT: Final = "2026-03-16T09:30:00.000000Z"
HEALTH: Final[dict[str, Any]] = {"status": "healthy", "message": None, "latency_ms": 12, "checked_at": MOMENT}
CIRCUIT: Final[dict[str, Any]] = {"state": "closed", "failures": 0, "open_until": None}
VIEW_EXAMPLE: Final[dict[str, Any]] = {
    **AGENT_EXAMPLE,
    "id": "019e2f60-1b1b-7c3d-8e4f-5a6b7c8d9e0f",
    "auth_config": {"token": "***"},
    "health_path": "/health",
    "status": "active",
    "health": HEALTH,
    "circuit": CIRCUIT,
    "version": 1,
    "created_by": None,
    "updated_by": None,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "used_by": [],
}
CHECK_EXAMPLE: Final[dict[str, Any]] = {
    "id": "019e2f60-2c2c-7c3d-8e4f-5a6b7c8d9e0f",
    "healthy": True,
    "asked": True,
    "http_status": 200,
    "latency_ms": 12,
    "message": None,
    "at": MOMENT,
}


class AgentRetryView(BaseModel):
    max_retries: int
    delay: float = Field(description="Seconds.")
    max_delay: float = Field(description="Seconds.")
    multiplier: float


class AgentHealth(BaseModel):
    status: Literal["unknown", "healthy", "unhealthy"] = Field(description="As it was when it was last looked at.")
    message: str | None = Field(description="What was wrong.")
    latency_ms: int | None
    checked_at: str | None


class AgentCircuit(BaseModel):
    state: Literal["closed", "open", "half_open"] = Field(
        description="`open`: tasks that call it fail at once; `half_open`: the next call is tried, and decides."
    )
    failures: int = Field(description="Failed calls in a row.")
    open_until: str | None


class AgentView(BaseModel):
    id: str
    name: str
    url: str
    description: str | None
    auth_type: Literal["none", "bearer", "apikey"]
    auth_config: dict[str, Any] = Field(description="With *** in place of what is secret.")
    timeout_ms: int
    retry_config: AgentRetryView
    max_concurrent: int | None
    health_path: str
    status: Literal["active", "inactive", "deleted"]
    health: AgentHealth
    circuit: AgentCircuit
    version: int = Field(description="Counts its changes; also its ETag.")
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class AgentDetail(AgentView):
    model_config = ConfigDict(json_schema_extra={"example": VIEW_EXAMPLE})

    used_by: list[UserOfIt] = Field(description="Workflows whose deployed version calls it.")


class AgentPage(BaseModel):
    items: list[AgentView]
    next_cursor: str | None


class AgentDeleted(BaseModel):
    id: str
    name: str
    used_by: list[UserOfIt] = Field(description="Deployed workflows that call it and will fail without it.")


class AgentCheck(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": CHECK_EXAMPLE})

    id: str
    healthy: bool = Field(description="It answered with a status from 200 to 299.")
    asked: bool = Field(description="Somebody asked for this look; all others are due by themselves.")
    http_status: int | None
    latency_ms: int
    message: str | None = Field(description="What was wrong.")
    at: str


class AgentRef(BaseModel):
    id: str
    name: str


class AgentHealthPage(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "agent": {"id": VIEW_EXAMPLE["id"], "name": "auditor"},
                "health": HEALTH,
                "circuit": CIRCUIT,
                "items": [CHECK_EXAMPLE],
                "next_cursor": None,
            }
        }
    )

    agent: AgentRef
    health: AgentHealth
    circuit: AgentCircuit
    items: list[AgentCheck] = Field(description="The newest first; the last 1,000 are kept.")
    next_cursor: str | None
