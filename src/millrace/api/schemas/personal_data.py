"""What is kept of a person, and the word that he is to be erased."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.accounts import UserView
from millrace.api.schemas.texts import NO_NUL
from millrace.core.values import JsonObject

ERASE_EXAMPLE: Final[JsonObject] = {"confirm": "ada@example.com"}


class EraseBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    confirm: str = Field(
        max_length=1_000, pattern=NO_NUL, description="The e-mail address or the name of the user, against accidents."
    )


class Newest(BaseModel):
    items: list[dict[str, Any]] = Field(description="The newest first; 10,000 or 16 MB at most.")
    more: bool = Field(description="Whether there are older ones that are not here.")


class PersonalData(BaseModel):
    exported_at: str
    user: UserView
    identities: list[dict[str, Any]] = Field(description="At login providers.")
    sessions: list[dict[str, Any]] = Field(description="Logins; those that have ended, too, as long as they are kept.")
    api_keys: list[dict[str, Any]]
    grants: list[dict[str, Any]]
    done_to_the_account: Newest = Field(description="What others did to it, by the audit log.")
    made: dict[str, Newest] = Field(description="Workflows, versions, secrets, …, by kind.")
    done: Newest = Field(description="What the user did, by the audit log.")
    runs: Newest = Field(description="Runs that the user started.")
    approvals: Newest = Field(description="What the user approved or rejected.")
