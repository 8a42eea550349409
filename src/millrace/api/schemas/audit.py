"""Shapes of the audit log."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from millrace.core.values import JsonObject

HEAD = r"[0-9]{1,18}:[0-9a-f]{64}"
HEAD_EXAMPLE = "4711:" + "0f" * 32
VERIFY_EXAMPLE: JsonObject = {"head": HEAD_EXAMPLE}


class AuditActor(BaseModel):
    id: str | None = Field(description="Of the user; null for who has not logged in, and for Millrace itself.")
    name: str = Field(description="What the user was called at that time, or erased.", examples=["Ada Lovelace"])


class AuditEntry(BaseModel):
    id: str
    at: str
    actor: AuditActor
    credential_id: str | None = Field(description="The API key or the login that proved it.")
    action: str = Field(examples=["workflow.deploy"])
    entity: str = Field(examples=["workflow"])
    entity_id: str | None
    entity_name: str | None = Field(description="What it was called at that time, or erased.")
    before: dict[str, Any] | None = Field(description="The fields that changed, as they were. Secrets are in neither.")
    after: dict[str, Any] | None
    address: str | None = Field(description="Where the request came from.", examples=["192.0.2.7"])
    request_id: str | None
    seq: int | None = Field(description="The place in the chain; null until it is sealed, and for starts of runs.")
    hash: str | None


class AuditPage(BaseModel):
    items: list[AuditEntry]
    next_cursor: str | None


class AuditVerification(BaseModel):
    """Which head to look for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    head: str | None = Field(
        default=None,
        description="`seq:hash`, as a verification has answered it before. It must be in the chain still.",
        examples=[HEAD_EXAMPLE],
        json_schema_extra={"pattern": HEAD},
    )

    @field_validator("head")
    @classmethod
    def _head(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(HEAD, text):
            raise ValueError("write a number, a colon and 64 hexadecimal digits, as `head` of a verification has them")
        return text


class AuditFault(BaseModel):
    seq: int = Field(description="Its place in the chain.")
    id: str | None
    how: Literal["changed", "missing", "inserted", "erased", "anchor", "key"] = Field(
        description="`erased`: not by Millrace. `anchor`: where the chain begins was changed. `key`: the key that "
        "sealed or erased it is not here."
    )
    message: str


class AuditVerdict(BaseModel):
    ok: bool = Field(description="Whether the chain holds, and has the head that was asked for.")
    checked: int = Field(description="Rows that are as they were sealed.")
    erased: int = Field(description="Those of them of which something personal was erased.")
    head: str | None = Field(description="How far the chain holds. Note it elsewhere, to have it looked for later.")
    begins_after: int = Field(description="The place of the last row that retention has deleted.")
    unsealed: int = Field(description="Rows that were written a moment ago and have no seal yet.")
    broken: AuditFault | None
    head_found: bool | None = Field(
        description="Whether the head that was asked for is in the chain; null if none was, or it is older than that."
    )
