"""What the engine tells the store of tasks that wait, and what the store tells it of time."""

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.core.events import TimerKind
from millrace.core.values import Instant, JsonObject


@dataclass(frozen=True, slots=True)
class NewWait:
    """A task that waits, or is only looked at when its time is over (then it has no `kind`)."""

    path: str
    fire_at: Instant | None
    kind: str | None = None
    request: JsonObject | None = None
    """What it waits for, as those need it who bring that about."""
    routes: Sequence[tuple[str, str]] = ()
    """Types of events by which it is found, each with a correlation key, which may be empty."""
    child_run_id: str | None = None
    wanted: bool = False
    """The run with that id is to be started for it."""


@dataclass(frozen=True, slots=True)
class DueTimer:
    run_id: str
    kind: TimerKind
    path: str | None = None
