"""What is told about webhooks, with examples for the OpenAPI document. Secrets are shown as what they are called."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.triggers import LastFiring, TriggerCounts, WorkflowOfTrigger

AUTHENTICATION: Final[dict[str, Any]] = {"type": "hmac", "preset": "github", "secret": "{{ secrets.github_hook }}"}
WEBHOOK_EXAMPLE: Final[dict[str, Any]] = {
    "workflow_id": "nightly-orders",
    "url_path": "orders",
    "method": "POST",
    "authentication": AUTHENTICATION,
    "input": {"day": "{{ trigger.body.day }}"},
}
CHANGE_EXAMPLE: Final[dict[str, Any]] = {"url_path": "orders/new", "enabled": False}
VIEW_EXAMPLE: Final[dict[str, Any]] = {
    "id": "019e2f60-1b1b-7c3d-8e4f-5a6b7c8d9e0f",
    "name": "webhook",
    "workflow": {"id": "019e2f60-0000-7000-8000-000000000001", "name": "nightly-orders", "status": "active"},
    "origin": "api",
    "enabled": True,
    "active": True,
    "silent_because": None,
    "if": None,
    "input": {"day": "{{ trigger.body.day }}"},
    "last_firing": None,
    "last_error": None,
    "counts": {"fired": 0, "started": 0, "failed": 0, "missed": 0},
    "created_at": "2026-03-16T09:30:00.000000Z",
    "updated_at": "2026-03-16T09:30:00.000000Z",
    "url_path": "/webhook/orders",
    "authentication": AUTHENTICATION,
    "headers": {},
    "event_type": None,
    "respond": "immediately",
    "wait": "30s",
    "max_body": 1_048_576,
    "dedupe": None,
    "raw": False,
    "methods": ["POST"],
    "warnings": [],
}


class WebhookView(BaseModel):
    id: str = Field(description="Of the trigger that it is.")
    name: str
    workflow: WorkflowOfTrigger
    origin: str = Field(description="`api`, or `definition` for one that is changed there.")
    enabled: bool
    active: bool = Field(description="Enabled, and its workflow is active and deployed.")
    silent_because: str | None = Field(description="Why it takes no requests.")
    if_: Any = Field(alias="if")
    input: dict[str, Any]
    last_firing: LastFiring | None
    last_error: str | None = Field(description="For example the secret that is missing, without which all are refused.")
    counts: TriggerCounts
    created_at: str
    updated_at: str
    url_path: str | None = Field(description="Where it takes requests, below the address of the server.")
    authentication: dict[str, Any]
    headers: dict[str, str]
    event_type: str | None
    respond: str
    wait: str
    max_body: int
    dedupe: dict[str, Any] | None
    raw: bool
    methods: list[str]


class WebhookDetail(WebhookView):
    model_config = ConfigDict(json_schema_extra={"example": VIEW_EXAMPLE})

    warnings: list[str] = Field(description="What keeps it from taking requests now: a secret that is not there, say.")


class WebhookPage(BaseModel):
    items: list[WebhookView]
    next_cursor: str | None
