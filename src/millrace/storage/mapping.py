"""Between the core's values and rows. Everything that is JSON in the database is written and read here alone."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from millrace.core.effects import Record
from millrace.core.failures import Failure
from millrace.core.plan import Phase
from millrace.core.run import NOTHING_AHEAD, Ahead, RunState, Signal, SkipReason, TaskRun, WindUp
from millrace.core.states import RunStatus, TaskStatus
from millrace.core.table import Table
from millrace.core.values import Duration, Instant, JsonValue
from millrace.ports.database import Columns
from millrace.ports.payloads import MARK, PutAway
from millrace.ports.store import (
    EndedAttempt,
    InboxItem,
    LogLine,
    NewAttempt,
    NewRun,
    RateLimit,
    RunChange,
    TaskPayload,
    WhenFull,
    time_left,
)
from millrace.ports.waits import NewWait

Row: TypeAlias = tuple[Any, ...]

NO_PAYLOAD = TaskPayload()

PLAIN = (None, None, None, None)

ENGAGED = frozenset({TaskStatus.RUNNING, TaskStatus.WAITING})
"""What a control task is while it is at work; of others the core does not say so."""


STARTED = "task.started"
"""The type of the record of a claim: written by the store, which alone knows who was first."""


def to_text(value: JsonValue) -> str:
    return orjson.dumps(value).decode()


def to_text_or_null(value: JsonValue) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def from_text(text: str | None) -> Any:
    """The value, or `PutAway` for one that is not in its row."""
    if text is None:
        return None
    return PutAway(text) if text[:1] == MARK else orjson.loads(text)


# --- rows of a change, in the order of the columns in `statements` ----------------------------------------------------


def new_run_row(change: RunChange, new: NewRun) -> Row:
    run = change.run
    return (
        run.id, new.workflow_id, new.version_id, run.status.value, run.phase.value, _name(run.outcome),
        _name(run.wind_up), run.cancels, 1, len(change.records), len(change.logs), new.trigger_type, new.trigger_id,
        new.triggered_by, *_given(new),
        _output(change), failure_text(run.failure), new.correlation_id, new.priority,
        new.admission_key, new.admission_limit, *_limits(new), new.run_at, new.root_run_id or run.id,
        new.parent_run_id, new.parent_path, new.retry_of, new.causation_depth, change.cancelled_by,
        _cancelled_at(change), new.created_at, run.started_at, run.finished_at, _ahead_text(run.ahead),
    )  # fmt: skip


def _ahead_text(ahead: Mapping[str, Ahead]) -> str | None:
    told: JsonValue = {path: [one.block, one.size, one.child, one.origin] for path, one in ahead.items()}
    return to_text(told) if ahead else None


def _given(new: NewRun) -> Row:
    if not new.texts:
        return (to_text(new.trigger), to_text(new.input), to_text(new.variables))
    given: dict[str, JsonValue] = {"trigger": new.trigger, "input": new.input, "variables": new.variables}
    return tuple(new.texts.get(name) or to_text(value) for name, value in given.items())


def _output(change: RunChange) -> str | None:
    return change.output_text or to_text_or_null(change.output)


def _limits(new: NewRun) -> Row:
    rate = new.rate_limit
    when_full = None if new.admission_key is None else new.when_full.value
    return (when_full, None, None, None) if rate is None else (when_full, rate.key, rate.limit, rate.period)


def run_update_row(change: RunChange) -> Row:
    run = change.run
    return (
        run.status.value, run.phase.value, _name(run.outcome), _name(run.wind_up), run.cancels,
        failure_text(run.failure), run.started_at, run.finished_at, _output(change),
        change.cancelled_by, _cancelled_at(change), len(change.records), len(change.logs), run.id, change.revision,
    )  # fmt: skip


def run_advance_row(change: RunChange) -> Row:
    return (len(change.records), len(change.logs), change.run.id, change.revision)


def new_task_row(change: RunChange, task: TaskRun, worker: str | None) -> Row:
    """`worker`: the incarnation that claims the task's attempt in this very commit."""
    return (
        change.run.id, task.path, change.task_types[task.path], _status(task, worker), task.attempt, task.live,
        task.failures, task.crashes, _name(task.skip), failure_text(task.failure), worker, _adopted(change, task),
        change.revision + 1, task.ready_at, task.available_at, change.now if worker else None, task.finished_at,
    )  # fmt: skip


def _adopted(change: RunChange, task: TaskRun) -> str | None:
    """The run whose output this task run refers to."""
    return change.new.adopted.get(task.path) if change.new is not None and change.new.adopted else None


def task_update_row(change: RunChange, task: TaskRun, worker: str | None) -> Row:
    payload = change.payloads.get(task.path, NO_PAYLOAD)
    return (
        _status(task, worker), task.attempt, task.live, task.failures, task.crashes, _name(task.skip),
        failure_text(task.failure), worker, change.revision + 1, task.ready_at, task.available_at,
        change.now if worker else None, task.finished_at,
        *_payload(payload), change.run.id, task.path,
    )  # fmt: skip


def control_rows(change: RunChange) -> list[Row]:
    """What of control tasks does not stand in the rows of plain ones, in the order of `statements.CONTROL`."""
    rows = []
    for task in change.tasks:
        # Only a change of a row that is there writes payloads by itself.
        added = change.new is not None or task.path in change.added
        payload = change.payloads.get(task.path, NO_PAYLOAD) if added else NO_PAYLOAD
        parked = task.status in ENGAGED and not task.attempt
        own = (task.block, task.size, task.awaits, task.child)
        if parked or payload is not NO_PAYLOAD or own != PLAIN:
            rows.append((*own, *_payload(payload), change.now if parked else None, change.run.id, task.path))
    return rows


def _payload(payload: TaskPayload) -> tuple[str | None, str | None]:
    return (
        payload.input_text or to_text_or_null(payload.input),
        payload.output_text or to_text_or_null(payload.output),
    )


def wait_row(run_id: str, wait: NewWait, now: Instant, since: Duration = 0) -> Row:
    """`since`: how much later it is by the store's clock."""
    request = None if wait.request is None else to_text(wait.request)
    fire_at = None if wait.fire_at is None else wait.fire_at + since
    return (run_id, wait.path, wait.kind, request, wait.child_run_id, wait.wanted, fire_at, now + since)


def signals_text(signals: Sequence[Signal]) -> str | None:
    return to_text([[signal.name, signal.data, signal.by] for signal in signals]) if signals else None


def new_attempt_row(run_id: str, attempt: NewAttempt, decided_at: Instant, since: Duration = 0) -> Row:
    """`since`: how much later it is by the store's clock; so much later is all that was decided to be at some time."""
    claimed = attempt.claimed_by is not None
    left = time_left(decided_at, attempt.timeout, attempt.expires_at) if claimed else None
    now = decided_at + since
    return (
        run_id, attempt.path, attempt.number, attempt.token, "running" if claimed else "scheduled", attempt.queue,
        attempt.priority, attempt.claimed_by, attempt.limit_key, attempt.limit_size, attempt.type_key, attempt.timeout,
        None if attempt.queue_until is None else attempt.queue_until + since,
        None if attempt.expires_at is None else attempt.expires_at + since, attempt.available_at + since,
        None if left is None else now + left, now if claimed else None,
    )  # fmt: skip


def ended_row(run_id: str, ended: EndedAttempt, now: Instant) -> Row:
    status = ended.status.value
    return (status, failure_text(ended.failure), now, run_id, ended.path, ended.number, ended.token)


def record_rows(change: RunChange, last_seq: int, claimed: Mapping[tuple[str, int], str]) -> list[Row]:
    """The change's records, numbered up to `last_seq`.

    An attempt that is claimed in the commit that makes it is told as started, by whom, and not first as scheduled.
    """
    run_id = change.run.id
    rows: list[Row] = []
    for seq, record in enumerate(change.records, last_seq - len(change.records) + 1):
        worker = _claimant(record, claimed) if claimed else None
        if worker is None:
            rows.append((run_id, seq, record.type, record.path, to_text_or_null(record.data), record.at))
        else:
            rows.append(
                (run_id, seq, STARTED, record.path, to_text({**(record.data or {}), "worker": worker}), record.at)
            )
    return rows


def log_row(line: LogLine, seq: int) -> Row:
    metadata = to_text_or_null(line.metadata)
    return (line.run_id, seq, line.path, line.attempt, line.level, line.text, metadata, line.at)


def inbox_row(item: InboxItem, now: Instant) -> Row:
    return (item.id, item.run_id, item.kind, to_text(item.data), now)


def failure_text(failure: Failure | None) -> str | None:
    return None if failure is None else to_text(failure.to_json())


def _status(task: TaskRun, worker: str | None) -> str:
    """The core reads a running task as ready; only a claim writes `running`."""
    return task.status.value if worker is None else TaskStatus.RUNNING.value


def _claimant(record: Record, claimed: Mapping[tuple[str, int], str]) -> str | None:
    if record.type != "task.scheduled" or record.path is None or record.data is None:
        return None
    return claimed.get((record.path, record.data["attempt"]))  # type: ignore[arg-type]


def _cancelled_at(change: RunChange) -> Instant | None:
    """Now if it is being ended or was cancelled; the store keeps the first. A cancel by its parent is not counted."""
    asked = change.run.cancels > 0 or change.run.status in (RunStatus.CANCELLING, RunStatus.CANCELLED)
    return change.now if asked else None


def _name(value: RunStatus | WindUp | SkipReason | None) -> str | None:
    return None if value is None else value.value


# --- and back ---------------------------------------------------------------------------------------------------------


def new_run(row: Columns) -> NewRun:
    return NewRun(
        id=row["id"],
        workflow_id=row["workflow_id"],
        version_id=row["version_id"],
        created_at=row["created_at"],
        trigger_type=row["trigger_type"],
        trigger_id=row["trigger_id"],
        triggered_by=row["triggered_by"],
        trigger=from_text(row["trigger_data"]),
        input=from_text(row["input"]),
        variables=from_text(row["variables"]),
        correlation_id=row["correlation_id"],
        priority=row["priority"],
        admission_key=row["admission_key"],
        admission_limit=row["admission_limit"],
        when_full=WhenFull(row["when_full"] or WhenFull.QUEUE),
        rate_limit=None
        if row["rate_key"] is None
        else RateLimit(row["rate_key"], row["rate_limit"], row["rate_period_us"]),
        run_at=row["run_at"],
        root_run_id=row["root_run_id"],
        parent_run_id=row["parent_run_id"],
        parent_path=row["parent_path"],
        retry_of=row["retry_of"],
        causation_depth=row["causation_depth"],
    )


def run_header(row: Columns) -> RunState:
    return RunState(
        id=row["id"],
        status=RunStatus(row["status"]),
        phase=Phase(row["phase"]),
        tasks=Table({}),
        outcome=None if row["outcome"] is None else RunStatus(row["outcome"]),
        failure=failure(row["error"]),
        wind_up=None if row["wind_up"] is None else WindUp(row["wind_up"]),
        cancels=row["cancels"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        signals=() if row["signals"] is None else tuple(Signal(*kept) for kept in orjson.loads(row["signals"])),
        ahead=ahead(row["ahead"]),
    )


def ahead(text: str | None) -> Mapping[str, Ahead]:
    """Where control tasks of a run go on, by path."""
    return NOTHING_AHEAD if text is None else {path: Ahead(*told) for path, told in orjson.loads(text).items()}


def task_runs(rows: Sequence[Columns]) -> tuple[TaskRun, ...]:
    return tuple(_task_run(row) for row in rows)


def _task_run(row: Columns) -> TaskRun:
    status = TaskStatus(row["status"])
    claimed = status is TaskStatus.RUNNING and row["live"]
    return TaskRun(
        path=row["path"],
        status=TaskStatus.READY if claimed else status,
        attempt=row["attempt"],
        live=bool(row["live"]),
        failures=row["failures"],
        crashes=row["crashes"],
        ready_at=row["ready_at"],
        available_at=row["available_at"],
        skip=None if row["skip_reason"] is None else SkipReason(row["skip_reason"]),
        failure=failure(row["error"]),
        finished_at=row["finished_at"],
        block=row["block"],
        size=row["size"],
        awaits=row["awaits"],
        child=row["child_run_id"],
    )


def failure(text: str | None) -> Failure | None:
    return None if text is None else Failure.from_json(orjson.loads(text))
