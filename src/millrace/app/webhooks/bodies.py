"""What requests about webhooks hold: the options of a webhook, and what else is said of its trigger."""

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from millrace.definition.fields import Condition, TriggerId
from millrace.triggers.faults import told
from millrace.triggers.webhook.config import Methods, MethodWord, WebhookOptions
from millrace.triggers.webhook.paths import WebhookPath


class WebhookChange(WebhookOptions):
    workflow_id: str | None = Field(
        default=None, min_length=1, max_length=255, description="Id, name or slug of the workflow that it starts."
    )
    name: TriggerId | None = Field(
        default=None, description="`trigger.id` in expressions; `webhook`, or the next number, if it is left out."
    )
    url_path: WebhookPath | None = Field(
        default=None,
        description="What stands behind /webhook/ in its address, which may be written along. Without it a path that "
        "nobody can guess is made.",
    )
    methods: Methods | None = Field(default=None, description="The methods that are taken; only POST by default.")
    method: MethodWord | None = Field(default=None, description="The only method that is taken.")
    enabled: bool = Field(default=True, description="false: it takes no requests.")
    if_: Condition = Field(default=None, alias="if", description="Starts no run when this is false.")
    input: dict[str, Any] = Field(default_factory=dict, description="The input of the runs it starts.")

    @field_validator("method")
    @classmethod
    def _one_name(cls, method: str | None, fields: ValidationInfo) -> str | None:
        if method is not None and fields.data.get("methods") is not None:
            raise told("value", "method and methods say the same", "write one of them")
        return method


class WebhookBody(WebhookChange):
    workflow_id: str = Field(
        min_length=1, max_length=255, description="Id, name or slug of the workflow that it starts."
    )
