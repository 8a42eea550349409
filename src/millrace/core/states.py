"""The states of runs, task runs and attempts, and every legal way from one to another.

This is the one file that knows them. Three rules hold everywhere else:

1. Nothing assigns a status but through `step`, which looks the edge up here, so an illegal transition
   is impossible in the core and loud in a test.
2. Each edge says why it may be taken. The diagrams in `docs/concepts.md` are printed from these tables,
   and the CHECKs and partial indexes of the database are made from `FINISHED_*`.
3. A finished state (terminal, of any kind) has no way out. Trying again is a new attempt or a new run.

One state is shared between the core and the store. `scheduled` -> `running` of an attempt (the claim) is a
compare-and-set in the store, made by whichever worker is first; so the store alone writes `running` on a
task run that has an attempt, and the core, which must not depend on who won, reads it as `ready`. Of a control
task, which has none, the core says itself that it is `running`: while what is in it runs.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class AttemptStatus(StrEnum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


RUN_EDGES: Mapping[RunStatus, Mapping[RunStatus, str]] = {
    RunStatus.PENDING: {
        RunStatus.RUNNING: "admitted",
        RunStatus.PAUSED: "paused before it was admitted",
        RunStatus.CANCELLED: "cancelled before it was admitted",
    },
    RunStatus.RUNNING: {
        RunStatus.WAITING: "nothing ready or running, something waiting",
        RunStatus.PAUSED: "paused",
        RunStatus.CANCELLING: "cancel requested",
        RunStatus.COMPLETED: "all phases ended well",
        RunStatus.FAILED: "a task, a time limit or the output failed",
    },
    RunStatus.WAITING: {
        RunStatus.RUNNING: "what it waited for came",
        RunStatus.PAUSED: "paused",
        RunStatus.CANCELLING: "cancel requested",
    },
    RunStatus.PAUSED: {
        RunStatus.PENDING: "resumed before it was admitted",
        RunStatus.RUNNING: "resumed, or its time limit passed",
        RunStatus.CANCELLING: "cancel requested",
        RunStatus.CANCELLED: "cancelled before it was admitted",
        RunStatus.COMPLETED: "the last attempt ended well meanwhile",
        RunStatus.FAILED: "the last attempt failed meanwhile",
    },
    RunStatus.CANCELLING: {
        RunStatus.CANCELLED: "everything has stopped",
        RunStatus.COMPLETED: "cancelled after the main part had completed",
        RunStatus.FAILED: "cancelled after the main part had failed",
    },
    RunStatus.COMPLETED: {},
    RunStatus.FAILED: {},
    RunStatus.CANCELLED: {},
}

TASK_EDGES: Mapping[TaskStatus, Mapping[TaskStatus, str]] = {
    TaskStatus.PENDING: {
        TaskStatus.READY: "its join rule is met and its `if` holds",
        TaskStatus.SKIPPED: "its join rule cannot be met, its `if` does not hold, or its phase never began",
        TaskStatus.FAILED: "its `if` has no value",
        TaskStatus.CANCELLED: "the run is ending",
    },
    TaskStatus.READY: {
        TaskStatus.RUNNING: "a worker claimed its attempt, or what is in it begins",
        TaskStatus.WAITING: "parked without a worker",
        TaskStatus.COMPLETED: "its attempt ended well, or it came to an end at once",
        TaskStatus.FAILED: "its last attempt failed, or an expression of it has no value",
        TaskStatus.CANCELLING: "it is being ended; its attempt is being stopped",
        TaskStatus.CANCELLED: "it is being ended; it had no attempt",
    },
    TaskStatus.RUNNING: {
        TaskStatus.READY: "to be tried again",
        TaskStatus.WAITING: "parked without a worker",
        TaskStatus.COMPLETED: "its attempt, or all that is in it, ended well",
        TaskStatus.FAILED: "its last attempt, or something in it, failed",
        TaskStatus.CANCELLING: "it is being ended; its attempt, or what is in it, is being stopped",
    },
    TaskStatus.WAITING: {
        TaskStatus.RUNNING: "what it waited for came, or did not; what is to follow begins",
        TaskStatus.COMPLETED: "what it waited for came",
        TaskStatus.FAILED: "what it waited for did not come in time, or failed",
        TaskStatus.CANCELLING: "it is being ended; the run it waits for is being cancelled",
        TaskStatus.CANCELLED: "it is being ended",
    },
    TaskStatus.CANCELLING: {
        TaskStatus.CANCELLED: "its attempt was withdrawn, stopped or lost; all that is in it has ended",
        TaskStatus.COMPLETED: "its attempt ended well before it could be stopped",
        TaskStatus.FAILED: "it failed before it could be stopped, or was ended by its time limit",
    },
    TaskStatus.COMPLETED: {},
    TaskStatus.FAILED: {},
    TaskStatus.SKIPPED: {},
    TaskStatus.CANCELLED: {},
}

ATTEMPT_EDGES: Mapping[AttemptStatus, Mapping[AttemptStatus, str]] = {
    AttemptStatus.SCHEDULED: {
        AttemptStatus.RUNNING: "claimed by a worker",
        AttemptStatus.CANCELLED: "withdrawn before any worker claimed it",
    },
    AttemptStatus.RUNNING: {
        AttemptStatus.COMPLETED: "the worker reports success",
        AttemptStatus.FAILED: "the worker reports failure",
        AttemptStatus.CANCELLED: "the worker ended it: cancelled, or the worker is stopping",
        AttemptStatus.LOST: "the worker is dead",
    },
    AttemptStatus.COMPLETED: {},
    AttemptStatus.FAILED: {},
    AttemptStatus.CANCELLED: {},
    AttemptStatus.LOST: {},
}

Status = TypeVar("Status", RunStatus, TaskStatus, AttemptStatus)


def _finished(edges: Mapping[Status, Mapping[Status, str]]) -> frozenset[Status]:
    return frozenset(status for status, ways_out in edges.items() if not ways_out)


FINISHED_RUN = _finished(RUN_EDGES)
FINISHED_TASK = _finished(TASK_EDGES)
FINISHED_ATTEMPT = _finished(ATTEMPT_EDGES)
LIVE_ATTEMPT = frozenset(AttemptStatus) - FINISHED_ATTEMPT


class IllegalTransition(AssertionError):
    """A defect in the core: a status was to change along an edge that the tables do not have."""


def step(edges: Mapping[Status, Mapping[Status, str]], current: Status, target: Status) -> Status:
    """Return `target` if the table has the edge, or raise `IllegalTransition`."""
    if target not in edges[current]:
        raise IllegalTransition(f"{type(current).__name__}: {current.value} -> {target.value}")
    return target
