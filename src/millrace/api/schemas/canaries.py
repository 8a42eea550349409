"""What canaries look like, and what requests about them may say."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.users import USER_EXAMPLE, UserRef
from millrace.api.schemas.versions import Body, Comment, LiveCanary, NumberOrTag, WorkflowName
from millrace.core.values import JsonObject

Share = Annotated[float, Field(ge=0.01, le=99.99, multiple_of=0.01)]

RUN_EXAMPLE: Final = "019e2f60-0002-7000-8000-000000000001"


class CanaryBody(Body):
    version: NumberOrTag = Field(description="The number or tag of the version to try out, or newest.", examples=[3])
    share: Share = Field(description="Percent of the triggered runs, with two decimals at most.", examples=[10])


class PromoteBody(Body):
    comment: Comment | None = Field(default=None, description="Kept with the deployment.")


class Canary(LiveCanary):
    id: str
    workflow: WorkflowName
    stable: int = Field(description="The version that was deployed when it began, and takes the other runs.")
    started_by: UserRef | None
    outcome: Literal["promoted", "stopped", "replaced"] | None = Field(
        description="How it ended; null while it is live. Replaced: another version was deployed, or is the canary."
    )
    ended_at: str | None
    ended_by: UserRef | None


class CanaryPage(BaseModel):
    items: list[Canary]
    next_cursor: str | None


class CanaryDuration(BaseModel):
    p50: float
    p95: float


class CanaryFailure(BaseModel):
    run_id: str
    message: str | None


class CanaryOutcomes(BaseModel):
    version: int
    total: int = Field(description="Triggered runs of this version; repetitions do not count.")
    completed: int
    failed: int
    cancelled: int
    unfinished: int
    failure_rate: float | None = Field(
        description="The part of those completed or failed that failed, from 0 to 1; null before there is one."
    )
    duration_ms: CanaryDuration | None = Field(
        description="From the start to the end of the runs that have finished; null before there is one."
    )
    last_failure: CanaryFailure | None


class CanaryComparison(BaseModel):
    looked_at: int = Field(
        description="So many runs of the workflow were looked at, of any origin: all since the canary began and until "
        "it ended, but at most the newest 20,000."
    )
    complete: bool = Field(description="Whether that were all that are kept.")
    stable: CanaryOutcomes
    canary: CanaryOutcomes


def _side(version: int, completed: int, failed: int, p50: float, p95: float) -> JsonObject:
    return {
        "version": version,
        "total": completed + failed,
        "completed": completed,
        "failed": failed,
        "cancelled": 0,
        "unfinished": 0,
        "failure_rate": round(failed / (completed + failed), 4),
        "duration_ms": {"p50": p50, "p95": p95},
        "last_failure": {"run_id": RUN_EXAMPLE, "message": "answered 500"} if failed else None,
    }


class CanaryDetail(Canary):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "019e2f60-0001-7000-8000-000000000001",
                "workflow": {"id": "019e2f60-0000-7000-8000-000000000001", "name": "greet"},
                "version": 3,
                "stable": 2,
                "share": 10.0,
                "since": "2026-03-29T01:00:00.000000Z",
                "started_by": USER_EXAMPLE,
                "outcome": None,
                "ended_at": None,
                "ended_by": None,
                "outcomes": {
                    "looked_at": 1003,
                    "complete": True,
                    "stable": _side(2, 902, 0, 110.5, 300.125),
                    "canary": _side(3, 99, 2, 85.0, 240.75),
                },
            }
        }
    )

    outcomes: CanaryComparison = Field(description="What became of the triggered runs, side by side.")
