"""What a test run does otherwise than its version: which tasks are mocked, and that no time passes in it.

A mocked task that a worker would run is handed to a worker all the same, which answers the mock. So is what would
start or tell another run. Everything else that is mocked the engine settles by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from millrace.core.controls import (
    APPROVAL,
    CONTROL_TYPES,
    DEFAULT,
    ELSE,
    SIGNAL,
    SUB_WORKFLOW,
    THEN,
    WAIT_FOR_EVENT,
    Settled,
    case_block,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Mock
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.model import CASES

SENT: Final = frozenset({SUB_WORKFLOW, SIGNAL})
"""Control tasks that have a config to be shown and nothing in them: mocked ones are run by a worker."""

HOLDERS: Final = frozenset({"foreach", "while", "sequential", "parallel"})
"""Those that are mocked with all that stands in them."""

OUTCOMES: Final[Mapping[str, JsonObject]] = {
    WAIT_FOR_EVENT: {"timed_out": False},
    APPROVAL: {"approved": True, "by": None, "comment": None, "form": None, "timed_out": False},
}
"""What the output of a wait has, where a mock does not say it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a test run. They are kept with its definition, which was derived for them."""

    mocks: Mapping[str, JsonObject] = field(default_factory=dict)
    """By task: `output`, or `fail` with `message` and `kind`, and `times`. All of them, whoever asked for them."""
    before: frozenset[str] = frozenset()
    """Mocked tasks that only stand for what went before the one task that is run alone."""
    names: Mapping[str, JsonObject] = field(default_factory=dict)
    """By loop: what `item`, `index` and `previous` are in the only iteration that it has."""
    virtual_time: bool = False
    only: str | None = None

    def to_json(self) -> JsonObject:
        return {
            "mocks": dict(self.mocks),
            "before": [*sorted(self.before)],
            "names": dict(self.names),
            "virtual_time": self.virtual_time,
            "only": self.only,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Terms":
        """What `to_json` made."""
        return cls(kept["mocks"], frozenset(kept["before"]), kept["names"], kept["virtual_time"], kept["only"])

    def mock_of(self, task_id: str) -> Mock | None:
        given = self.mocks.get(task_id)
        if given is None:
            return None
        fail, times = given.get("fail"), given.get("times")
        return Mock(
            output=given.get("output"),
            failure=_failure(fail) if isinstance(fail, dict) else None,
            times=times if isinstance(times, int) else None,
        )


AS_IT_IS: Final = Terms()


def _failure(fail: JsonObject) -> Failure:
    return Failure(FailureKind(str(fail.get("kind", FailureKind.ERROR))), str(fail["message"]))


def is_settled(task_type: str) -> bool:
    """Whether the engine settles a mocked task of this type, and not a worker."""
    return task_type in CONTROL_TYPES - SENT


def settled(task: Mapping[str, Any], mock: Mock, *, before: bool) -> Settled:
    """What a mocked task comes to that no worker runs. `before`: nothing of it is there but what it came to."""
    if before:
        return Settled(mock.output, failure=mock.failure if mock.times is None else None)
    if mock.failure is not None:
        return Settled(failure=mock.failure)
    output: dict[str, JsonValue] = mock.output if isinstance(mock.output, dict) else {}
    match task["type"]:
        case "condition":
            return Settled(output, str(output["branch"]))
        case "switch":
            case = output["case"]
            return Settled(output, case_block(case) if isinstance(case, str) and case in task[CASES] else DEFAULT)
        case kind if kind in OUTCOMES:
            return _awaited(task, output)
        case _:
            return Settled(mock.output)


def _awaited(task: Mapping[str, Any], output: dict[str, JsonValue]) -> Settled:
    """A wait: `then` if it came, else `else`, and if there is none it fails as one that really waited."""
    rejected = output.get("approved") is False
    if not rejected and not (output["timed_out"] and task["type"] == WAIT_FOR_EVENT):
        return Settled(output, THEN if task.get(THEN) else None)
    if task.get(ELSE) is not None:
        return Settled(output, ELSE)
    if rejected and not output["timed_out"]:
        comment = output.get("comment")
        why = "" if comment is None else f": {comment}"
        return Settled(output, failure=Failure(FailureKind.REJECTED, f"it was rejected{why}"))
    message = "what it waits for did not come within its limit, as its mock says"
    return Settled(output, failure=Failure(FailureKind.TIMEOUT, message))
