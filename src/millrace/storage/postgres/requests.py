"""What a commit says to the database: the rows of its changes, as `storage.mapping` makes them.

Most go as arrays of the composite types in `migrations/postgres/first/commit.sql`, whose attributes stand in the order
of the rows; what is rare goes as JSON, as lists of objects that are named like the columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from millrace.core.values import JsonObject
from millrace.ports.store import NewAttempt, NewRun, RunChange, WhenFull
from millrace.storage import mapping, statements
from millrace.storage.mapping import Row

Rows: TypeAlias = list[dict[str, Any]]

PLAIN = frozenset({str, int, float, bool, type(None)})

COMMIT = "select commit_runs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"


class CommitRequest:
    """Collects changes; `arguments` are those of `COMMIT`. Raises `TypeError` for values that JSON does not have."""

    def __init__(self, changes: Iterable[RunChange], claimant: str | None = None) -> None:
        self._workers = set[str]() if claimant is None else {claimant}
        self._headers: list[Row] = []
        self._advances: list[Row] = []
        self._new_runs: Rows = []
        self._new_tasks: list[Row] = []
        self._tasks: list[Row] = []
        self._ended: list[Row] = []
        self._attempts: list[Row] = []
        self._records: list[Row] = []
        self._logs: list[Row] = []
        self._read: Rows = []
        self._timers_done: Rows = []
        self._cleared: list[str] = []
        self._timers: Rows = []
        self._withdrawn: Rows = []
        self._controls: dict[str, Rows] = {}
        for change in changes:
            self._add(change)

    @property
    def arguments(self) -> tuple[Any, ...]:
        return (
            list(self._workers), self._headers or None, self._advances or None, _json(self._new_runs),
            self._new_tasks or None, self._tasks or None, self._ended or None, self._attempts or None,
            self._records or None, self._logs or None, _json(self._read), _json(self._timers_done),
            self._cleared or None, _json(self._timers), _json(self._withdrawn),
            orjson.dumps(self._controls).decode() if self._controls else None,
        )  # fmt: skip

    def _add(self, change: RunChange) -> None:
        run_id, now = change.run.id, change.now
        claimed = _claimed(change.scheduled)
        workers = {path: worker for (path, _), worker in claimed.items()}
        self._workers.update(claimed.values())
        if change.new is not None:
            self._new_runs.append(_start(change, change.new))
            rows = [mapping.new_task_row(change, task, workers.get(task.path)) for task in change.tasks]
            self._new_tasks += rows
        else:
            if change.header_changed:
                self._headers.append(mapping.run_update_row(change))
            else:
                self._advances.append(mapping.run_advance_row(change))
            for task in change.tasks:
                worker = workers.get(task.path)
                if task.path in change.added:
                    self._new_tasks.append(mapping.new_task_row(change, task, worker))
                else:
                    self._tasks.append(mapping.task_update_row(change, task, worker))
        if change.with_controls:
            self._add_controls(change)
        self._ended += [mapping.ended_row(run_id, ended, now) for ended in change.ended]
        self._attempts += [(*mapping.new_attempt_row(run_id, attempt, now), now) for attempt in change.scheduled]
        self._records += _behind(mapping.record_rows(change, 0, claimed))
        first = 1 - len(change.logs)
        self._logs += _behind([mapping.log_row(line, seq) for seq, line in enumerate(change.logs, first)])
        self._read += [{"run_id": run_id, "id": item} for item in change.inbox_done]
        self._add_timers(change)
        self._withdrawn += [
            {"run_id": run_id, "path": path, "number": number, "at": now} for path, number in change.withdraw
        ]

    def _add_controls(self, change: RunChange) -> None:
        """In the order in which the rows are written; see `write_controls` in the migrations."""
        run_id, now = change.run.id, change.now
        waits = [mapping.wait_row(run_id, wait, now) for wait in change.waits]
        routes = [(run_id, wait.path, *route) for wait in change.waits for route in wait.routes]
        told = [mapping.inbox_row(item, now) for item in change.told]
        found: dict[str, Rows] = {
            "tasks": [_row(statements.CONTROL, row) for row in mapping.control_rows(change)],
            "unparked": [{"run_id": run_id, "path": path} for path in change.unparked],
            "waits": [_row(statements.NEW_WAIT, row) for row in waits],
            "routes": [_row(statements.NEW_ROUTE, row) for row in routes],
            "cleared": [{"run_id": run_id}] if change.clear_timers else [],
            "told": [{**_row(statements.NEW_INBOX, row), "teller": run_id} for row in told],
            "signals": []
            if change.signals is None
            else [{"run_id": run_id, "signals": mapping.signals_text(change.signals)}],
        }
        for name, rows in found.items():
            if rows:
                self._controls.setdefault(name, []).extend(rows)

    def _add_timers(self, change: RunChange) -> None:
        run_id = change.run.id
        self._timers_done += [{"run_id": run_id, "kind": kind.value} for kind in change.timers_done]
        if change.clear_timers:
            self._cleared.append(run_id)
        else:
            latest = dict(change.timers)
            self._timers += [{"run_id": run_id, "kind": kind.value, "fire_at": at} for kind, at in latest.items()]


def _start(change: RunChange, new: NewRun) -> JsonObject:
    """A new run with what guards it; see `refusal_of` in `migrations/postgres/0006_starts.py`."""
    start: JsonObject = {"run": _row(statements.NEW_RUN, mapping.new_run_row(change, new))}
    if (key := new.start_key) is not None:
        start["key"] = {
            "namespace": key.namespace, "scope": key.scope, "key": key.key, "request_hash": key.request_hash,
            "expires_at": key.expires_at,
        }  # fmt: skip
    if (firing := new.firing) is not None:
        start["firing"] = {
            "id": firing.id, "trigger_id": firing.trigger_id, "revision": firing.trigger_revision,
            "start_key": firing.start_key, "due_at": firing.due_at, "next_due_at": firing.next_due_at,
            "decided_until": firing.decided_until,
        }  # fmt: skip
    if new.workflow_updated_at is not None:
        start["workflow_updated_at"] = new.workflow_updated_at
    kept = new.origins
    origins = kept if new.retry_of is None else kept | {new.retry_of}
    if origins:
        start["origins"] = [{"id": origin, "adopted": origin in kept} for origin in sorted(origins)]
    if new.when_full is WhenFull.SKIP and new.admission_key is not None and new.admission_limit is not None:
        start["skip"] = True
    return start


def _claimed(attempts: Sequence[NewAttempt]) -> Mapping[tuple[str, int], str]:
    return {(new.path, new.number): new.claimed_by for new in attempts if new.claimed_by is not None}


def _row(columns: Sequence[str], row: Row) -> dict[str, Any]:
    """PostgreSQL would take a list or mapping for the text that it is in JSON; what is made so is a defect."""
    if not PLAIN.issuperset(map(type, row)):
        raise TypeError(f"a value that no column takes: {row!r}"[:500])
    return dict(zip(columns, row, strict=True))


def _behind(rows: Iterable[Row]) -> list[Row]:
    """Rows that are numbered up to 0; the database alone knows the last number of a run."""
    return [(run_id, -seq, *others) for run_id, seq, *others in rows]


def _json(rows: Rows) -> str | None:
    return orjson.dumps(rows).decode() if rows else None
