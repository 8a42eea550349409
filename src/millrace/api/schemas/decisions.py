"""What is asked of people, and what they answer, with examples for the OpenAPI document."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.keys import BodyKey
from millrace.api.schemas.runs import QuestionView
from millrace.api.schemas.texts import NO_NUL
from millrace.app.decisions.deciding import LONGEST_COMMENT, Decision
from millrace.core.durations import REMEDY, parse_duration
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import Duration

Word = Literal["approve", "reject"]

DECISION_EXAMPLE: Final[dict[str, Any]] = {"decision": "approve", "comment": "looks right", "form": {"copies": 2}}
LINK_EXAMPLE: Final[dict[str, Any]] = {"expires_in": "2d"}


class OpenDecisionBody(BaseModel):
    """What who has a link says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Word | None = None
    approved: bool | None = Field(default=None, description="`true` is the same as `decision: approve`.")
    comment: str | None = Field(
        default=None, max_length=LONGEST_COMMENT, pattern=NO_NUL, description="Kept with the decision."
    )
    form: dict[str, Any] | None = Field(
        default=None, description="What the task asks to be filled in. Who rejects may leave it out."
    )

    def wanted(self) -> Decision:
        """Raises `InvalidRequest` if it is not said what is decided, or said in two ways."""
        approved = self.approved if self.decision is None else self.decision == "approve"
        if approved is None:
            raise _refused("decision", "missing", "decision is missing", "write approve or reject")
        if self.approved is not None and self.approved is not approved:
            raise _refused("approved", "contradiction", "approved and decision say different things", "send one")
        return Decision(approved, self.comment, self.form)


class DecisionBody(OpenDecisionBody):
    idempotency_key: BodyKey = None


class LinkBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    expires_in: str | None = Field(
        default=None, max_length=60, description="How long the link holds, such as 12h: 7d by default, 30d at most."
    )
    decision: Word | None = Field(default=None, description="What alone can be decided by it.")

    def lifetime(self) -> Duration | None:
        """Raises `InvalidRequest`."""
        if self.expires_in is None:
            return None
        try:
            return parse_duration(self.expires_in)
        except ValueError as error:
            raise _refused("expires_in", "duration", str(error), REMEDY) from None


def _refused(path: str, code: str, message: str, remedy: str) -> InvalidRequest:
    fault = Fault(path, code, message, remedy)
    return InvalidRequest("invalid_request", "the request is not valid", faults=[fault])


class WorkflowOfApproval(BaseModel):
    id: str
    name: str


class ApprovalView(QuestionView):
    """A task that waits for a decision."""

    run_id: str
    path: str
    workflow: WorkflowOfApproval


class ApprovalPage(BaseModel):
    items: list[ApprovalView]
    next_cursor: str | None


class DecisionAnswer(BaseModel):
    run_id: str
    path: str
    approved: bool


class LinkView(BaseModel):
    url: str = Field(description="Whoever has it may decide, once; it is shown in this answer only.")
    expires_at: str
    decision: Word | None
