"""What requests about many runs at once may say, and how their progress looks."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from millrace.api.queries import instant, known_word
from millrace.app.container import Container
from millrace.app.operations.operations import BulkRequest
from millrace.app.runs.control import LONGEST_REASON
from millrace.app.runs.repository import RunFilter
from millrace.core.errors import Fault, InvalidRequest
from millrace.definition.model import TRIGGER_TYPES

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
    reason: str | None = Field(default=None, max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")
    version: int | Literal["same", "newest"] = Field(default="same", description="For retry: what the new runs take.")
    dry_run: bool = Field(default=False, description="Only count the runs that are meant.")
    confirmation: bool = Field(
        default=False,
        description="For retry: also runs of workflows with require_confirmation, which are refused without it.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.version != "same" and self.action != "retry":
            raise PydanticCustomError("version", "a version is for retry only", {"remedy": "leave it out"})
        return self

    async def wanted(self, container: Container) -> BulkRequest:
        """Raises `NotFound` for a workflow that is not there, `InvalidRequest` for every run without `all`, and for a
        trigger type that there is not."""
        found = self.filter
        if found == BulkFilter() and not self.all:
            remedy = "add a condition, such as workflow or status; or send `all: true` if you mean every run"
            fault = Fault("filter", "value", "the filter has no condition, so it means every run", remedy)
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
        narrow = RunFilter(
            status=tuple(found.status),
            workflow_id=None if found.workflow is None else await self._workflow_id(container, found.workflow),
            trigger_type=known_word("filter.trigger_type", found.trigger_type, TRIGGER_TYPES),
            correlation_id=found.correlation_id,
            created_from=instant(found.created_after),
            created_before=instant(found.created_before),
            labels=found.labels,
        )
        return BulkRequest(self.action, narrow, self.reason, self.version, self.dry_run, self.confirmation)

    async def _workflow_id(self, container: Container, reference: str) -> str:
        """A deleted workflow starts nothing, so its runs can be ended and not retried."""
        known = container.workflow_queries
        return await (known.id_of(reference) if self.action == "retry" else known.id_of_runs(reference))


class OperationView(BaseModel):
    id: str
    action: str
    status: Literal["running", "completed", "failed"]
    total: int = Field(description="Runs that the filter found when the operation began.")
    done: int
    failed: int = Field(description="Runs that had finished or did not take it; `error` says why the last one did not.")
    error: str | None
    created_by: str | None
    created_at: str
    finished_at: str | None
