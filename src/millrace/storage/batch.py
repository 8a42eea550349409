"""One commit on SQLite: the job that the writer thread runs for the engine, in one transaction.

    is the claiming incarnation alive? → gate each change → write the rows of those that passed → claim → commit

A gate decides alone whether a change is written: the run's row at the expected revision, or a free start key. The
rows of all changes that passed are written table by table, many at a time. If the database refuses any row, or an
attempt's end is fenced off, the whole is rolled back and each change is written by itself, so that only the one with
the bad row is rejected.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from millrace.core.events import TimerKind
from millrace.core.values import Duration, Instant
from millrace.ports.store import (
    AlreadyStarted,
    ChangeReply,
    ClaimRequest,
    CommitReply,
    Committed,
    Conflict,
    InboxItem,
    IncarnationDead,
    NewFiring,
    NewRun,
    NotStarted,
    Refusal,
    Rejected,
    RunChange,
    WhenFull,
)
from millrace.storage import mapping, statements
from millrace.storage.claims import claim_attempts
from millrace.storage.mapping import Row

BAD_DATA = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError,
    TypeError, ValueError,
)  # fmt: skip
"""What the driver raises for values it cannot store; `ProgrammingError` is its answer to a type it does not know."""


class Fenced(ValueError):
    """The end of an attempt was reported by someone who does not hold it."""


class Accepted:
    """A change whose gate it passed, with the numbers its records and logs end at."""

    __slots__ = ("change", "last_log", "last_seq")

    def __init__(self, change: RunChange, last_seq: int, last_log: int) -> None:
        self.change = change
        self.last_seq = last_seq
        self.last_log = last_log


def write_batch(raw: sqlite3.Connection, changes: Sequence[RunChange], claim: ClaimRequest | None) -> CommitReply:
    """The whole commit; durable when it returns. Raises `IncarnationDead`, and sqlite3's operational errors."""
    raw.execute("begin immediate")
    _require_live(raw, changes, claim)
    try:
        replies = _write_together(raw, changes)
    except BAD_DATA:
        raw.execute("rollback")
        raw.execute("begin immediate")
        replies = [_write_alone(raw, change) for change in changes]
    claimed = () if claim is None else claim_attempts(raw, claim)
    raw.execute("commit")
    return CommitReply(tuple(replies), tuple(claimed))


def _require_live(raw: sqlite3.Connection, changes: Sequence[RunChange], claim: ClaimRequest | None) -> None:
    claimants = {attempt.claimed_by for change in changes for attempt in change.scheduled if attempt.claimed_by}
    if claim is not None:
        claimants.add(claim.incarnation_id)
    for incarnation_id in claimants:
        if raw.execute(statements.IS_LIVE, (incarnation_id,)).fetchone() is None:
            raise IncarnationDead(incarnation_id)


def _write_together(raw: sqlite3.Connection, changes: Sequence[RunChange]) -> list[ChangeReply]:
    replies: list[ChangeReply] = []
    accepted: list[Accepted] = []
    for change in changes:
        outcome = _gate(raw, change)
        if isinstance(outcome, Accepted):
            accepted.append(outcome)
            replies.append(Committed(change.run.id))
        else:
            replies.append(outcome)
    _write_rows(raw, accepted)
    for position, change in enumerate(changes):
        if change.withdraw and isinstance(replies[position], Committed):
            replies[position] = Committed(change.run.id, _withdraw(raw, change))
    return replies


def _write_alone(raw: sqlite3.Connection, change: RunChange) -> ChangeReply:
    raw.execute("savepoint one_change")
    try:
        reply = _write_together(raw, [change])[0]
    except BAD_DATA as error:
        raw.execute("rollback to one_change")
        reply = Rejected(change.run.id, str(error))
    raw.execute("release one_change")
    return reply


# --- gates ------------------------------------------------------------------------------------------------------------


def _gate(raw: sqlite3.Connection, change: RunChange) -> Accepted | ChangeReply:
    if change.new is not None:
        return _gate_new(raw, change, change.new)
    if any(raw.execute(statements.IN_INBOX, (item,)).fetchone() is None for item in change.inbox_done):
        # Another commit has folded the fact: what was decided on it is decided twice.
        return Conflict(change.run.id)
    if change.header_changed:
        row = raw.execute(statements.UPDATE_RUN, mapping.run_update_row(change)).fetchone()
    else:
        row = raw.execute(statements.ADVANCE_RUN, mapping.run_advance_row(change)).fetchone()
    return Conflict(change.run.id) if row is None else Accepted(change, row[0], row[1])


def _gate_new(raw: sqlite3.Connection, change: RunChange, new: NewRun) -> Accepted | ChangeReply:
    itself = AlreadyStarted(new.id, new.id, same_request=True)
    key = new.start_key
    # Asked first: the run's own key may be another's by now, and the room it lacks may be what it takes itself.
    may_be_refused = key is not None or new.when_full is WhenFull.SKIP or new.retry_of is not None
    changed = _workflow_changed(raw, new)
    if (may_be_refused or changed) and raw.execute(statements.RUN_EXISTS, (new.id,)).fetchone() is not None:
        return itself
    refusal = _refusal(raw, new, changed=changed)
    if refusal is not None:
        return refusal
    if key is not None:
        values = (key.namespace, key.scope, key.key, key.request_hash, new.id, key.expires_at)
        if raw.execute(statements.TAKE_START_KEY, values).fetchone() is None:
            holder, request_hash = raw.execute(statements.START_KEY, values[:3]).fetchone()
            return AlreadyStarted(new.id, holder, request_hash == key.request_hash)
    if raw.execute(statements.INSERT_RUN, mapping.new_run_row(change, new)).rowcount == 0:
        return itself
    if new.firing is not None:
        _note_firing(raw, new, new.firing)
    return Accepted(change, len(change.records), len(change.logs))


def _workflow_changed(raw: sqlite3.Connection, new: NewRun) -> bool:
    if new.workflow_updated_at is None:
        return False
    as_known = (new.workflow_id, new.workflow_updated_at)
    return raw.execute(statements.WORKFLOW_AS_KNOWN, as_known).fetchone() is None


def _refusal(raw: sqlite3.Connection, new: NewRun, *, changed: bool) -> ChangeReply | None:
    """What the rules of the moment say against the start. Only reads: one writer, so what it sees holds to the commit.

    A taken start key goes first: the run it names was started, whatever has changed since.
    """
    key, firing = new.start_key, new.firing
    if not changed and firing is None and new.retry_of is None and new.when_full is not WhenFull.SKIP:
        return None
    if key is not None:
        taken = raw.execute(statements.TAKEN_KEY, (key.namespace, key.scope, key.key)).fetchone()
        if taken is not None:
            return AlreadyStarted(new.id, taken[0], taken[1] == key.request_hash)
    if changed:
        return NotStarted(new.id, Refusal.WORKFLOW_CHANGED)
    if firing is not None:
        holds = raw.execute(statements.TRIGGER_HOLDS, (firing.trigger_id, firing.trigger_revision)).fetchone()
        if holds is None:
            return NotStarted(new.id, Refusal.TRIGGER_CHANGED)
    lost = _lost_origin(raw, new)
    if lost is not None:
        return lost
    if new.when_full is WhenFull.SKIP and new.admission_key is not None and new.admission_limit is not None:
        counts = (statements.OCCUPIED, statements.QUEUED_RUNS)
        live = sum(raw.execute(count, (new.admission_key,)).fetchone()[0] for count in counts)
        if live >= new.admission_limit:
            return NotStarted(new.id, Refusal.LIMIT_FULL)
    return None


def _lost_origin(raw: sqlite3.Connection, new: NewRun) -> NotStarted | None:
    """Why the run cannot repeat what it is to repeat: retention may have deleted that since it was read."""
    if new.retry_of is not None and raw.execute(statements.RUN_EXISTS, (new.retry_of,)).fetchone() is None:
        return NotStarted(new.id, Refusal.ORIGIN_DELETED, new.retry_of)
    for origin in sorted(new.origins):
        kept = raw.execute(statements.KEPT_PAYLOADS, (origin,)).fetchone()
        if kept is None:
            return NotStarted(new.id, Refusal.ORIGIN_DELETED, origin)
        if not kept[0]:
            return NotStarted(new.id, Refusal.PAYLOADS_DELETED, origin)
    return None


def _note_firing(raw: sqlite3.Connection, new: NewRun, firing: NewFiring) -> None:
    cursor = (new.id, firing.next_due_at, firing.decided_until or 0, firing.trigger_id)
    raw.execute(statements.FIRED, cursor)
    row = (firing.id, firing.trigger_id, new.workflow_id, firing.start_key, firing.due_at, new.id)
    raw.execute(statements.INSERT_FIRING, row)


# --- rows -------------------------------------------------------------------------------------------------------------


def _write_rows(raw: sqlite3.Connection, accepted: Sequence[Accepted]) -> None:
    """Ends before new attempts, for a task run has at most one live attempt at any time."""
    (now,) = raw.execute("select now_us()").fetchone()
    rows = _Rows(now)
    for one in accepted:
        rows.add(one)
    _end_attempts(raw, rows.ended)
    for statement, values in rows.plain():
        if values:
            raw.executemany(statement, values)


def _end_attempts(raw: sqlite3.Connection, ended: list[Row]) -> None:
    if not ended:
        return
    written = raw.executemany(statements.END_ATTEMPT, ended).rowcount
    if written != len(ended):
        raise Fenced(f"{len(ended) - written} of {len(ended)} attempts are not live, or held by another worker")


class _Rows:
    """The rows of a batch, by the statement that writes them."""

    def __init__(self, now: Instant) -> None:
        self._now = now
        self.ended: list[Row] = []
        self._new_tasks: list[Row] = []
        self._tasks: list[Row] = []
        self._attempts: list[Row] = []
        self._records: list[Row] = []
        self._logs: list[Row] = []
        self._read: list[Row] = []
        self._timers_done: list[Row] = []
        self._cleared: list[Row] = []
        self._timers: list[Row] = []
        self._controls: list[Row] = []
        self._unparked: list[Row] = []
        self._waits: list[Row] = []
        self._routes: list[Row] = []
        self._cleared_waits: list[Row] = []
        self._told: list[Row] = []
        self._signals: list[Row] = []

    def add(self, accepted: Accepted) -> None:
        change = accepted.change
        run_id, now = change.run.id, change.now
        claimed = {(new.path, new.number): new.claimed_by for new in change.scheduled if new.claimed_by is not None}
        workers = {path: worker for (path, _), worker in claimed.items()}
        new, added = change.new is not None, change.added
        for task in change.tasks:
            worker = workers.get(task.path)
            if new or task.path in added:
                self._new_tasks.append(mapping.new_task_row(change, task, worker))
            else:
                self._tasks.append(mapping.task_update_row(change, task, worker))
        if change.with_controls:
            self._add_controls(change, since=self._now - now)
        self.ended += [mapping.ended_row(run_id, ended, now) for ended in change.ended]
        since = self._now - now
        self._attempts += [mapping.new_attempt_row(run_id, attempt, now, since) for attempt in change.scheduled]
        self._records += mapping.record_rows(change, accepted.last_seq, claimed)
        if change.logs:
            first = accepted.last_log - len(change.logs) + 1
            self._logs += [mapping.log_row(line, seq) for seq, line in enumerate(change.logs, first)]
        self._read += [(item,) for item in change.inbox_done]
        self._add_timers(change)

    def _add_controls(self, change: RunChange, since: Duration) -> None:
        run_id = change.run.id
        self._controls += mapping.control_rows(change)
        self._unparked += [(run_id, path) for path in change.unparked]
        self._waits += [mapping.wait_row(run_id, wait, change.now, since) for wait in change.waits]
        self._routes += [(run_id, wait.path, *route) for wait in change.waits for route in wait.routes]
        self._told += [mapping.inbox_row(item, self._now) for item in change.told]
        if change.clear_timers:
            self._cleared_waits.append((run_id,))
        if change.signals is not None:
            self._signals.append((mapping.signals_text(change.signals), run_id))

    def _add_timers(self, change: RunChange) -> None:
        run_id = change.run.id
        self._timers_done += [(run_id, kind.value) for kind in change.timers_done]
        if change.clear_timers:
            self._cleared.append((run_id,))
        else:
            self._timers += [(run_id, kind.value, fire_at) for kind, fire_at in _latest(change.timers)]

    def plain(self) -> Iterable[tuple[str, list[Row]]]:
        return (
            (statements.INSERT_TASK, self._new_tasks),
            (statements.UPDATE_TASK, self._tasks),
            (statements.UPDATE_CONTROL, self._controls),
            (statements.INSERT_ATTEMPT, self._attempts),
            (statements.INSERT_RECORD, self._records),
            (statements.INSERT_LOG, self._logs),
            (statements.DELETE_INBOX, self._read),
            (statements.DELETE_TIMER, self._timers_done),
            (statements.CLEAR_TIMERS, self._cleared),
            (statements.SET_TIMER, self._timers),
            (statements.DELETE_WAIT, self._unparked),
            (statements.DELETE_ROUTES, self._unparked),
            (statements.INSERT_WAIT, self._waits),
            (statements.INSERT_ROUTE, self._routes),
            (statements.CLEAR_WAITS, self._cleared_waits),
            (statements.CLEAR_ROUTES, self._cleared_waits),
            (statements.TELL, self._told),
            (statements.SET_SIGNALS, self._signals),
        )


def _latest(timers: Sequence[tuple[TimerKind, Instant]]) -> Iterable[tuple[TimerKind, Instant]]:
    return dict(timers).items() if timers else ()


def _withdraw(raw: sqlite3.Connection, change: RunChange) -> tuple[InboxItem, ...]:
    attempts = [(change.run.id, path, number) for path, number in change.withdraw]
    return tuple(_take_back(raw, attempts, "attempt_withdrawn", change.now))


def expire(raw: sqlite3.Connection, attempts: Sequence[tuple[str, str, int]]) -> Sequence[InboxItem]:
    """Take back those of `attempts` that are still scheduled: their time to be claimed is over."""
    (now,) = raw.execute("select now_us()").fetchone()
    return _take_back(raw, attempts, "attempt_expired", now)


def _take_back(
    raw: sqlite3.Connection, attempts: Sequence[tuple[str, str, int]], kind: str, now: Instant
) -> list[InboxItem]:
    """Take back what no worker has claimed. The fact of it takes the attempt's token as its id: it happens once."""
    taken: list[InboxItem] = []
    for run_id, path, number in attempts:
        row = raw.execute(statements.WITHDRAW, (now, run_id, path, number)).fetchone()
        if row is not None:
            taken.append(InboxItem(row[0], run_id, kind, {"path": path, "number": number}))
    raw.executemany(statements.INSERT_INBOX, [mapping.inbox_row(item, now) for item in taken])
    return taken
