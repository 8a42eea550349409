"""What requests about many runs at once may say, and how their progress looks."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from millrace.api.keys import BodyKey
from millrace.api.queries import instant, known_word
from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.users import UserRef
from millrace.api.schemas.versions import Number
from millrace.app.operations.operations import BulkRequest
from millrace.app.runs.control import LONGEST_REASON
from millrace.app.runs.repository import RunFilter
from millrace.core.errors import Fault, InvalidRequest
from millrace.definition.model import START_TYPES

RunStatusName = Literal["pending", "running", "waiting", "paused", "cancelling", "failed", "cancelled"]

BULK_EXAMPLE: Final[dict[str, Any]] = {
    "action": "retry",
    "filter": {"workflow": "nightly-orders", "status": ["failed"]},
}


class BulkFilter(BaseModel):
    """Which runs are meant: all conditions hold. `{}` means every run, and is taken with `all: true` only."""

    model_config = ConfigDict(extra="forbid", strict=True)

    workflow: str | None = Field(
        default=None, description="Id, name or slug of a workflow; of a deleted one its id, but not to retry."
    )
    status: list[RunStatusName] = Field(default_factory=list, max_length=20)
    trigger_type: str | None = Field(default=None, max_length=32)
    correlation_id: str | None = Field(default=None, max_length=255)
    created_after: Annotated[AwareDatetime | None, Strict(False)] = None
    created_before: Annotated[AwareDatetime | None, Strict(False)] = None
    labels: dict[str, str] = Field(default_factory=dict, max_length=100)


class BulkBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    action: Literal["cancel", "pause", "resume", "retry"]
    filter: BulkFilter
    all: bool = Field(default=False, description="Really every run, where the filter has no condition.")
    reason: str | None = Field(default=None, max_length=LONGEST_REASON, pattern=NO_NUL)
    version: Number | Literal["same", "newest"] = Field(
        default="same", description="For retry: what the new runs take."
    )
    dry_run: bool = Field(default=False, description="Only count the runs that are meant.")
    confirmation: bool = Field(
        default=False,
        description="For retry: also runs of workflows with require_confirmation, which are refused without it.",
    )
    again: bool = Field(
        default=False, description="For retry: also runs that were retried or rerun before, which are left out else."
    )
    idempotency_key: BodyKey = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.version != "same" and self.action != "retry":
            raise PydanticCustomError("version", "a version is for retry only", {"remedy": "leave it out"})
        if self.again and self.action != "retry":
            raise PydanticCustomError("again", "`again` is for retry only", {"remedy": "leave it out"})
        return self

    def wanted(self) -> BulkRequest:
        """Raises `InvalidRequest` for every run without `all`, and for a trigger type that there is not."""
        found = self.filter
        if found == BulkFilter() and not self.all:
            remedy = "add a condition, such as workflow or status; or send `all: true` if you mean every run"
            fault = Fault("filter", "value", "the filter has no condition, so it means every run", remedy)
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
        narrow = RunFilter(
            status=tuple(found.status),
            trigger_type=known_word("filter.trigger_type", found.trigger_type, START_TYPES),
            correlation_id=found.correlation_id,
            created_from=instant(found.created_after),
            created_before=instant(found.created_before),
            labels=found.labels,
        )
        return BulkRequest(
            action=self.action,
            narrow=narrow,
            workflow=found.workflow,
            reason=self.reason,
            version=self.version,
            dry_run=self.dry_run,
            confirmation=self.confirmation,
            again=self.again,
        )


class RefusedRun(BaseModel):
    run: str
    message: str


class OperationView(BaseModel):
    id: str
    action: str
    status: Literal["running", "completed", "failed"]
    total: int = Field(description="Runs that are meant: found when the operation began, and not left out.")
    already_retried: int = Field(
        description="For retry: runs that the filter found and that were retried or rerun before; left out."
    )
    left_to_parents: int = Field(
        description="For retry: runs that the filter found and that a task of another run waited for; left out, as the "
        "retry of that run does their work again."
    )
    done: int
    failed: int = Field(description="Runs that had finished or did not take it.")
    refused: list[RefusedRun] = Field(description="Those that `failed` counts, and why: the first 100 of them.")
    error: str | None = Field(
        description="What the last run said that did not take it; or why the operation has `failed`: who asked for it "
        "was disabled, or has lost the right."
    )
    created_by: UserRef | None
    created_at: str
    finished_at: str | None
