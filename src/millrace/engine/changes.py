"""From a fold to rows: what the effects of a transition mean for the store. Plain translation, no decisions.

The one choice made here is who gets a new attempt: `Placement` claims it for the worker of this process in the same
commit when a slot is free and nothing older waits, and otherwise leaves it `scheduled`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from millrace.core.attempts import STOPPED
from millrace.core.draft import Transition
from millrace.core.effects import (
    Alarm,
    AnnounceFinished,
    CancelChild,
    ClearTimers,
    Park,
    Record,
    ScheduleAttempt,
    SetTimer,
    StopAttempt,
    TellRun,
    Unpark,
    WithdrawAttempt,
)
from millrace.core.events import AttemptCompleted, AttemptFailed, AttemptLost, CancelRequested, TimerKind, Verdict
from millrace.core.run import RunState, TaskRun
from millrace.core.states import AttemptStatus
from millrace.core.values import Instant, JsonObject
from millrace.engine.cell import Cell, Mail, Proposal
from millrace.engine.parking import ControlRows, control_payloads, stale_alarms
from millrace.ports.agents import limit_key_of
from millrace.ports.ids import Ids
from millrace.ports.store import (
    ClaimedAttempt,
    EndedAttempt,
    NewAttempt,
    RunChange,
    TaskPayload,
    time_left,
)
from millrace.ports.worker import ClaimHost

EVERY_QUEUE = "*"


@dataclass(slots=True)
class Placement:
    """Hands out the worker's free slots while a batch is built."""

    host: ClaimHost | None
    inline: bool
    """False when older attempts wait in the queue: those go first, so new ones must queue behind them."""
    type_limits: Mapping[str, int] = field(default_factory=dict)
    """Task types of which only so many attempts may run at the same time, and keys of agents that have a limit."""
    left_waiting: bool = False
    """Whether an attempt that could start now was left in the queue."""
    left_to_others: bool = False
    """Whether one of those is in a queue that the worker of this process does not serve."""

    def claimant(self, effect: ScheduleAttempt, now: Instant, *, limited: bool) -> str | None:
        """Who claims the attempt in this very commit. Under a limit nobody: the claim that follows counts first."""
        if effect.available_at > now:
            return None
        host = self.host
        if host is not None and self.inline and not limited and _serves(host, effect.queue) and host.reserve(1):
            return host.incarnation_id
        self.left_waiting = True
        self.left_to_others |= host is None or not _serves(host, effect.queue)
        return None


def _serves(host: ClaimHost, queue: str) -> bool:
    return queue in host.queues or EVERY_QUEUE in host.queues


@dataclass(slots=True)
class Rows:
    """The effects of one transition, sorted by what they become."""

    scheduled: list[NewAttempt] = field(default_factory=list)
    withdraw: list[tuple[str, int]] = field(default_factory=list)
    stopping: list[tuple[str, int]] = field(default_factory=list)
    timers: list[tuple[TimerKind, Instant]] = field(default_factory=list)
    clear_timers: bool = False
    finished: bool = False
    controls: ControlRows = field(default_factory=ControlRows)


def sort_effects(cell: Cell, proposal: Proposal, placement: Placement, ids: Ids) -> Rows:
    rows = Rows()
    taken_back = {
        (effect.path, effect.number)
        for effect in proposal.transition.effects
        if isinstance(effect, StopAttempt | WithdrawAttempt)
    }
    for effect in proposal.transition.effects:
        match effect:
            case ScheduleAttempt(path=path, number=number):
                # An attempt that the same fold takes back must not be claimed: the withdrawal would miss it.
                keep = (path, number) not in taken_back
                rows.scheduled.append(_new_attempt(cell, effect, placement, proposal.now, ids.new(), keep=keep))
            case WithdrawAttempt(path=path, number=number):
                rows.withdraw.append((path, number))
            case StopAttempt(path=path, number=number):
                rows.withdraw.append((path, number))
                rows.stopping.append((path, number))
            case SetTimer(kind=kind, fire_at=fire_at):
                rows.timers.append((kind, fire_at))
            case ClearTimers():
                rows.clear_timers = True
            case AnnounceFinished():
                rows.finished = True
                rows.controls.add_end(cell, proposal.transition.run, ids)
            case Alarm() | Park() | Unpark() | CancelChild() | TellRun():
                rows.controls.add(proposal, effect, ids)
            case _:
                assert_never(effect)
    return rows


def _new_attempt(
    cell: Cell, effect: ScheduleAttempt, placement: Placement, now: Instant, token: str, *, keep: bool
) -> NewAttempt:
    assert cell.plan is not None, "a fold needs a plan"  # noqa: S101
    task = cell.plan.task_at(effect.path)
    run_priority = cell.new.priority if cell.new else 0
    # What is not done takes no place of what is.
    keys = () if task.mock is not None else (limit_key_of(task), task.type)
    type_key = next((key for key in keys if key in placement.type_limits), None)
    limited = task.limit is not None or type_key is not None
    return NewAttempt(
        path=effect.path,
        number=effect.number,
        token=token,
        queue=effect.queue,
        priority=run_priority if task.priority is None else task.priority,
        available_at=effect.available_at,
        timeout=effect.timeout,
        expires_at=effect.expires_at,
        queue_until=effect.queue_until,
        limit_key=None if task.limit is None else task.limit.key,
        limit_size=None if task.limit is None else task.limit.size,
        type_key=type_key,
        claimed_by=placement.claimant(effect, now, limited=limited) if keep else None,
    )


def change_of(cell: Cell, proposal: Proposal, rows: Rows) -> RunChange:
    """The one write of this fold."""
    transition = proposal.transition
    is_new = cell.revision == 0
    kept = transition.run.signals
    signals = kept if kept != (cell.run.signals if cell.run is not None else ()) else None
    applied = [mail for mail in proposal.mail if mail.verdict is Verdict.APPLIED]
    assert cell.plan is not None, "a fold needs a plan"  # noqa: S101
    payloads = {**_payloads(applied), **control_payloads(proposal)}
    tasks = tuple(transition.run.tasks.values()) if is_new else (*transition.tasks, *_noted(transition, payloads))
    new_tasks = [task for task in tasks if is_new or task.path in transition.added]
    return RunChange(
        run=transition.run,
        revision=cell.revision,
        now=proposal.now,
        new=cell.new if is_new else None,
        tasks=tasks,
        added=transition.added,
        task_types={task.path: cell.plan.task_at(task.path).type for task in new_tasks},
        payloads=payloads,
        scheduled=rows.scheduled,
        ended=[ended for mail in applied if (ended := _ended(mail)) is not None],
        withdraw=rows.withdraw,
        timers=rows.timers,
        timers_done=[mail.timer for mail in proposal.mail if mail.timer is not None],
        waits=tuple(rows.controls.waits.values()),
        unparked=(*rows.controls.unparked, *stale_alarms(proposal)),
        told=rows.controls.told,
        signals=signals,
        with_controls=cell.plan.has_controls or bool(rows.controls.told) or signals is not None,
        clear_timers=rows.clear_timers,
        inbox_done=[mail.inbox_id for mail in proposal.mail if mail.inbox_id is not None],
        records=_with_limits(transition.records, rows.scheduled),
        output=proposal.output,
        output_text=proposal.output_text,
        logs=[line for mail in proposal.mail for line in mail.logs],
        cancelled_by=_canceller(applied),
        header_changed=is_new or header_of(transition.run) != header_of(cell.run),
    )


def _noted(transition: Transition, payloads: Mapping[str, TaskPayload]) -> list[TaskRun]:
    """Task runs of which the core has changed nothing, but that have come to something: a while that goes on."""
    changed = {task.path for task in transition.tasks}
    return [transition.run.tasks[path] for path in payloads if path not in changed]


def header_of(run: RunState | None) -> tuple[object, ...]:
    """What of a run is written to its own row."""
    if run is None:
        return ()
    return (
        run.status, run.phase, run.outcome, run.failure, run.wind_up, run.cancels, run.started_at, run.finished_at
    )  # fmt: skip


def claimed_inline(run_id: str, attempt: NewAttempt, now: Instant) -> ClaimedAttempt:
    """What the store writes for an attempt that is claimed in the commit that makes it."""
    left = time_left(now, attempt.timeout, attempt.expires_at)
    return ClaimedAttempt(run_id, attempt.path, attempt.number, attempt.token, left)


def _with_limits(records: Sequence[Record], scheduled: Sequence[NewAttempt]) -> Sequence[Record]:
    """The records, of which those of attempts that wait for a place under a limit say under which."""
    limits: dict[object, JsonObject] = {(new.path, new.number): of for new in scheduled if (of := _limits_of(new))}
    if not limits:
        return records
    told = []
    for record in records:
        data = record.data or {}
        found = limits.get((record.path, data.get("attempt"))) if record.type == "task.scheduled" else None
        told.append(record if found is None else replace(record, data={**data, **found}))
    return told


def _limits_of(new: NewAttempt) -> JsonObject:
    keys = {"limit_key": new.limit_key, "limit": new.limit_size, "type_key": new.type_key}
    return {name: value for name, value in keys.items() if value is not None}


def _payloads(applied: list[Mail]) -> dict[str, TaskPayload]:
    return {
        mail.event.path: mail.payload
        for mail in applied
        if mail.payload is not None and isinstance(mail.event, AttemptCompleted | AttemptFailed)
    }


def _ended(mail: Mail) -> EndedAttempt | None:
    match mail.event:
        case AttemptCompleted(path=path, number=number):
            return EndedAttempt(path, number, mail.token, AttemptStatus.COMPLETED)
        case AttemptFailed(path=path, number=number, failure=failure):
            status = AttemptStatus.CANCELLED if failure.kind in STOPPED else AttemptStatus.FAILED
            return EndedAttempt(path, number, mail.token, status, failure)
        case AttemptLost(path=path, number=number):
            return EndedAttempt(path, number, mail.token, AttemptStatus.LOST)
        case _:
            return None


def _canceller(applied: list[Mail]) -> str | None:
    return next((mail.event.by for mail in applied if isinstance(mail.event, CancelRequested)), None)
