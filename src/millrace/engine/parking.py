"""What the effects of control tasks mean for the store: rows of those that wait, and facts for other runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from millrace.core.effects import Alarm, CancelChild, Park, TellRun, Unpark
from millrace.core.run import RunState
from millrace.core.states import TaskStatus
from millrace.core.values import Instant, JsonObject
from millrace.engine.cell import Cell, Proposal
from millrace.ports.controls import (
    AskApproval,
    AwaitEvent,
    AwaitSignal,
    Meaning,
    SendSignal,
    SleepFor,
    SleepUntil,
    StartChild,
    correlation_text,
)
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem, TaskPayload
from millrace.ports.waits import NewWait

ControlEffect = Alarm | Park | Unpark | CancelChild | TellRun


@dataclass(slots=True)
class ControlRows:
    """What control tasks leave in the store."""

    waits: dict[str, NewWait] = field(default_factory=dict)
    unparked: list[str] = field(default_factory=list)
    told: list[InboxItem] = field(default_factory=list)

    @property
    def child_wanted(self) -> bool:
        """Whether a run is to be started for a sub-workflow."""
        return any(wait.wanted for wait in self.waits.values())

    def add(self, proposal: Proposal, effect: ControlEffect, ids: Ids) -> None:
        match effect:
            case Alarm(path=path, fire_at=fire_at):
                self.waits[path] = NewWait(path, fire_at)
            case Park(path=path, fire_at=fire_at):
                self.waits[path] = _parked(proposal, path, fire_at)
            case Unpark(path=path):
                # What the same fold parked has no row yet.
                self.waits.pop(path, None)
                self.unparked.append(path)
            case CancelChild(run_id=child, cascade=cascade):
                reason = f"the run {proposal.transition.run.id}, whose sub-workflow it is, ends it"
                data: JsonObject = {"reason": reason, "cascade": cascade.value}
                self.told.append(InboxItem(ids.new(), child, "cancel", data))
            case TellRun(path=path):
                self.told.append(_signal(proposal, path, ids.new()))
            case _:
                assert_never(effect)

    def add_end(self, cell: Cell, run: RunState, ids: Ids) -> None:
        """Tell the run whose sub-workflow this is that it has finished.

        The fact must not be called like this run: so is the one that admitted it, and no fact is folded twice.
        """
        new = cell.new
        if new is None or new.parent_run_id is None or new.parent_path is None:
            return
        data: JsonObject = {"path": new.parent_path, "run_id": run.id, "status": run.status.value}
        if run.failure is not None:
            data["error"] = run.failure.to_json()
        self.told.append(InboxItem(ids.new(), new.parent_run_id, "child_finished", data))


def _parked(proposal: Proposal, path: str, fire_at: Instant | None) -> NewWait:
    meaning = proposal.given.meanings[path]
    kind, request = _told(meaning)
    child = proposal.transition.run.tasks[path].child
    return NewWait(
        path, fire_at, kind, request, _routes(meaning), child_run_id=child, wanted=isinstance(meaning, StartChild)
    )


def _told(meaning: Meaning) -> tuple[str, JsonObject | None]:
    """What a wait is called, and what those must know who end it."""
    match meaning:
        case SleepFor() | SleepUntil():
            return "sleep", None
        case AwaitEvent(types=types, key=key, source=source, subject=subject):
            return "event", {"types": list(types), "key": key, "source": list(source), "subject": list(subject)}
        case AwaitSignal(name=name):
            return "signal", {"name": name}
        case AskApproval(message=message, form=form):
            return "approval", {"message": message, "form": form}
        case StartChild():
            return "child", {
                "workflow": meaning.workflow,
                "version": meaning.version,
                "input": meaning.input,
                "variables": meaning.variables,
                "wait": meaning.wait,
                "correlation_id": meaning.correlation_id,
                "priority": meaning.priority,
                "retry_of": meaning.retry_of,
            }
        case SendSignal():
            raise AssertionError("who signals does not wait")
        case _:
            assert_never(meaning)


def _routes(meaning: Meaning) -> Sequence[tuple[str, str]]:
    if not isinstance(meaning, AwaitEvent):
        return ()
    return [(route, correlation_text(meaning.key)) for route in meaning.types]


def _signal(proposal: Proposal, path: str, item_id: str) -> InboxItem:
    meaning = proposal.given.meanings[path]
    assert isinstance(meaning, SendSignal), "only signals are told"  # noqa: S101
    by = f"run {proposal.transition.run.id}"
    return InboxItem(item_id, meaning.run_id, "signal", {"name": meaning.name, "data": meaning.data, "by": by})


def stale_alarms(proposal: Proposal) -> Sequence[str]:
    """Tasks whose timer fired in vain: its row must go, or it fires again for ever.

    But one whose sub-workflow is being ended is found by that row, and its run, if that is yet to start, too.
    """
    stale = [path for mail in proposal.mail if (path := mail.stale_alarm) is not None]
    return [path for path in stale if not _awaits_end_of_child(proposal.transition.run, path)]


def _awaits_end_of_child(run: RunState, path: str) -> bool:
    task = run.tasks.get(path)
    return task is not None and task.status is TaskStatus.CANCELLING and task.child is not None


def control_payloads(proposal: Proposal) -> Mapping[str, TaskPayload]:
    """What control tasks took and answered."""
    given = proposal.given
    outputs = {**given.outputs, **proposal.transition.outputs}
    return {
        path: TaskPayload(
            given.inputs.get(path),
            outputs.get(path),
            given.texts.get((path, "input")),
            given.texts.get((path, "output")),
        )
        for path in {**given.inputs, **outputs}
    }
