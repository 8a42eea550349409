"""Changes to commit, made as the engine makes them: events folded by the core, effects sorted by `engine.changes`.

An `Owner` stands for the engine that holds a run. What no fold can make (a poisonous row, a stale revision) is made
from its changes by `dataclasses.replace`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from millrace.core.counting import created, restored
from millrace.core.draft import Draft
from millrace.core.events import Admitted, AttemptCompleted, AttemptFailed, AttemptLost, Event
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.transition import fold
from millrace.core.values import SECOND, Instant, JsonValue
from millrace.engine.cell import Cell, Mail, Proposal
from millrace.engine.changes import Placement, change_of, sort_effects
from millrace.ports.clock import Clock
from millrace.ports.incarnations import Incarnation
from millrace.ports.store import (
    ClaimedAttempt,
    ClaimRequest,
    Committed,
    InboxItem,
    LogLine,
    NewRun,
    RunChange,
    StartKey,
    Store,
    TaskPayload,
)
from millrace.system import Uuid7Ids
from tests.conformance.kits import VERSION, VERSION_NUMBER, WORKFLOW

IDS = Uuid7Ids()
LEASE = 15 * SECOND
EVERYTHING = 1_000
FAILURE = Failure(FailureKind.ERROR, "it broke", {"status": 500})


def plan_of(*tasks: TaskPlan, **fields: Any) -> Plan:
    """The tasks as one main part; dependents follow from `needs`."""
    linked = {
        task.id: replace(task, dependents=tuple(other.id for other in tasks if task.id in other.needs))
        for task in tasks
    }
    return Plan(linked, {Phase.MAIN: tuple(linked)}, **fields)


def task(name: str, *needs: str, **fields: Any) -> TaskPlan:
    return TaskPlan(id=name, type="noop", phase=Phase.MAIN, needs=needs, **fields)


ONE = plan_of(task("a"))
TWO = plan_of(task("a"), task("b"))
CHAIN = plan_of(task("a"), task("b", "a"), task("c", "b"))


class Owner:
    """The engine that holds one run: it folds events, and takes the new state once that is committed."""

    def __init__(
        self, store: Store, clock: Clock, plan: Plan = ONE, *, type_limits: Mapping[str, int] | None = None, **new: Any
    ) -> None:
        """`type_limits`: the task types that the installation limits. `new`: fields of the `NewRun`."""
        self._store = store
        self._clock = clock
        self._placement = Placement(None, inline=False, type_limits=type_limits or {})
        run_id = new.pop("id", None) or IDS.new()
        known = NewRun(
            id=run_id, workflow_id=WORKFLOW, version_id=VERSION, created_at=new.pop("created_at", clock.now()), **new
        )
        run = created(plan, run_id, adopted=known.adopted, endings=known.endings, ahead=known.ahead, now=clock.now())
        self._cell = Cell(run_id, plan=plan, run=run, new=known, version_number=VERSION_NUMBER)
        self._proposal: Proposal | None = None

    @property
    def run_id(self) -> str:
        return self._cell.run_id

    @property
    def new(self) -> NewRun:
        assert self._cell.new is not None
        return self._cell.new

    @property
    def revision(self) -> int:
        return self._cell.revision

    def token(self, path: str, number: int = 1) -> str:
        return self._cell.tokens[path, number]

    # --- changes ------------------------------------------------------------------------------------------------------

    def starts(self, *, claimed_by: str | None = None) -> RunChange:
        """The new run, admitted at once unless it must wait for its limit."""
        return self.folds(*([] if self.new.admission_key else [Admitted()]), claimed_by=claimed_by)

    def folds(self, *mail: Event | Mail, claimed_by: str | None = None) -> RunChange:
        """The change of these events; the attempts it makes are claimed in the same commit by `claimed_by`."""
        cell = self._cell
        assert cell.plan is not None
        assert cell.run is not None
        draft = Draft(cell.plan, cell.run, self._clock.now())
        if cell.revision == 0:
            draft.record("run.created")
        items = [one if isinstance(one, Mail) else Mail(one) for one in mail]
        for item in items:
            item.verdict = fold(draft, item.event)
        self._proposal = Proposal(draft.close(), items, draft.now)
        rows = sort_effects(cell, self._proposal, self._placement, IDS)
        if claimed_by is not None:
            rows.scheduled = [replace(attempt, claimed_by=claimed_by) for attempt in rows.scheduled]
        return change_of(cell, self._proposal, rows)

    def completes(self, path: str, number: int = 1, output: JsonValue = None, *, logs: Sequence[LogLine] = ()) -> Mail:
        """The report of a worker that holds the attempt."""
        payload = TaskPayload({"of": path}, output)
        return Mail(AttemptCompleted(path, number, output), self.token(path, number), payload, tuple(logs))

    def fails(self, path: str, number: int = 1, failure: Failure = FAILURE) -> Mail:
        return Mail(AttemptFailed(path, number, failure), self.token(path, number), TaskPayload({"of": path}))

    def loses(self, path: str, number: int = 1) -> Mail:
        """What the reaper finds: nobody shows a token for it."""
        return Mail(AttemptLost(path, number))

    def took(self, change: RunChange) -> None:
        """The change is committed."""
        assert self._proposal is not None
        self._cell.run = self._proposal.transition.run
        self._cell.revision = change.revision + 1
        self._proposal = None
        for attempt in change.scheduled:
            self._cell.tokens[attempt.path, attempt.number] = attempt.token

    # --- commits ------------------------------------------------------------------------------------------------------

    async def commit(self, change: RunChange) -> Committed:
        """Commit the change by itself, and take its state."""
        (reply,) = (await self._store.commit([change])).changes
        assert isinstance(reply, Committed), reply
        self.took(change)
        return reply

    async def start(self, *, claimed_by: str | None = None) -> "Owner":
        await self.commit(self.starts(claimed_by=claimed_by))
        return self

    async def fold(self, *mail: Event | Mail, claimed_by: str | None = None) -> Committed:
        return await self.commit(self.folds(*mail, claimed_by=claimed_by))

    async def reload(self) -> None:
        """Forget what is known and read the run, as after a conflict."""
        loaded = await self._store.load(self.run_id)
        assert loaded is not None
        assert self._cell.plan is not None
        self._cell.run = restored(self._cell.plan, loaded.header, loaded.tasks)
        self._cell.revision = loaded.revision
        self._cell.tokens = dict(loaded.tokens)


# --- words ------------------------------------------------------------------------------------------------------------


def start_key(key: str = "order-1", *, expires_at: Instant, request: str = "hash-1") -> StartKey:
    return StartKey("caller", WORKFLOW, key, request, expires_at)


def inbox_item(run_id: str, kind: str = "cancel", **data: JsonValue) -> InboxItem:
    return InboxItem(IDS.new(), run_id, kind, data)


def log_line(run_id: str, text: str, at: Instant = 1, **fields: Any) -> LogLine:
    return LogLine(run_id, "a", 1, at, fields.pop("level", "info"), text, **fields)


async def registered(store: Store, *, sole: bool = False, queues: tuple[str, ...] = ("default",)) -> str:
    """The id of a new incarnation."""
    incarnation = Incarnation(IDS.new(), "host-1", 4711, queues, 8)
    await store.register(incarnation, LEASE, sole=sole)
    return incarnation.id


async def claim(
    store: Store, worker: str, *queues: str, limit: int = EVERYTHING, type_limits: Mapping[str, int] | None = None
) -> tuple[ClaimedAttempt, ...]:
    """Claim by itself, without any change."""
    request = ClaimRequest(worker, queues or ("default",), limit, type_limits or {})
    return (await store.commit([], request)).claimed
