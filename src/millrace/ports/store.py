"""The port of the engine's store: the rows of runs, and the promises that every database must keep about them.

`tests/conformance` holds each adapter to the docstrings below. The promises that matter most:

- **Atomic.** A `RunChange` is written whole or not at all. Many changes share one transaction, but none depends
  on another: one that is refused does not hinder the rest.
- **Gated.** A change is written only if the run's row still has the revision it was decided on, and the facts that
  it folds are still in the inbox (or, for a new run, if its start key is free). Nothing else of a refused change is
  written.
- **Fenced.** The end of an attempt is written only to the live attempt row with its token.
- **Durable.** When `commit` returns, the changes it calls committed survive the death of the machine.
- **Numbered.** Records get `seq` 1, 2, 3, … per run, in commit order and without gaps; the database counts.
- **One clock.** Leases and `available_at` are written and compared with the store's own clock.

A claim is a compare-and-set on the attempt (`scheduled` -> `running`) and bumps no revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from millrace.core.effects import Record
from millrace.core.events import TimerKind
from millrace.core.failures import Failure
from millrace.core.run import Ahead, RunState, Signal, TaskRun
from millrace.core.states import AttemptStatus
from millrace.core.values import Duration, Instant, JsonObject, JsonValue
from millrace.ports.incarnations import HeartbeatReply, Incarnation, LostAttempt
from millrace.ports.plans import plan_id
from millrace.ports.waits import DueTimer, NewWait


class StoreUnavailable(Exception):
    """The database cannot be reached or refuses all writes (disk full, read-only). The last call's end is unknown."""


class IncarnationDead(Exception):
    """The caller's incarnation was declared lost; it must stop all its attempts and register anew."""


@dataclass(frozen=True, slots=True)
class StartKey:
    """Makes a start happen once: unique by namespace, scope and key.

    The scope of a `caller` key is a workflow, of a `trigger` key a trigger, of a `repeat` key the run that is repeated.
    """

    namespace: str
    scope: str
    key: str
    request_hash: str
    expires_at: Instant


@dataclass(frozen=True, slots=True)
class NewFiring:
    """The firing of a trigger that starts a run: written in the run's own commit, with the cursor of its trigger.

    It holds only while the trigger's row is enabled and still at `trigger_revision`; otherwise nothing is started.
    """

    id: str
    trigger_id: str
    trigger_revision: int
    start_key: str
    due_at: Instant | None
    next_due_at: Instant | None
    decided_until: Instant | None


class WhenFull(StrEnum):
    """What becomes of a new run when the limit it is admitted under has no room."""

    QUEUE = "queue"
    SKIP = "skip"
    CANCEL_OLDEST = "cancel_oldest"
    CANCEL_NEWEST = "cancel_newest"


NO_LIMIT = 2**31 - 1
"""The `admission_limit` of a workflow that limits how often its runs begin, not how many there are."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Of a key, `limit` runs are admitted at once at most, and then one for each `period / limit` (GCRA).

    So there are `limit` a period in the long run, and fewer than twice as many in any one period.
    """

    key: str
    limit: int
    period: Duration


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is known of a run before it starts, and never changes afterwards."""

    id: str
    workflow_id: str
    version_id: str
    created_at: Instant
    trigger_type: str = "manual"
    trigger_id: str | None = None
    triggered_by: str | None = None
    address: str | None = None
    """Where the request came from that asked for it, and by which id it is known; `None` if none did."""
    request_id: str | None = None
    trigger: JsonObject = field(default_factory=dict)
    input: JsonObject = field(default_factory=dict)
    variables: JsonObject = field(default_factory=dict)
    correlation_id: str | None = None
    priority: int = 0
    admission_key: str | None = None
    """The limit the run is admitted under; `None` when its workflow has none."""
    admission_limit: int | None = None
    when_full: WhenFull = WhenFull.QUEUE
    rate_limit: RateLimit | None = None
    """Asks for an `admission_key`, too: both are granted at admission."""
    run_at: Instant | None = None
    """Not admitted before this time."""
    root_run_id: str | None = None
    """The first run of its family; itself when `None`."""
    parent_run_id: str | None = None
    parent_path: str | None = None
    """The task of that run that waits for the end of this one; `None` if none does."""
    retry_of: str | None = None
    causation_depth: int = 0
    adopted: Mapping[str, str] = field(default_factory=dict)
    """Tasks that count as done from the start, each with the run whose output it refers to."""
    endings: Mapping[str, TaskRun] = field(default_factory=dict)
    """How those of `adopted` ended that did not just complete: that failed, as their plan allows, or held others."""
    ahead: Mapping[str, Ahead] = field(default_factory=dict)
    """Control tasks that go on where an earlier run left them."""
    done_again: Mapping[str, str] = field(default_factory=dict)
    """Tasks that were done in the run that this one repeats and are done again all the same, each with why."""
    start_key: StartKey | None = None
    firing: NewFiring | None = None
    workflow_updated_at: Instant | None = None
    """When the workflow was last changed, as far as whoever makes the start knows; `None` if that does not matter."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What stands in the row for an `input`, `variables` or `trigger` that is too large for it (`ports.payloads`)."""

    @property
    def origins(self) -> frozenset[str]:
        """The runs that must still have what their tasks took and answered."""
        return frozenset({*self.adopted.values(), *(one.origin for one in self.ahead.values() if one.origin)})

    @property
    def plan_id(self) -> str:
        return plan_id(self.trigger_type, self.id, self.version_id)


@dataclass(frozen=True, slots=True)
class NewAttempt:
    path: str
    number: int
    token: str
    queue: str
    priority: int
    available_at: Instant
    timeout: Duration | None
    expires_at: Instant | None
    queue_until: Instant | None = None
    """When it must have been claimed."""
    limit_key: str | None = None
    limit_size: int | None = None
    """At most so many attempts with this key run at the same time."""
    type_key: str | None = None
    """Its task type, if this installation limits how many attempts of the type run at the same time."""
    claimed_by: str | None = None
    """The incarnation that claims it in this very commit (inline continuation); `None` leaves it `scheduled`."""


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """The end of a live attempt. `token` fences it; `None` only for ends that no worker reports (lost)."""

    path: str
    number: int
    token: str | None
    status: AttemptStatus
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TaskPayload:
    """What a worker hands in with an outcome: the rendered input (masked) and the output."""

    input: JsonValue = None
    output: JsonValue = None
    input_text: str | None = None
    """What stands in the row for an input that is too large for it (`ports.payloads`)."""
    output_text: str | None = None


@dataclass(frozen=True, slots=True)
class RunChange:
    """All that one fold writes about one run."""

    run: RunState
    revision: int
    """The revision the fold was decided on; 0 for a new run. The row gets `revision + 1`."""
    now: Instant
    """When it was decided, by the caller's clock. The times of `scheduled` are told by that clock, too, and written as
    so much later as the store's own is by then."""
    new: NewRun | None = None
    tasks: Sequence[TaskRun] = ()
    """For a new run all its tasks, else those that changed."""
    task_types: Mapping[str, str] = field(default_factory=dict)
    """For a new run, and for what is `added`: the type of each task by path."""
    payloads: Mapping[str, TaskPayload] = field(default_factory=dict)
    scheduled: Sequence[NewAttempt] = ()
    ended: Sequence[EndedAttempt] = ()
    withdraw: Sequence[tuple[str, int]] = ()
    """Attempts (path, number) to take back if still `scheduled`; done last, after `ended` and `scheduled`. Each one
    taken back leaves an inbox row `attempt_withdrawn` in the same transaction and is named in the answer."""
    added: frozenset[str] = frozenset()
    """Paths of those of `tasks` that are new: of blocks that have begun. Their types stand in `task_types`."""
    waits: Sequence[NewWait] = ()
    unparked: Sequence[str] = ()
    """Paths of tasks that wait no more; done before `waits`."""
    told: Sequence["InboxItem"] = ()
    """Facts for other runs, left in this very transaction for those that live, or that a wait wants to be started."""
    signals: Sequence[Signal] | None = None
    """Signals that are kept from now on; `None` leaves them as they are."""
    with_controls: bool = False
    """Whether any of the five above, or anything of a control task, is to be written."""
    timers: Sequence[tuple[TimerKind, Instant]] = ()
    timers_done: Sequence[TimerKind] = ()
    clear_timers: bool = False
    inbox_done: Sequence[str] = ()
    records: Sequence[Record] = ()
    output: JsonValue = None
    """The run's output; written when the run completes."""
    output_text: str | None = None
    """What stands in the row for an output that is too large for it (`ports.payloads`)."""
    logs: Sequence["LogLine"] = ()
    """The last log lines of attempts that ended; they become visible together with the outcome."""
    cancelled_by: str | None = None
    header_changed: bool = True
    """False promises that of the run's own row only its counters change: the ordinary step of a running run."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Claim up to `limit` available attempts of `queues`, highest priority first, then oldest."""

    incarnation_id: str
    queues: tuple[str, ...]
    """`*` stands for every queue."""
    limit: int
    type_limits: Mapping[str, int] = field(default_factory=dict)
    """Attempts of a task type that may run at the same time in this installation."""


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    run_id: str
    path: str
    number: int
    token: str
    time_left: Duration | None
    """How long it may take from its claim, by its own limit and its task's total one. Count it by a steady clock: the
    store's may be another than the claimant's."""


def time_left(claimed_at: Instant, timeout: Duration | None, expires_at: Instant | None) -> Duration | None:
    """How long an attempt may take from its claim: its own limit, or what is left of its task's total one."""
    limits = (timeout, None if expires_at is None else expires_at - claimed_at)
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A fact for a run, left by someone who does not own it. Kinds: `admitted`, `cancel`, `pause`, `resume`,
    `attempt_withdrawn` and `attempt_expired` (data: `path`, `number`), `event` (`path`, `event`), `signal` (`name`,
    `data`, `by`), `decision` (`path`, `approved`, `by`, `comment`, `form`), `child_started`, `child_refused` and
    `child_finished` (`path`, `run_id`, `error`, `status`)."""

    id: str
    run_id: str
    kind: str
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Committed:
    run_id: str
    withdrawn: tuple[InboxItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """The run changed since it was loaded: load it again and decide anew."""

    run_id: str


@dataclass(frozen=True, slots=True)
class AlreadyStarted:
    """The start key is taken, by `existing_run_id`; `same_request` tells whether for the same request.

    A new run whose own id is there already (its first commit was applied, the answer lost) is answered so too,
    with itself as the existing run and `same_request` true.
    """

    run_id: str
    existing_run_id: str
    same_request: bool


class Refusal(StrEnum):
    """Why a new run was not started, decided in its commit."""

    WORKFLOW_CHANGED = "workflow_changed"
    """The workflow was changed or deleted after its `workflow_updated_at`: decide anew."""
    TRIGGER_CHANGED = "trigger_changed"
    """The trigger was changed, disabled or removed since the firing was decided."""
    ORIGIN_DELETED = "origin_deleted"
    """The run that it repeats, or one that it takes tasks over from, is not there any more."""
    PAYLOADS_DELETED = "payloads_deleted"
    """What tasks that it takes over answered is not kept any more."""
    LIMIT_FULL = "limit_full"
    """Its limit has no room, and its workflow says `when_full: skip`."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A new run that the rules of the moment refuse; nothing of it was written, its start key included."""

    run_id: str
    reason: Refusal
    origin: str | None = None
    """The run that was deleted, or whose payloads were: what is taken over may come from an earlier one than the run
    that is repeated."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The database refuses the data of this change (a defect, or a fenced token); it was tried alone."""

    run_id: str
    reason: str


ChangeReply: TypeAlias = Committed | Conflict | AlreadyStarted | NotStarted | Rejected


@dataclass(frozen=True, slots=True)
class CommitReply:
    """One reply per change, in their order, and the attempts claimed with them."""

    changes: tuple[ChangeReply, ...]
    claimed: tuple[ClaimedAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run as stored. `header.tasks` is empty; `tasks` holds the rows, `running` read as `ready`."""

    new: NewRun
    workflow_name: str
    version_number: int
    header: RunState
    revision: int
    tasks: tuple[TaskRun, ...]
    tokens: Mapping[tuple[str, int], str]
    """Tokens of live attempts by (path, number)."""


@dataclass(frozen=True, slots=True)
class LogLine:
    run_id: str
    path: str | None
    attempt: int | None
    at: Instant
    level: str
    text: str
    metadata: JsonObject | None = None


class Store(Protocol):
    @property
    def worth_another(self) -> int | None:
        """How many changes must wait for their commit to begin while another is under way; `None` where it would only
        wait for that one. Fewer changes cost the store more by a commit of their own than the wait costs them."""
        ...

    @property
    def written(self) -> int | None:
        """Grows with whatever is written: as long as it stays, what was read holds. `None` where others may write."""
        ...

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        """Write `changes` in one transaction, and claim in the same one or right after it.

        Raises `StoreUnavailable` when the outcome is unknown or nothing was written, `IncarnationDead` (and writes
        nothing) when the claiming incarnation was declared lost.
        """
        ...

    async def load(self, run_id: str, *, newer_than: int = 0) -> LoadedRun | None:
        """The run as stored. With `newer_than` only the task runs that changes after that revision wrote, and the
        tokens of their live attempts: what is asked for costs what has changed, not the size of the run."""
        ...

    async def load_outputs(self, run_id: str, *, newer_than: int = 0) -> Mapping[str, JsonValue]:
        """The outputs of the run's completed tasks by path, and of others that have one; with `newer_than` of those
        that changed after it."""
        ...

    async def load_inputs(self, run_id: str) -> Mapping[str, JsonValue]:
        """The rendered inputs of the run's loops by path."""
        ...

    async def load_task(self, run_id: str, path: str) -> TaskPayload:
        """The rendered input and the output of one task of a run, also of one that was taken over; empty without."""
        ...

    async def goes_on(self, run_id: str) -> bool:
        """Whether there is such a run and it has not finished."""
        ...

    async def load_run_output(self, run_id: str) -> JsonValue:
        """What the run came to; `None` for one without an output, or that is not there."""
        ...

    async def post(self, items: Sequence[InboxItem]) -> frozenset[str]:
        """Leave facts in the inbox, durably; answer the ids of those whose run exists and has not finished."""
        ...

    async def read_inbox(self, limit: int) -> Sequence[InboxItem]:
        """Facts that no commit has deleted yet, oldest first."""
        ...

    async def due_timers(self, limit: int) -> Sequence[DueTimer]:
        """Timers of runs, and of tasks, whose time has come by the store's clock; of each the earliest first."""
        ...

    async def next_wake(self) -> Duration | None:
        """How long it is, by the store's clock, until a timer fires or a scheduled attempt becomes available."""
        ...

    async def admit(self, limit: int) -> Sequence[str]:
        """Admit waiting runs whose limit has room, by (priority, age); leave each an inbox row `admitted`.

        Occupancy is counted from live rows, never stored. Answers the ids of the runs admitted, `limit` at most.
        Where waiting runs say `cancel_oldest` or `cancel_newest`, the runs in their way get an inbox row `cancel`.
        """
        ...

    async def expire_attempts(self, limit: int) -> Sequence[InboxItem]:
        """Take back scheduled attempts whose `queue_until` has passed by the store's clock.

        Each leaves an inbox row `attempt_expired` in the same transaction and is named in the answer.
        """
        ...

    async def register(self, incarnation: Incarnation, lease: Duration, *, sole: bool) -> None:
        """Write the incarnation's row. `sole`: declare every earlier incarnation lost at once (embedded mode)."""
        ...

    async def heartbeat(self, incarnation_id: str, lease: Duration) -> HeartbeatReply:
        """Extend the lease. Raises `IncarnationDead` when it was declared lost before."""
        ...

    async def retire(self, incarnation_id: str) -> None:
        """The incarnation has stopped in good order and runs nothing."""
        ...

    async def now(self) -> Instant:
        """The store's clock, which leases go by."""
        ...

    async def reap(self, as_of: Instant | None = None) -> Sequence[str]:
        """Declare incarnations lost whose lease is over, and was so at `as_of` by the store's clock; answer their
        ids."""
        ...

    async def lost_attempts(self, limit: int) -> Sequence[LostAttempt]:
        """Running attempts of incarnations that are lost or retired."""
        ...

    async def overdue_attempts(self, grace: Duration, limit: int) -> Sequence[LostAttempt]:
        """Running attempts of live incarnations whose deadline passed more than `grace` ago by the store's clock."""
        ...

    async def live_incarnations(self) -> frozenset[str]: ...

    async def installation_id(self) -> str: ...

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        """Store log lines in order; each run's lines are numbered by the database."""
        ...

    async def close(self) -> None: ...
