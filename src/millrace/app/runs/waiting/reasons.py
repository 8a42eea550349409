"""Why a run waits: for a time, a person, an event, a place under a limit, a worker. Told from the rows as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.runs.views import View
from millrace.app.runs.waiting import repository
from millrace.app.runs.waiting.engaged import told_of_wait
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.core.values import Instant, to_iso
from millrace.ports.store import NO_LIMIT

EVERY_QUEUE = "*"
MOST_TASKS = 100
"""Tasks that are told of; a run may have ten thousand that wait for the same."""


def waiting_for(connection: Connection, run_id: str, now: Instant, type_limits: Mapping[str, int]) -> list[View]:
    """What the run or its tasks wait for, each as `{reason, message, …}`; nothing if it just runs."""
    row = next(iter(repository.runs_that_wait(connection, [run_id])), None)
    if row is None or RunStatus(row["status"]) in FINISHED_RUN:
        return []
    if row["status"] == RunStatus.PAUSED:
        return [_PAUSED]
    if row["status"] == RunStatus.PENDING:
        return [_admission(connection, row, now)]
    found = repository.scheduled_attempts(connection, run_id, MOST_TASKS)
    attempts = list(map(_Attempts(connection, found, now, type_limits).told, found))
    return attempts + list(map(told_of_wait, repository.waits_of(connection, run_id, MOST_TASKS)))


def waiting_in_list(
    connection: Connection, rows: Sequence[RowMapping], now: Instant, type_limits: Mapping[str, int]
) -> Mapping[str, list[View]]:
    """What each of the runs waits for, if it does: the first reason only, without what would take a look at each.

    The number of queries is the same however many runs there are.
    """
    of_status: dict[str, list[str]] = {}
    for row in rows:
        of_status.setdefault(row["status"], []).append(row["id"])
    told: dict[str, list[View]] = {run_id: [_PAUSED] for run_id in of_status.get(RunStatus.PAUSED, ())}
    if pending := of_status.get(RunStatus.PENDING):
        waiting = repository.runs_that_wait(connection, pending)
        held = repository.places_held(connection, [row["admission_key"] for row in waiting if row["admission_key"]])
        free = repository.next_free(connection, [row["rate_key"] for row in waiting if row["rate_key"]])
        told |= {row["id"]: [_admission_in_list(row, now, held, free)] for row in waiting}
    started = [run_id for status in _STARTED for run_id in of_status.get(status, ())]
    if started:
        told |= {row["run_id"]: [told_of_wait(row)] for row in repository.first_waits(connection, started)}
    if started and (first := repository.first_scheduled(connection, started)):
        attempts = _Attempts(connection, first, now, type_limits)
        told |= {row["run_id"]: [attempts.told(row)] for row in first}
    return told


def _admission_in_list(
    row: RowMapping, now: Instant, held: Mapping[str, int], next_free: Mapping[str, Instant]
) -> View:
    if row["run_at"] is not None and row["run_at"] > now:
        return _delayed(row["run_at"])
    key, limit, rate = row["admission_key"], row["admission_limit"], row["rate_key"]
    if key is not None and (running := held.get(key, 0)) >= limit:
        message = f"{running} of at most {limit} runs are under way"
        return _told("concurrency", message, key=key, running=running, limit=limit)
    if rate is not None:
        step = row["rate_period_us"] // row["rate_limit"]
        if next_free.get(rate, 0) + step - row["rate_period_us"] > now:
            return _told("rate_limit", _rate_told(row), key=rate, limit=row["rate_limit"])
    return _told("admission", "it waits for its turn")


def _admission(connection: Connection, row: RowMapping, now: Instant) -> View:
    if row["run_at"] is not None and row["run_at"] > now:
        return _delayed(row["run_at"])
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
        message = f"{_rate_told(row)}; it begins at {until} at the earliest"
        return _told("rate_limit", message, key=row["rate_key"], limit=row["rate_limit"], until=until)
    if line.first_limit is not None:
        wait = "1 run waits" if line.ahead == 1 else f"{line.ahead} runs wait"
        message = f"{wait} before it, and the first of them waits for a place under its limit of {line.first_limit}"
        return _told("concurrency", message, **places, limit=line.first_limit)
    shown = {} if limit == NO_LIMIT else {"key": key, "limit": limit}
    return _told("admission", "it is about to start", **shown)


def _delayed(run_at: Instant) -> View:
    until = to_iso(run_at)
    return _told("delayed", f"it starts at {until}", until=until)


def _rate_told(row: RowMapping) -> str:
    return f"at most {row['rate_limit']} runs begin in {row['rate_period_us'] / 1e6:g} s"


class _Attempts:
    """Why attempts wait, with what is running beside them looked up once for all."""

    def __init__(
        self, connection: Connection, rows: Sequence[RowMapping], now: Instant, type_limits: Mapping[str, int]
    ) -> None:
        self._now = now
        self._type_limits = type_limits
        self._queues = repository.served_queues(connection) if rows else frozenset()
        self._running: dict[str, Mapping[str, int]] = {}
        for column in ("limit_key", "type_key"):
            keys = sorted({row[column] for row in rows if row[column] is not None})
            self._running[column] = repository.running_under(connection, column, keys) if keys else {}

    def told(self, row: RowMapping) -> View:
        task = row["path"]
        if row["available_at"] > self._now:
            until = to_iso(row["available_at"])
            return _told("delay", f"attempt {row['number']} starts at {until}", task=task, until=until)
        sizes = {"limit_key": row["limit_size"], "type_key": self._type_limits.get(row["type_key"] or "")}
        for column, size in sizes.items():
            key = row[column]
            if key is None or size is None:
                continue
            running = self._running[column].get(key, 0)
            if running >= size:
                message = f"{running} of at most {size} tasks with the key {key!r} run"
                return _told("task_limit", message, task=task, key=key, limit=size, running=running)
        queue = row["queue"]
        if queue not in self._queues and EVERY_QUEUE not in self._queues:
            return _told("no_worker", f"no live worker serves the queue {queue!r}", task=task, queue=queue)
        return _told("worker", f"no worker of the queue {queue!r} has had a free slot yet", task=task, queue=queue)


def _told(reason: str, message: str, **details: Any) -> View:
    return {"reason": reason, "message": message, **details}


_PAUSED = _told("paused", "somebody paused it; it goes on when it is resumed")
_STARTED = (RunStatus.RUNNING, RunStatus.WAITING, RunStatus.CANCELLING)
