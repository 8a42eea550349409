"""What was found out about tasks, and how it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millrace.app.test_runs.foresight.endings import BADLY, Endings, of_block
from millrace.app.test_runs.foresight.seeing import Seen
from millrace.core.plan import TaskPlan
from millrace.core.values import JsonValue

WHEN_RUN: Final = "which is known only when it has run"
RUNS, SKIPPED, UNKNOWN, FAILS = "runs", "skipped", "unknown", "fails"


@dataclass(frozen=True, slots=True)
class Begun:
    """What becomes of a task if it runs."""

    endings: Endings
    value: JsonValue = None
    known: bool = False
    """Whether `value` is what it comes to."""
    why: str | None = None
    """Why it fails."""
    kind: str = "error"
    told: Mapping[str, Any] = field(default_factory=dict)
    """For its view: input, unrendered, branch, items, blocks."""
    inner: Seen | None = None
    """What others can read of what stands in it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of tasks, foreseen."""

    views: list[dict[str, Any]]
    endings: Mapping[str, Endings]

    @property
    def ending(self) -> Endings:
        return of_block(self.endings.values())

    def why(self) -> str | None:
        """What fails for sure, if anything does."""
        failed = [view["path"] for view in self.views if self.endings[view["task"]] == BADLY]
        return f"{failed[0]} fails" if failed else None


def view_of(own: TaskPlan, prefix: str, status: str, why: str | None) -> dict[str, Any]:
    return {
        "task": own.id,
        "path": f"{prefix}{own.id}",
        "type": own.type,
        "status": status,
        "why": why,
        "mocked": own.mock is not None,
        "input": None,
        "unrendered": {},
        "branch": None,
        "items": None,
        "blocks": {},
    }


def make_unsure(views: Sequence[dict[str, Any]], why: str) -> None:
    """What stands in something of which it is not known whether it runs."""
    for view in views:
        if view["status"] in (RUNS, FAILS):
            view["status"], view["why"] = UNKNOWN, why if view["why"] is None else f"{why}; then: {view['why']}"
        for tasks in view["blocks"].values():
            make_unsure(tasks, why)
