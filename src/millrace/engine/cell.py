"""A run at hand: its state as last committed, the mail that waits for it, and the one change in flight.

A cell is a cache and a queue, never the truth: it may be dropped at any time and loaded again, and the mail it held
comes again from where it came (the worker keeps its report, the inbox its row, the database its timers).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from millrace.core.counting import restored
from millrace.core.draft import Transition
from millrace.core.events import (
    AttemptCompleted,
    AttemptFailed,
    AttemptLost,
    Event,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.plan import Plan
from millrace.core.run import RunState
from millrace.core.states import FINISHED_RUN
from millrace.core.values import Instant, JsonValue
from millrace.ports.controls import Meaning
from millrace.ports.store import LoadedRun, LogLine, NewRun, Refusal, TaskPayload

EndEvent = AttemptCompleted | AttemptFailed | AttemptLost


@dataclass(slots=True)
class Mail:
    """An event on its way into a run, and what came with it."""

    event: Event
    token: str | None = None
    """For the end of an attempt: the token its worker holds; `None` from those who speak for a dead worker."""
    payload: TaskPayload | None = None
    logs: tuple[LogLine, ...] = ()
    inbox_id: str | None = None
    verdict: Verdict | None = None
    doubted: bool = False
    """Whether the run was loaded anew because this mail did not fit it."""

    @property
    def timer(self) -> TimerKind | None:
        """The timer of the run that fired."""
        event = self.event
        return event.kind if isinstance(event, TimerFired) and event.path is None else None

    @property
    def stale_alarm(self) -> str | None:
        """The task whose timer fired in vain."""
        late = isinstance(self.event, TimerFired) and self.verdict is not Verdict.APPLIED
        return self.event.path if late and isinstance(self.event, TimerFired) else None

    @property
    def must_be_committed(self) -> bool:
        """Whether there is something to write even if the event changes nothing: a row to delete, lines to keep."""
        return self.inbox_id is not None or isinstance(self.event, TimerFired) or bool(self.logs)


class Stage(Enum):
    LOADING = auto()
    IDLE = auto()
    DECIDING = auto()
    """Expressions of a fold are being evaluated."""
    COMMITTING = auto()


@dataclass(slots=True)
class Given:
    """What the answers to the questions of a fold bring that the core does not look at, by the path of the task."""

    inputs: dict[str, JsonValue] = field(default_factory=dict)
    """Rendered configs, and the items of loops."""
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    """Of loops that go on: what they have come to so far."""
    meanings: dict[str, Meaning] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    """What stands in the row for an `input` or `output` (path, name) that is too large for it."""


@dataclass(slots=True)
class Proposal:
    """A fold that is complete and waits for, or is in, a commit."""

    transition: Transition
    mail: list[Mail]
    now: Instant
    output: JsonValue = None
    output_text: str | None = None
    given: Given = field(default_factory=Given)


def fresh_outputs(mail: list[Mail]) -> dict[str, JsonValue]:
    """Outputs that this very fold brings."""
    return {
        item.event.path: item.payload.output
        for item in mail
        if item.verdict is Verdict.APPLIED and item.payload is not None and isinstance(item.event, AttemptCompleted)
    }


@dataclass(slots=True)
class Cell:
    run_id: str
    stage: Stage = Stage.LOADING
    plan: Plan | None = None
    run: RunState | None = None
    new: NewRun | None = None
    workflow_name: str = ""
    version_number: int = 0
    revision: int = 0
    tokens: dict[tuple[str, int], str] = field(default_factory=dict)
    outputs: dict[str, JsonValue] | None = None
    """Outputs of tasks; `None` until somebody needs them."""
    inputs: dict[str, JsonValue] | None = None
    """Inputs of loops; `None` until somebody needs them."""
    mailbox: list[Mail] = field(default_factory=list)
    proposal: Proposal | None = None
    seen: set[str] = field(default_factory=set)
    """Inbox ids that are in the mailbox or a proposal, so that polling does not deliver them twice."""
    at_work: int = 0
    """Attempts of this run that the worker of this process has not reported yet."""
    rejections: int = 0
    loaded: "asyncio.Future[None] | None" = None
    started: "asyncio.Future[Started] | None" = None
    finished: "list[asyncio.Future[RunState]]" = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return self.run is not None and self.run.status in FINISHED_RUN

    @property
    def disposable(self) -> bool:
        """Nothing is known here that the database does not know, and nobody here waits for it."""
        if self.stage is not Stage.IDLE or self.mailbox or self.started is not None:
            return False
        return self.is_finished or not (self.at_work or self.finished)

    @property
    def holds_reports(self) -> bool:
        """Whether the end of an attempt waits here that the worker of this process has handed in, and forgotten."""
        return any(mail.token is not None for mail in self.mailbox)

    def take(self, loaded: LoadedRun, plan: Plan) -> None:
        """Be the run as it is stored; the mail stays."""
        self.plan = plan
        self.run = restored(plan, loaded.header, loaded.tasks)
        self.new = loaded.new
        self.workflow_name = loaded.workflow_name
        self.version_number = loaded.version_number
        self.revision = loaded.revision
        self.tokens = dict(loaded.tokens)
        self.outputs = None
        self.inputs = None
        self.stage = Stage.IDLE

    def advance(self, proposal: Proposal) -> None:
        """Be what a commit has just made durable."""
        self.run = proposal.transition.run
        self.revision += 1
        self.rejections = 0
        given = proposal.given
        if self.outputs is not None:
            self.outputs.update(fresh_outputs(proposal.mail))
            self.outputs.update({**given.outputs, **proposal.transition.outputs})
        if self.inputs is not None:
            self.inputs.update({path: taken for path, taken in given.inputs.items() if path not in given.meanings})

    def catch_up(self, plan: Plan, loaded: LoadedRun, outputs: Mapping[str, JsonValue]) -> None:
        """Take over what has changed since `revision`: task runs, and, if outputs are known here, those."""
        assert self.run is not None, "only what is known can catch up"  # noqa: S101
        changed = {task.path: task for task in loaded.tasks}
        self.run = restored(plan, loaded.header, self.run.tasks.updated(changed).values())
        self.revision = loaded.revision
        old = {key: token for key, token in self.tokens.items() if key[0] not in changed}
        self.tokens = {**old, **loaded.tokens}
        if self.outputs is not None:
            self.outputs.update(outputs)
        self.inputs = None
        self.stage = Stage.IDLE

    def tell_starter(self, answer: "Started | Exception") -> None:
        """Answer whoever started the run, if anybody did and is still there to hear it."""
        starter, self.started = self.started, None
        if starter is None or starter.done():
            return
        if isinstance(answer, Exception):
            starter.set_exception(answer)
        else:
            starter.set_result(answer)

    def has_live(self, path: str) -> bool:
        """Whether an attempt of the task is known here as live, and with it all that it may read."""
        return self.run is not None and path in self.run.tasks and self.run.tasks[path].live

    def misfits(self, mail: Mail) -> bool:
        """Whether the mail is about an attempt that is not known here as live: it has ended, or others scheduled it."""
        event = mail.event
        if not isinstance(event, EndEvent):
            return False
        token = self.tokens.get((event.path, event.number))
        return token is None if mail.token is None else token != mail.token

    def stale(self, mail: Mail) -> bool:
        """Whether the mail reports for an attempt that is not the live one any more, by its token."""
        event = mail.event
        if mail.token is None or not isinstance(event, EndEvent):
            return False
        return self.tokens.get((event.path, event.number)) != mail.token


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to a start: the run, and whether it is one that an earlier start with the same key made."""

    run_id: str
    existed: bool = False
    same_request: bool = True
    refused: Refusal | None = None
    """Set when the rules of the moment forbade the start; then there is no such run."""
    origin: str | None = None
    """With that: the run that was deleted, or whose payloads were."""
