"""What artifacts look like, for the OpenAPI document."""

from pydantic import BaseModel, Field

from millrace.api.schemas.users import UserRef


class ArtifactReference(BaseModel):
    """How a run's input or a task's config names a file; tasks answer it, too."""

    artifact: str
    name: str
    media_type: str
    size: int
    sha256: str


class ArtifactView(BaseModel):
    id: str
    name: str = Field(examples=["report.csv"])
    media_type: str = Field(examples=["text/csv"])
    size: int = Field(description="Bytes.", examples=[10240])
    sha256: str
    run_id: str | None = Field(description="The run whose task wrote it; null for an upload.")
    task: str | None
    attempt: int | None
    created_by: UserRef | None = Field(description="The user who sent it.")
    created_at: str
    expires_at: str | None = Field(description="When it is deleted; null is never.")
    reference: ArtifactReference


class ArtifactPage(BaseModel):
    items: list[ArtifactView]
    next_cursor: str | None
