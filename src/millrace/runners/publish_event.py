"""`publish_event`: tells of something that happened. The event is stored, and may start and wake others."""

import re
from typing import Any, ClassVar

from pydantic import Field, field_validator

from millrace.core.failures import FailureKind
from millrace.core.values import to_iso
from millrace.ports.events import OWN_TYPES, PUBLISH_EVENT, EventRefused, Events, TaskEvent
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.task_config import TaskConfig

LONGEST = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class PublishEventConfig(TaskConfig):
    type: str = Field(
        min_length=1, max_length=LONGEST, description="What kind of thing happened.", examples=["orders.imported"]
    )
    subject: str | None = Field(
        default=None, max_length=LONGEST, description="What it happened to.", examples=["order/17"]
    )
    data: Any = Field(default=None, description="Any JSON.")
    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST,
        description="Who tells it; `workflows/SLUG` of the run if absent.",
    )

    @field_validator("type", "subject", "source")
    @classmethod
    def _one_line(cls, text: str | None) -> str | None:
        if text is not None and _CONTROL.search(text):
            raise ValueError("this cannot hold a line break or another control character")
        return text

    @field_validator("type")
    @classmethod
    def _not_ours(cls, text: str) -> str:
        if text.strip() != text:
            raise ValueError("a type of events neither begins nor ends with a blank")
        if text.startswith(OWN_TYPES):
            raise ValueError(
                f"types that begin with {OWN_TYPES} are Millrace's own; choose another, such as orders.imported"
            )
        return text


class PublishEventRunner:
    type: ClassVar[str] = PUBLISH_EVENT
    summary: ClassVar[str] = "Publishes an event."
    config_model: ClassVar[ConfigModel] = PublishEventConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, services: RunnerServices) -> None:
        self._events: Events | None = services.events

    async def close(self) -> None:
        """Events are stored by the installation."""

    async def run(self, config: PublishEventConfig, context: RunnerContext) -> Outcome:
        if self._events is None:
            return Failed.because("this worker cannot publish events", kind=FailureKind.REFUSED)
        event = TaskEvent(
            run_id=context.run_id,
            task_path=context.task_id,
            type=config.type,
            source=config.source,
            subject=config.subject,
            data=config.data,
        )
        try:
            published = await self._events.publish(event)
        except EventRefused as refusal:
            return Failed.because(str(refusal), kind=FailureKind.INVALID_INPUT)
        if published.repeated:
            context.log(f"an earlier attempt has published the event {published.id}; it stands", level="warning")
        return Completed(
            {
                "id": published.id,
                "type": config.type,
                "source": published.source,
                "subject": config.subject,
                "at": to_iso(published.at),
            }
        )
