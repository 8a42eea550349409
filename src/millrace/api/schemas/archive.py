"""What the archive answers, for the OpenAPI document."""

from pydantic import BaseModel, Field

from millrace.api.schemas.runs import RunView


class ArchivedId(BaseModel):
    id: str
    at: str = Field(description="When the run was made, as its id says.")


class ArchiveView(BaseModel):
    id: str
    families: int = Field(description="Runs with their retries and sub-runs, each family counted once.")
    runs: int
    first_run: ArchivedId = Field(description="The oldest run in it.")
    last_run: ArchivedId = Field(description="The newest run in it.")
    object: str = Field(description="Where it is in the object store.", examples=["archive/2026/11/ID.jsonl.gz"])
    size: int = Field(description="Bytes, compressed.")
    sha256: str
    created_at: str


class ArchivePage(BaseModel):
    items: list[ArchiveView]
    next_cursor: str | None


class ArchivedRun(RunView):
    """A run as it was when it was archived."""

    trigger_data: object = Field(description="What its trigger gave it.")
    archived_at: str
    archive: str = Field(description="The id of the archive that it is in.")
    lost: dict[str, str] = Field(
        default={}, description="Values that could not be read any more when it was archived, each with why."
    )
