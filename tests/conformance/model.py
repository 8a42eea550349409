"""The port of the store in memory: what its docstrings promise, in plain dictionaries and with no SQL.

It says what a commit must answer and what rows there must be afterwards. Where the port leaves a choice (which of two
equally old attempts is claimed, which limit is served first) it checks the choice that was made and follows it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from millrace.core.run import RunState, TaskRun
from millrace.core.states import FINISHED_RUN, LIVE_ATTEMPT, AttemptStatus, TaskStatus
from millrace.core.values import Duration, Instant, JsonValue
from millrace.ports.store import (
    AlreadyStarted,
    ChangeReply,
    ClaimedAttempt,
    ClaimRequest,
    Committed,
    Conflict,
    EndedAttempt,
    InboxItem,
    LogLine,
    NewAttempt,
    NewRun,
    Rejected,
    RunChange,
    StartKey,
)

Key = tuple[str, str, int]
"""An attempt: run, path, number."""


@dataclass
class Attempt:
    new: NewAttempt
    status: AttemptStatus = AttemptStatus.SCHEDULED
    worker: str | None = None
    deadline_at: Instant | None = None
    finished_at: Instant | None = None


@dataclass
class Task:
    state: TaskRun
    running: bool = False
    worker: str | None = None
    started_at: Instant | None = None
    input: JsonValue = None
    output: JsonValue = None


@dataclass
class Run:
    new: NewRun
    state: RunState
    revision: int = 0
    admitted_at: Instant | None = None
    output: JsonValue = None
    tasks: dict[str, Task] = field(default_factory=dict)
    records: list[tuple[str, str | None, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return self.state.status in FINISHED_RUN


@dataclass
class Life:
    """An incarnation."""

    lease_until: Instant
    over: bool = False


def later(new: NewAttempt, by: Duration) -> NewAttempt:
    """As it is written so much after it was decided on."""
    return replace(
        new,
        available_at=new.available_at + by,
        queue_until=None if new.queue_until is None else new.queue_until + by,
        expires_at=None if new.expires_at is None else new.expires_at + by,
    )


def is_poisonous(change: RunChange) -> bool:
    """The one kind of bad row that the histories contain."""
    return any(record.type is None for record in change.records)


class Model:
    def __init__(self, now: Instant) -> None:
        self.now = now
        self.runs: dict[str, Run] = {}
        self.attempts: dict[Key, Attempt] = {}
        self.keys: dict[tuple[str, str, str], tuple[StartKey, str]] = {}
        self.timers: dict[tuple[str, str], Instant] = {}
        self.inbox: dict[str, tuple[InboxItem, Instant]] = {}
        self.lives: dict[str, Life] = {}

    # --- commits ------------------------------------------------------------------------------------------------------

    def is_alive(self, worker: str) -> bool:
        return worker in self.lives and not self.lives[worker].over

    def commit(self, change: RunChange) -> ChangeReply:
        refusal = self._gate(change) or self._data(change)
        if refusal is not None:
            return refusal
        run_id = change.run.id
        if change.new is not None:
            run = self.runs[run_id] = Run(change.new, change.run)
            if key := change.new.start_key:
                self.keys[key.namespace, key.scope, key.key] = (key, run_id)
        run = self.runs[run_id]
        run.state, run.revision = change.run, change.revision + 1
        run.output = run.output if change.output is None else change.output
        run.logs += [line.text for line in change.logs]
        for ended in change.ended:
            self._end(run_id, ended, change.now)
        self._tasks(run, change)
        inline = self._schedule(run, change)
        self._records(run, change, inline)
        self._waits(run_id, change)
        return Committed(run_id, self._withdraw(run_id, change))

    def _gate(self, change: RunChange) -> ChangeReply | None:
        run = self.runs.get(change.run.id)
        if change.new is None:
            return None if run is not None and run.revision == change.revision else Conflict(change.run.id)
        if run is not None:
            return AlreadyStarted(change.run.id, change.run.id, same_request=True)
        key = change.new.start_key
        taken = self.keys.get((key.namespace, key.scope, key.key)) if key else None
        if key is None or taken is None or taken[0].expires_at <= self.now:
            return None
        return AlreadyStarted(change.run.id, taken[1], taken[0].request_hash == key.request_hash)

    def _data(self, change: RunChange) -> Rejected | None:
        fenced = any(not self._holds(change.run.id, ended) for ended in change.ended)
        return Rejected(change.run.id, "") if fenced or is_poisonous(change) else None

    def _holds(self, run_id: str, ended: EndedAttempt) -> bool:
        attempt = self.attempts.get((run_id, ended.path, ended.number))
        live = attempt is not None and attempt.status in LIVE_ATTEMPT
        return live and attempt is not None and ended.token in (None, attempt.new.token)

    def _end(self, run_id: str, ended: EndedAttempt, now: Instant) -> None:
        attempt = self.attempts[run_id, ended.path, ended.number]
        attempt.status, attempt.finished_at = ended.status, now

    def _tasks(self, run: Run, change: RunChange) -> None:
        for state in change.tasks:
            task = run.tasks.setdefault(state.path, Task(state))
            task.state, task.running = state, False
            payload = change.payloads.get(state.path)
            if payload is not None:
                task.input = task.input if payload.input is None else payload.input
                task.output = task.output if payload.output is None else payload.output

    def _schedule(self, run: Run, change: RunChange) -> dict[tuple[str, int], str]:
        inline: dict[tuple[str, int], str] = {}
        for new in change.scheduled:
            key = (change.run.id, new.path, new.number)
            self.attempts[key] = Attempt(later(new, self.now - change.now))
            if new.claimed_by is not None:
                inline[new.path, new.number] = new.claimed_by
                self._start(key, new.claimed_by, started_at=change.now)
        return inline

    def _records(self, run: Run, change: RunChange, inline: dict[tuple[str, int], str]) -> None:
        for record in change.records:
            data = record.data or {}
            worker = inline.get((record.path or "", data.get("attempt") or 0))  # type: ignore[arg-type]
            if record.type == "task.scheduled" and worker is not None:
                run.records.append(("task.started", record.path, {**data, "worker": worker}))
            else:
                run.records.append((record.type, record.path, record.data))

    def _waits(self, run_id: str, change: RunChange) -> None:
        for item_id in change.inbox_done:
            self.inbox.pop(item_id, None)
        for kind in change.timers_done:
            self.timers.pop((run_id, kind.value), None)
        if change.clear_timers:
            self.timers = {key: at for key, at in self.timers.items() if key[0] != run_id}
        else:
            self.timers.update({(run_id, kind.value): at for kind, at in change.timers})

    def _withdraw(self, run_id: str, change: RunChange) -> tuple[InboxItem, ...]:
        taken: list[InboxItem] = []
        for path, number in change.withdraw:
            attempt = self.attempts.get((run_id, path, number))
            if attempt is not None and attempt.status is AttemptStatus.SCHEDULED:
                attempt.status, attempt.finished_at = AttemptStatus.CANCELLED, change.now
                taken.append(InboxItem("", run_id, "attempt_withdrawn", {"path": path, "number": number}))
        return tuple(taken)

    def tell_of_withdrawals(self, items: Sequence[InboxItem]) -> None:
        """The facts of them, under the ids that the store chose."""
        self.inbox.update({item.id: (item, self.now) for item in items})

    # --- claims -------------------------------------------------------------------------------------------------------

    def _start(self, key: Key, worker: str, started_at: Instant) -> None:
        """`started_at`: when the task began, by who claimed it."""
        attempt = self.attempts[key]
        limits = [attempt.new.timeout and self.now + attempt.new.timeout, attempt.new.expires_at]
        attempt.status, attempt.worker = AttemptStatus.RUNNING, worker
        attempt.deadline_at = min((limit for limit in limits if limit is not None), default=None)
        task = self.runs[key[0]].tasks[key[1]]
        task.running, task.worker = True, worker
        task.started_at = started_at if task.started_at is None else task.started_at

    def available(self, queues: tuple[str, ...]) -> list[Key]:
        found = [
            key
            for key, attempt in self.attempts.items()
            if attempt.status is AttemptStatus.SCHEDULED
            and attempt.new.queue in queues
            and attempt.new.available_at <= self.now
        ]
        return sorted(found, key=self._rank)

    def _rank(self, key: Key) -> tuple[int, Instant]:
        new = self.attempts[key].new
        return (-new.priority, new.available_at)

    def claim(self, request: ClaimRequest, claimed: Sequence[ClaimedAttempt]) -> None:
        """Follow a claim, if it is one that the port allows."""
        wanted = self.available(request.queues)[: request.limit]
        chosen = [(one.run_id, one.path, one.number) for one in claimed]
        assert [self._rank(key) for key in chosen] == [self._rank(key) for key in wanted], (
            "not the best, or not in order"
        )
        assert set(chosen) <= set(self.available(request.queues)), "claimed what is not available"
        assert len(set(chosen)) == len(chosen), "claimed twice"
        for key, one in zip(chosen, claimed, strict=True):
            self._start(key, request.incarnation_id, self.now)
            attempt = self.attempts[key]
            left = None if attempt.deadline_at is None else attempt.deadline_at - self.now
            assert (one.token, one.time_left) == (attempt.new.token, left)
            data = {"attempt": one.number, "worker": request.incarnation_id}
            self.runs[one.run_id].records.append(("task.started", one.path, data))

    # --- the rest of the port -----------------------------------------------------------------------------------------

    def is_live(self, run_id: str) -> bool:
        return run_id in self.runs and not self.runs[run_id].finished

    def post(self, item: InboxItem) -> frozenset[str]:
        if not self.is_live(item.run_id):
            return frozenset()
        self.inbox.setdefault(item.id, (item, self.now))
        return frozenset({item.id})

    def log(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            if line.run_id in self.runs:
                self.runs[line.run_id].logs.append(line.text)

    def due_timers(self) -> list[tuple[Instant, str, str]]:
        return sorted((at, *key) for key, at in self.timers.items() if at <= self.now)

    def next_wake(self) -> Duration | None:
        scheduled = [one.new.available_at for one in self.attempts.values() if one.status is AttemptStatus.SCHEDULED]
        return min((at - self.now for at in (*self.timers.values(), *scheduled) if at > self.now), default=None)

    def admit(self, limit: int, admitted: Sequence[str]) -> None:
        """Follow an admission: each limit serves its best runs, and all the room there is is used."""
        assert len(admitted) <= limit
        waiting: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs.values():
            if run.new.admission_key and run.admitted_at is None and run.state.status == "pending":
                waiting[run.new.admission_key].append(run)
        left = 0
        for key, runs in waiting.items():
            best = sorted(runs, key=lambda run: (-run.new.priority, run.new.id))
            room = max(0, (runs[0].new.admission_limit or 0) - self._occupied(key))
            chosen = [run_id for run_id in admitted if self.runs[run_id].new.admission_key == key]
            assert chosen == [run.new.id for run in best[: len(chosen)]], "not by priority and age"
            assert len(chosen) <= room, "more than the limit"
            left += min(room, len(runs)) - len(chosen)
        assert left == 0 or len(admitted) == limit, "room was left unused"
        for run_id in admitted:
            self.runs[run_id].admitted_at = self.now

    def _occupied(self, key: str) -> int:
        return sum(
            run.new.admission_key == key and run.admitted_at is not None and not run.finished
            for run in self.runs.values()
        )

    def register(self, worker: str, lease: Duration, *, sole: bool) -> None:
        if sole:
            for life in self.lives.values():
                life.over = True
        self.lives[worker] = Life(self.now + lease)

    def reap(self) -> frozenset[str]:
        over = frozenset(name for name, life in self.lives.items() if not life.over and life.lease_until < self.now)
        for name in over:
            self.lives[name].over = True
        return over

    def held(self, worker: str) -> frozenset[Key]:
        return frozenset(
            key for key, one in self.attempts.items() if one.status is AttemptStatus.RUNNING and one.worker == worker
        )

    def to_stop(self, worker: str) -> frozenset[Key]:
        return frozenset(
            key for key in self.held(worker) if self.runs[key[0]].tasks[key[1]].state.status is TaskStatus.CANCELLING
        )

    def lost(self) -> frozenset[Key]:
        return frozenset().union(*(self.held(name) for name, life in self.lives.items() if life.over))

    def overdue(self, grace: Duration) -> frozenset[Key]:
        alive = frozenset().union(*(self.held(name) for name, life in self.lives.items() if not life.over))
        deadlines = {key: self.attempts[key].deadline_at for key in alive}
        return frozenset(key for key, at in deadlines.items() if at is not None and at + grace < self.now)
