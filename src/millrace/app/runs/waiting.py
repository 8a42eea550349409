"""Why a run waits: for a time, a person, a place under a limit, a worker. Told from the rows as they are now."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.runs import repository
from millrace.app.runs.making import NO_LIMIT
from millrace.app.runs.views import View
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.core.values import Instant, to_iso

EVERY_QUEUE = "*"
MOST_TASKS = 100
"""Tasks that are told of; a run may have ten thousand that wait for the same."""


def waiting_for(connection: Connection, run_id: str, now: Instant, type_limits: Mapping[str, int]) -> list[View]:
    """What the run or its tasks wait for, each as `{reason, message, …}`; nothing if it just runs."""
    row = repository.run_to_wait_for(connection, run_id)
    if row is None or RunStatus(row["status"]) in FINISHED_RUN:
        return []
    if row["status"] == RunStatus.PAUSED:
        return [_told("paused", "somebody paused it; it goes on when it is resumed")]
    if row["status"] == RunStatus.PENDING:
        return [_admission(connection, row, now)]
    queues = repository.served_queues(connection)
    return [
        _attempt(connection, attempt, now, type_limits, queues)
        for attempt in repository.scheduled_attempts(connection, run_id, MOST_TASKS)
    ]


def _admission(connection: Connection, row: RowMapping, now: Instant) -> View:
    if row["run_at"] is not None and row["run_at"] > now:
        until = to_iso(row["run_at"])
        return _told("delayed", f"it starts at {until}", until=until)
    key, limit = row["admission_key"], row["admission_limit"]
    if key is None:
        return _told("admission", "it is about to start")
    line = repository.line_before(connection, row, now)
    places = {"key": key, "running": line.running, "ahead": line.ahead}
    if line.running >= limit:
        message = f"{line.running} of at most {limit} runs are under way, and {line.ahead} wait before it"
        return _told("concurrency", message, **places, limit=limit)
    if row["rate_key"] is not None and (begins := repository.rate_has_room_at(connection, row, now)) > now:
        until = to_iso(begins)
        message = f"at most {row['rate_limit']} runs begin in {row['rate_period_us'] / 1e6:g} s; it begins at {until}"
        message += " at the earliest"
        return _told("rate_limit", message, key=row["rate_key"], limit=row["rate_limit"], until=until)
    if line.first_limit is not None:
        wait = "1 run waits" if line.ahead == 1 else f"{line.ahead} runs wait"
        message = f"{wait} before it, and the first of them waits for a place under its limit of {line.first_limit}"
        return _told("concurrency", message, **places, limit=line.first_limit)
    shown = {} if limit == NO_LIMIT else {"key": key, "limit": limit}
    return _told("admission", "it is about to start", **shown)


def _attempt(
    connection: Connection, row: RowMapping, now: Instant, type_limits: Mapping[str, int], queues: frozenset[str]
) -> View:
    task = row["path"]
    if row["available_at"] > now:
        until = to_iso(row["available_at"])
        return _told("delay", f"attempt {row['number']} starts at {until}", task=task, until=until)
    sizes = {"limit_key": row["limit_size"], "type_key": type_limits.get(row["type_key"] or "")}
    for column, size in sizes.items():
        if row[column] is None or size is None:
            continue
        running = repository.running_under(connection, column, row[column])
        if running >= size:
            message = f"{running} of at most {size} tasks with the key {row[column]!r} run"
            return _told("task_limit", message, task=task, key=row[column], limit=size, running=running)
    queue = row["queue"]
    if queue not in queues and EVERY_QUEUE not in queues:
        return _told("no_worker", f"no live worker serves the queue {queue!r}", task=task, queue=queue)
    return _told("worker", f"no worker of the queue {queue!r} has had a free slot yet", task=task, queue=queue)


def _told(reason: str, message: str, **details: Any) -> View:
    return {"reason": reason, "message": message, **details}
