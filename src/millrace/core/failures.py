"""What can go wrong with a task or a run, as data. A failure of user work is never an exception in Millrace.

`FailureKind` is the documented list a definition may name in `retry.on`; the table below it says what each
means and whether a retry policy that names no kinds repeats it.
"""

from dataclasses import dataclass
from enum import StrEnum

from millrace.core.values import JsonObject


class FailureKind(StrEnum):
    ERROR = "error"
    TIMEOUT = "timeout"
    QUEUE_TIMEOUT = "queue_timeout"
    WORKER_LOST = "worker_lost"
    WORKER_STOPPED = "worker_stopped"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    EXPRESSION = "expression"
    INVALID_INPUT = "invalid_input"
    INVALID_OUTPUT = "invalid_output"
    REJECTED = "rejected"
    ITERATIONS = "iterations"


FAILURE_MEANINGS: dict[FailureKind, str] = {
    FailureKind.ERROR: "The work itself failed: a status that was not expected, an SQL error, an exit code.",
    FailureKind.TIMEOUT: "A time limit passed and the work was ended.",
    FailureKind.QUEUE_TIMEOUT: "No worker took the task within its `queue_timeout`; the work was not begun.",
    FailureKind.WORKER_LOST: "The worker vanished during the attempt; whether the work was done is not known.",
    FailureKind.WORKER_STOPPED: "The worker was stopped and ended the attempt; it is neither a failure nor a crash.",
    FailureKind.CANCELLED: "The work was ended because its run was cancelled.",
    FailureKind.REFUSED: "A rule of this installation forbids the work; the message names the setting.",
    FailureKind.EXPRESSION: "An expression of the definition could not be evaluated.",
    FailureKind.INVALID_INPUT: "The rendered configuration of the task is not what its type accepts.",
    FailureKind.INVALID_OUTPUT: "The work ended well, but its output is not JSON that can be stored.",
    FailureKind.REJECTED: "Somebody was asked to approve, and did not.",
    FailureKind.ITERATIONS: "A `while` was to go on after its last allowed iteration.",
}

RETRIED_BY_DEFAULT: frozenset[FailureKind] = frozenset({FailureKind.ERROR, FailureKind.TIMEOUT})
"""Kinds that a policy without `on` repeats: the others would fail again in the same way."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task or run did not end well. `message` is for people and holds no secret; `details` is JSON."""

    kind: FailureKind
    message: str
    details: JsonObject | None = None

    def summary(self) -> JsonObject:
        """Kind and message, for records and lists."""
        return {"kind": self.kind.value, "message": self.message}

    def to_json(self) -> JsonObject:
        """All of it, as users see it: `{kind, message, details}`."""
        return self.summary() if self.details is None else {**self.summary(), "details": self.details}

    @classmethod
    def from_json(cls, data: JsonObject) -> "Failure":
        """What `to_json` made."""
        details = data.get("details")
        return cls(FailureKind(str(data["kind"])), str(data["message"]), details if isinstance(details, dict) else None)
