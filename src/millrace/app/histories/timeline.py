"""What became of each task of a run and why: the run's records, told task by task.

Pure: made of nothing but records and the run's row. A record of a type that is not known here is kept as a note of its
task or of the run, so no decision is ever left out because this file is older than the engine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson
from sqlalchemy.engine import RowMapping

from millrace.app.histories.repository import Progress
from millrace.core.states import FINISHED_RUN
from millrace.core.values import Instant, JsonObject, JsonValue, to_iso

Timeline: TypeAlias = dict[str, Any]

OUTCOMES = {
    "task.completed": "completed",
    "task.failed": "failed",
    "task.cancelled": "cancelled",
    "task.lost": "lost",
    "task.retrying": "failed",
    "task.stopped": "cancelled",
    "task.withdrawn": "withdrawn",
}
"""Records that end an attempt, and how it ended."""

FINAL = frozenset({"task.completed", "task.failed", "task.cancelled", "task.skipped"})

GOES_ON = frozenset(
    {"run.started", "run.paused", "run.resumed", "run.cancel_requested", "run.timed_out"}
    | {f"run.{status.value}" for status in FINISHED_RUN}
)
"""Records that end what a run as a whole was waiting for."""

QUEUED, TASK_LIMIT, DELAYED, PAUSED = "queued", "task_limit", "retry_delay", "run_paused"
NOT_ADMITTED, START_DELAYED = "not_admitted", "start_delayed"
CONCURRENCY, RATE_LIMIT = "concurrency", "rate_limit"


@dataclass(slots=True)
class _Attempt:
    number: int
    scheduled_at: Instant | None = None
    available_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    outcome: str | None = None
    error: JsonValue = None
    worker: JsonValue = None


@dataclass(slots=True)
class _Wait:
    reason: str
    since: Instant
    until: Instant | None = None
    data: JsonObject = field(default_factory=dict)


@dataclass(slots=True)
class _Task:
    path: str
    outcome: str | None = None
    reason: JsonValue = None
    error: JsonValue = None
    finished_at: Instant | None = None
    entered_at: Instant | None = None
    """Of a control task: when what stands in it began."""
    attempts: dict[int, _Attempt] = field(default_factory=dict)
    waits: list[_Wait] = field(default_factory=list)
    notes: list[RowMapping] = field(default_factory=list)

    def attempt(self, data: JsonObject) -> _Attempt | None:
        """The attempt that a record is about; older records may not name one."""
        number = data.get("attempt")
        if isinstance(number, int):
            return self.attempts.setdefault(number, _Attempt(number))
        return None

    def begin_wait(self, reason: str, at: Instant) -> None:
        self.end_wait(at)
        self.waits.append(_Wait(reason, at))

    def end_wait(self, at: Instant) -> None:
        if self.waits and self.waits[-1].until is None:
            self.waits[-1].until = at


def timeline_of(run_id: str, progress: Progress, records: Sequence[RowMapping], after: int = 0) -> Timeline:
    """The timeline of a run from its records, oldest first, of which those up to `after` were told before."""
    tasks: dict[str, _Task] = {}
    notes: list[RowMapping] = []
    for record in records:
        path = record["path"]
        if path is None:
            notes.append(record)
        else:
            _tell(tasks.setdefault(path, _Task(path)), record)
    last_seq = records[-1]["seq"] if records else after
    complete = last_seq >= progress.last_seq
    return {
        "run_id": run_id,
        "status": progress.status,
        "created_at": to_iso(progress.created_at),
        "started_at": _iso(progress.started_at),
        "finished_at": _iso(progress.finished_at),
        "waits": _waits_of_run(notes),
        "tasks": [_task_view(task) for task in tasks.values()],
        "notes": [_note_view(note) for note in notes],
        "last_seq": last_seq,
        "complete": complete,
        "next_after": None if complete else last_seq,
    }


def _tell(task: _Task, record: RowMapping) -> None:
    """Take one record into the story of its task."""
    data = _data(record)
    teller = _TELLERS.get(record["type"])
    if teller is not None:
        teller(task, record["at"], data)
        if record["type"] == "task.entered":
            task.notes.append(record)
    elif record["type"] in OUTCOMES:
        _ended(task, record, data)
    elif record["type"] != "task.skipped":
        task.notes.append(record)
    if record["type"] in FINAL:
        task.outcome = record["type"].removeprefix("task.")
        task.reason, task.error = data.get("reason"), data.get("error")
        task.finished_at = record["at"]
        task.end_wait(record["at"])


def _ready(task: _Task, at: Instant, _data: JsonObject) -> None:
    task.begin_wait(PAUSED, at)


def _scheduled(task: _Task, at: Instant, data: JsonObject) -> None:
    attempt = task.attempt(data)
    available = data.get("available_at")
    if not isinstance(available, int) or available < at:
        available = at
    keys: list[JsonValue] = [data[name] for name in ("limit_key", "type_key") if name in data]
    task.begin_wait(DELAYED if available > at else TASK_LIMIT if keys else QUEUED, at)
    if available > at:
        task.waits[-1].data = {"available_at": to_iso(available)}
    if keys:
        task.waits[-1].data["keys"] = keys
    if attempt is not None:
        attempt.scheduled_at, attempt.available_at = at, available


def _started(task: _Task, at: Instant, data: JsonObject) -> None:
    task.end_wait(at)
    attempt = task.attempt(data)
    if attempt is not None:
        attempt.scheduled_at = attempt.scheduled_at or at
        attempt.available_at = attempt.available_at or at
        attempt.started_at = at
        attempt.worker = data.get("worker")


def _ended(task: _Task, record: RowMapping, data: JsonObject) -> None:
    task.end_wait(record["at"])
    attempt = task.attempt(data)
    if attempt is not None and attempt.finished_at is None:
        attempt.finished_at = record["at"]
        attempt.outcome = OUTCOMES[record["type"]]
        attempt.error = data.get("error")


def _waiting(task: _Task, at: Instant, data: JsonObject) -> None:
    """A control task waits for what its record names."""
    task.begin_wait(str(data.get("for", "")), at)
    until = data.get("until")
    task.waits[-1].data = {"limit": to_iso(until)} if isinstance(until, int) else {}


def _entered(task: _Task, at: Instant, _data: JsonObject) -> None:
    """What it waited for has come, or it begins with what stands in it."""
    task.end_wait(at)
    task.entered_at = task.entered_at or at


_TELLERS: dict[str, Callable[[_Task, Instant, JsonObject], None]] = {
    "task.ready": _ready,
    "task.scheduled": _scheduled,
    "task.started": _started,
    "task.waiting": _waiting,
    "task.entered": _entered,
}


def _waits_of_run(notes: Sequence[RowMapping]) -> list[dict[str, object]]:
    """When the run as a whole stood still: before it was admitted, and while it was paused."""
    waits: list[_Wait] = []
    for note in notes:
        kind, at = note["type"], note["at"]
        if kind in GOES_ON and waits and waits[-1].until is None:
            waits[-1].until = at
        if kind == "run.created":
            waits.append(_admission(at, _data(note)))
        elif kind == "run.paused":
            waits.append(_Wait(PAUSED, at))
        elif kind == "run.delayed" and waits:
            until = _data(note).get("until")
            waits[-1].reason = START_DELAYED
            waits[-1].data |= {"available_at": to_iso(until)} if isinstance(until, int) else {}
    return [_wait_view(wait) for wait in waits if wait.until != wait.since]


def _admission(at: Instant, created: JsonObject) -> _Wait:
    """What a new run waits for, as far as it is the only thing: its place, its turn in a rate, or either of them."""
    limits = {CONCURRENCY: created.get("admission"), RATE_LIMIT: created.get("rate_limit")}
    given = {reason: limit for reason, limit in limits.items() if isinstance(limit, dict)}
    reason = next(iter(given)) if len(given) == 1 else NOT_ADMITTED
    return _Wait(reason, at, data={"keys": [limit.get("key") for limit in given.values()]} if given else {})


def _task_view(task: _Task) -> dict[str, object]:
    attempts = list(task.attempts.values())
    started = [attempt.started_at for attempt in attempts if attempt.started_at is not None]
    return {
        "path": task.path,
        "outcome": task.outcome,
        "reason": task.reason,
        "error": task.error,
        "started_at": _iso(min(started, default=task.entered_at)),
        "finished_at": _iso(task.finished_at),
        "attempts": [_attempt_view(attempt) for attempt in attempts],
        "waits": [_wait_view(wait) for wait in task.waits if wait.until != wait.since],
        "notes": [_note_view(note) for note in task.notes],
    }


def _attempt_view(attempt: _Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "scheduled_at": _iso(attempt.scheduled_at),
        "available_at": _iso(attempt.available_at),
        "started_at": _iso(attempt.started_at),
        "finished_at": _iso(attempt.finished_at),
        "outcome": attempt.outcome,
        "error": attempt.error,
        "worker": attempt.worker,
    }


def _wait_view(wait: _Wait) -> dict[str, object]:
    return {"reason": wait.reason, "from": to_iso(wait.since), "until": _iso(wait.until), **wait.data}


def _note_view(note: RowMapping) -> dict[str, object]:
    return {"seq": note["seq"], "type": note["type"], "at": to_iso(note["at"]), "data": _data(note)}


def _data(record: RowMapping) -> JsonObject:
    found = None if record["data"] is None else orjson.loads(record["data"])
    return found if isinstance(found, dict) else {}


def _iso(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
