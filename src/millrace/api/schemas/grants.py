"""Bodies and answers about grants on single workflows."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.identity import AccessWord, RoleWord
from millrace.auth.permissions import Grant

GRANTS_EXAMPLE: Final[dict[str, Any]] = {"grants": ["view", "run"]}

GrantWord = Literal["view", "run", "edit", "approve"]


class GrantsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    grants: list[GrantWord] = Field(
        min_length=1, max_length=10, description="All that the user is to have; each lets the workflow be seen."
    )

    def wanted(self) -> frozenset[Grant]:
        return frozenset(map(Grant, self.grants))


class GrantedUser(BaseModel):
    """Who was given something."""

    id: str
    name: str
    email: str | None
    role: RoleWord
    access: AccessWord


class GrantsOfUser(BaseModel):
    user: GrantedUser
    grants: list[GrantWord]


class GrantsOfUserPage(BaseModel):
    items: list[GrantsOfUser]
    next_cursor: str | None


class GrantedWorkflow(BaseModel):
    id: str
    name: str


class GrantsOnWorkflow(BaseModel):
    workflow: GrantedWorkflow
    grants: list[GrantWord]


class GrantsOnWorkflowPage(BaseModel):
    items: list[GrantsOnWorkflow]
    next_cursor: str | None
