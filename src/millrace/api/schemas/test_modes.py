"""What is said about the test mode of a workflow, and what holds for it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.texts import NO_NUL_NOT_BLANK
from millrace.app.test_mode.instructions import LONGEST_RECIPIENT

Recipient = Annotated[str, Field(max_length=LONGEST_RECIPIENT, pattern=NO_NUL_NOT_BLANK)]


class TestModeBody(BaseModel):
    """What is not given is as the settings have it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    on: bool = Field(description="false: it is off for this workflow, also where the settings have it on.")
    recipient: Recipient | None = Field(
        default=None, description="Who gets an e-mail when a trigger fires.", examples=["ops@example.com"]
    )
    skip_execution: bool | None = Field(
        default=None, description="true: no run starts. false: the mail is sent, and the run starts."
    )


class OwnTestMode(BaseModel):
    on: bool
    recipient: str | None = Field(description="null is as the settings have it.")
    skip_execution: bool | None = Field(description="null is as the settings have it.")


class WorkflowOfTestMode(BaseModel):
    id: str
    name: str


class TestModeView(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "workflow": {"id": "019e2f60-0000-7000-8000-000000000001", "name": "greet"},
                "said": {"on": True, "recipient": "ops@example.com", "skip_execution": None},
                "on": True,
                "recipient": "ops@example.com",
                "skip_execution": True,
            }
        }
    )

    workflow: WorkflowOfTestMode
    said: OwnTestMode | None = Field(description="What was said about this workflow; null is as the settings have it.")
    on: bool = Field(description="Whether a trigger that fires sends an e-mail.")
    recipient: str | None = Field(description="Who gets it; null while test mode is off.")
    skip_execution: bool = Field(description="Whether no run starts then.")
