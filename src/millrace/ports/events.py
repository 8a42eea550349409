"""The port for events: facts that somebody told, kept in order, for others to act on.

An event is stored before anybody acts on it, and whoever acts on it may do so more than once: at least once is what is
promised. What keeps it to once is the key of the event, for who publishes, and a start key, for who starts a run.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from millrace.core.values import Instant, JsonValue

OWN_TYPES: Final = "millrace."
"""Types that begin so are of events that Millrace itself makes."""


PUBLISH_EVENT: Final = "publish_event"
"""The type of the tasks that publish."""


class EventRefused(Exception):
    """The event cannot be stored; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """An event that a task publishes. A task run publishes one at most: its key is (`run_id`, `task_path`)."""

    run_id: str
    task_path: str
    type: str
    source: str | None = None
    """Who tells it; the workflow of the run by default."""
    subject: str | None = None
    data: JsonValue = None


@dataclass(frozen=True, slots=True)
class Published:
    id: str
    source: str
    at: Instant
    repeated: bool
    """The task run had published it before; the event of then stands, and nothing was stored now."""


class Events(Protocol):
    async def publish(self, event: TaskEvent) -> Published:
        """Store the event; it is durable when this returns. Secrets in it are masked. Raises `EventRefused`."""
        ...
