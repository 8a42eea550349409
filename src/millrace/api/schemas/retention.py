"""What is said about retention, for the OpenAPI document, and what may be asked of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RetentionRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    dry_run: bool = Field(default=False, description="true: only say what would be deleted.")


class Periods(BaseModel):
    payloads: str = Field(description="How long what tasks took and answered is kept, and logs.", examples=["30d"])
    runs: str = Field(description="How long runs are kept.", examples=["90d"])
    archive: bool = Field(description="Whether runs are archived before they are deleted.")


class WorkflowPeriods(Periods):
    workflow_id: str
    name: str


class RetentionRound(BaseModel):
    id: str
    cause: Literal["schedule", "request"]
    started_at: str
    finished_at: str | None
    runs: int = Field(description="Runs deleted.")
    payloads: int = Field(description="Runs whose payloads and logs were deleted.")
    firings: int = Field(description="Firings deleted.")
    events: int = Field(description="Events deleted.")
    operations: int = Field(description="Operations on many runs deleted.")
    incarnations: int = Field(description="Rows of workers deleted that are dead, and that no attempt refers to.")
    archived: int = Field(description="Of the runs deleted those that were archived before.")
    archives: int = Field(description="Archives deleted.")
    error: str | None


class RetentionView(Periods):
    archives: str = Field(description="How long archives are kept.", examples=["never"])
    workflows: list[WorkflowPeriods] = Field(description="Workflows whose definition says otherwise.")
    current_round: RetentionRound | None
    last_round: RetentionRound | None


class DueOfWorkflow(BaseModel):
    workflow_id: str
    name: str
    kept: Periods
    families: int
    runs: int
    archived: int = Field(description="Of these runs those that would be archived before.")
    payloads: int


class RetentionPreview(BaseModel):
    dry_run: Literal[True]
    families: int = Field(description="Runs with their retries and sub-runs, each family counted once.")
    runs: int
    archived: int = Field(description="Of these runs those that would be archived before.")
    payloads: int = Field(description="Runs that stay, but without payloads and logs.")
    operations: int = Field(description="Operations on many runs that have ended.")
    incarnations: int = Field(description="Workers that are dead, and that no attempt refers to.")
    archives: int = Field(description="Archives that are old enough.")
    workflows: list[DueOfWorkflow]


class RetentionStarted(BaseModel):
    dry_run: Literal[False]
    round: RetentionRound
