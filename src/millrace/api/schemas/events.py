"""Events, for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field


class EventView(BaseModel):
    """Something that happened, as it was told. An event never changes."""

    id: str
    type: str = Field(examples=["orders.imported"])
    source: str = Field(description="Who told it.", examples=["workflows/nightly-orders"])
    subject: str | None = Field(description="What it happened to.")
    data: Any
    run_id: str | None = Field(description="The run that published it.")
    task: str | None = Field(description="The task that published it.")
    at: str


class EventPage(BaseModel):
    items: list[EventView]
    next_cursor: str | None
