"""What a signal to a run may say, with an example for the OpenAPI document."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.keys import BodyKey
from millrace.definition.controls.fields import Line

SIGNAL_EXAMPLE: Final[dict[str, Any]] = {"name": "go_on", "data": {"tracking": "1Z999"}}


class SignalBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Line = Field(description="The name that a task waits for, or will.")
    data: Any = Field(default=None, description="What it is told: any JSON, of 64 KiB at most.")
    idempotency_key: BodyKey = None
