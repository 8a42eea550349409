"""The engine: the imperative shell around the core. It keeps runs at hand, brings events to them, commits what follows.

    start / report / receive / fire            facts come in, from callers, workers, the inbox, timers
      → mail in a cell                         one cell per run; loaded from the store when it is not at hand
      → fold (core, pure)                      all mail of a run at once
      → group commit (committer)               state, records and effects in one transaction
      → launch, stop, announce                 only now is anything acted on

Rules it protects: a run has one change in flight, and mail that arrives meanwhile waits and folds together; the
cached state is replaced only after the store has answered; an event may come twice, late or out of order; nothing
that was accepted depends on this process staying alive.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence

from millrace.core.counting import created
from millrace.core.draft import Draft
from millrace.core.errors import InvalidRequest, Unavailable
from millrace.core.events import (
    Admitted,
    AttemptCompleted,
    AttemptFailed,
    AttemptLost,
    Delayed,
    Event,
    TimerFired,
    TimerKind,
    Verdict,
)
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Plan
from millrace.core.run import RunState
from millrace.engine.cell import Cell, EndEvent, Mail, Proposal, Stage, Started
from millrace.engine.committer import CommitCounts, Committer, Entry
from millrace.engine.deciding import Decider, changes_anything, open_fold
from millrace.engine.idle import IdleCells
from millrace.engine.inbox import Folded, event_of
from millrace.engine.loading import load_with_reports, loaded_anew, patiently
from millrace.engine.views import scope_of
from millrace.engine.waiting import Elsewhere, Unfinished
from millrace.engine.wakeups import Wakeups
from millrace.ports.bus import Bus
from millrace.ports.clock import Clock
from millrace.ports.controls import ControlConfigs
from millrace.ports.evaluator import Evaluator, Scope
from millrace.ports.ids import Ids
from millrace.ports.payloads import Payloads
from millrace.ports.plans import Plans
from millrace.ports.runner import Completed
from millrace.ports.store import (
    AlreadyStarted,
    ClaimedAttempt,
    Committed,
    InboxItem,
    IncarnationDead,
    NewRun,
    NotStarted,
    Rejected,
    Store,
)
from millrace.ports.worker import ClaimHost, Report

logger = logging.getLogger(__name__)

MAX_BACKLOG = 10_000
"""Runs waiting for a commit beyond which new starts are refused, so that memory stays bounded when the disk is slow."""


class Engine:
    def __init__(
        self,
        store: Store,
        plans: Plans,
        evaluator: Evaluator,
        clock: Clock,
        ids: Ids,
        bus: Bus,
        wakeups: Wakeups,
        *,
        controls: ControlConfigs,
        type_limits: Mapping[str, int] | None = None,
        payloads: Payloads | None = None,
        unfinished: Unfinished | None = None,
    ) -> None:
        """`type_limits`: attempts of a task type, or under the key of an agent, that may run at the same time in this
        installation; read anew for each commit. `payloads`: where outputs of runs go that are too large for their rows.
        `unfinished`: asked where other processes may end runs."""
        self._store = store
        self._plans = plans
        self._clock = clock
        self._bus = bus
        self._wakeups = wakeups
        self._cells: dict[str, Cell] = {}
        self._idle = IdleCells()
        self._elsewhere = None if unfinished is None else Elsewhere(bus, unfinished)
        self._folded = Folded()
        self._decider = Decider(store, evaluator, controls, ids, payloads)
        self._committer = Committer(store, ids, self, {} if type_limits is None else type_limits)
        self._tasks: asyncio.TaskGroup | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def attach(self, host: ClaimHost) -> None:
        """Commits claim work for this worker from now on."""
        self._committer.host = host
        self._committer.look_for_work()

    async def run(self) -> None:
        """Commit until cancelled. Everything the engine does in the background belongs to this call."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._committer.run())
            for cell in self._cells.values():
                if cell.stage is Stage.LOADING:
                    self._load_soon(cell)

    async def settle(self) -> None:
        """Wait until everything that was handed in is committed."""
        while any(cell.mailbox or cell.stage is not Stage.IDLE for cell in self._cells.values()):
            await self._committer.next_batch()

    @property
    def counts(self) -> CommitCounts:
        return self._committer.counts

    @property
    def waiting(self) -> int:
        """How many wait for the end of a run."""
        return sum(len(cell.finished) for cell in self._cells.values())

    def look_for_work(self) -> None:
        """Scheduled attempts may have become available."""
        self._committer.look_for_work()

    # --- facts that come in ---------------------------------------------------------------------------------------

    async def start(self, new: NewRun, plan: Plan, *, workflow_name: str, version_number: int) -> Started:
        """Start a run; durable when this returns. The same start key gives the same run.

        Raises `Unavailable` when the engine cannot keep up, is being stopped, or the store is away: then the run may or
        may not have been started, and a start key tells on the next try.
        """
        if self._committer.backlog >= MAX_BACKLOG:
            raise Unavailable("overloaded", "too many runs wait to be written; try again later")
        run = created(plan, new.id, adopted=new.adopted, endings=new.endings, ahead=new.ahead, now=new.created_at)
        cell = Cell(new.id, Stage.IDLE, plan, run, new, workflow_name, version_number)
        # What was adopted lies with another run: it is read when an expression wants it.
        cell.outputs, cell.inputs = (None if new.adopted else {}), {}
        if new.admission_key is None:
            cell.mailbox.append(Mail(Admitted() if new.run_at is None else Delayed(new.run_at)))
        cell.started = asyncio.get_running_loop().create_future()
        self._cells[new.id] = cell
        self._committer.request(cell)
        return await cell.started

    def report(self, report: Report) -> None:
        """Take the end of an attempt from the worker of this process."""
        attempt = report.attempt
        outcome = report.outcome
        event: EndEvent
        if isinstance(outcome, Completed):
            event = AttemptCompleted(attempt.path, attempt.number, outcome.output)
        else:
            event = AttemptFailed(attempt.path, attempt.number, outcome.failure)
        cell = self._cell(attempt.run_id)
        cell.at_work = max(0, cell.at_work - 1)
        self._deliver(cell, Mail(event, attempt.token, report.payload, tuple(report.logs)))
        self._committer.slot_freed()

    def abandoned(self, run_id: str) -> None:
        """An attempt has ended in the worker of this process, which may not report it any more."""
        cell = self._cells.get(run_id)
        if cell is not None:
            cell.at_work = max(0, cell.at_work - 1)
            self._dispose(cell)
        self._committer.slot_freed()

    def receive(self, items: Sequence[InboxItem]) -> None:
        """Bring facts from the inbox to their runs; the commit that folds one deletes its row."""
        for item in items:
            if item.id in self._folded:
                continue
            cell = self._cell(item.run_id)
            if item.id not in cell.seen:
                cell.seen.add(item.id)
                event = event_of(item)
                if event is not None:
                    self._deliver(cell, Mail(event, inbox_id=item.id))

    def fire(self, run_id: str, kind: TimerKind, path: str | None = None) -> None:
        self._deliver(self._cell(run_id), Mail(TimerFired(kind, path)))

    def lost(self, run_id: str, path: str, number: int) -> None:
        """The worker of this attempt is gone, does not know it, or should have ended it long ago."""
        self._deliver(self._cell(run_id), Mail(AttemptLost(path, number)))

    async def wait(self, run_id: str) -> RunState:
        """Wait until the run has finished and that is durable. Raises `LookupError` if there is no such run."""
        cell = self._cell(run_id)
        if cell.is_finished and cell.run is not None:
            return cell.run
        finished: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        cell.finished.append(finished)
        try:
            if self._elsewhere is not None:
                await self._elsewhere.watch(cell, finished, lambda cell: self._reload(cell, []))
            return await finished
        finally:
            if finished in cell.finished:
                cell.finished.remove(finished)
                self._dispose(cell)

    # --- what workers ask -----------------------------------------------------------------------------------------

    def plan_of(self, run_id: str) -> Plan | None:
        cell = self._cells.get(run_id)
        return cell.plan if cell is not None else None

    async def load_plan(self, run_id: str) -> Plan:
        cell = self._cell(run_id)
        if cell.plan is None:
            cell.loaded = cell.loaded or asyncio.get_running_loop().create_future()
            await asyncio.shield(cell.loaded)
        if cell.plan is None:
            raise LookupError(f"there is no run {run_id}")
        return cell.plan

    def workflow_of(self, run_id: str) -> str:
        return self._cell(run_id).workflow_name

    async def scope(self, run_id: str, path: str) -> Scope:
        await self.load_plan(run_id)
        cell = self._cell(run_id)
        if not cell.has_live(path):
            # Another engine scheduled the attempt: what it reads may not be known here yet.
            cell = await loaded_anew(self._store, self._plans, run_id)
        assert cell.run is not None, "load_plan has loaded the run"  # noqa: S101
        return scope_of(cell, cell.run, await patiently(lambda: self._decider.payloads(cell)), path)

    # --- proposals ------------------------------------------------------------------------------------------------

    def propose(self, cell: Cell) -> Proposal | None:
        """Fold the cell's mail. `None` when it is busy, when nothing changes, or while an expression is evaluated."""
        if cell.stage is not Stage.IDLE or not (cell.mailbox or cell.proposal or cell.revision == 0):
            return None
        if cell.proposal is not None:
            return cell.proposal
        misfits = [item for item in cell.mailbox if not item.doubted and cell.misfits(item)]
        if misfits:
            # What is known here may be older than the attempt. Taken for stale, its end would be lost.
            for misfit in misfits:
                misfit.doubted = True
            self._reload(cell, [])
            return None
        draft, mail = open_fold(cell, self._clock)
        if draft.questions:
            cell.stage = Stage.DECIDING
            self._spawn(self._decide(cell, draft, mail))
            return None
        if not changes_anything(cell, mail):
            self._dispose(cell)
            return None
        return Proposal(draft.close(), mail, draft.now)

    async def _decide(self, cell: Cell, draft: Draft, mail: list[Mail]) -> None:
        await patiently(lambda: self._decider.payloads(cell))
        cell.proposal = await self._decider.decide(cell, draft, mail)
        cell.stage = Stage.IDLE
        self._committer.request(cell)

    def broken(self, cell: Cell, error: Exception) -> None:
        if not isinstance(error, Unavailable):  # that this process is being stopped is no defect
            logger.error("run %s cannot go on here", cell.run_id, exc_info=error)
        cell.tell_starter(error)
        self._forget(cell, error)

    # --- replies --------------------------------------------------------------------------------------------------

    def committed(self, entry: Entry, reply: Committed) -> None:
        """The change is durable: take the new state, and only now act on it."""
        cell, proposal, rows = entry.cell, entry.proposal, entry.rows
        cell.advance(proposal)
        self._update_tokens(cell, entry)
        cell.at_work += len(entry.inline)
        cell.tell_starter(Started(cell.run_id))
        if self._committer.host is not None:
            for attempt in entry.inline:
                self._committer.host.launch(attempt, entry.claimed_by)
        self._stop(cell.run_id, rows.stopping, reply.withdrawn)
        self.receive(reply.withdrawn)
        limited = cell.new is not None and cell.new.admission_key is not None
        run_at = cell.new.run_at if cell.new is not None and cell.revision == 1 else None
        self._wakeups.after(rows, proposal.now, admission=limited, run_at=run_at)
        self._bus.publish(cell.run_id)
        if rows.finished:
            self._announce(cell)
        if self._freed_a_limit(cell, proposal):
            self._committer.look_for_work()
            self._wakeups.work_waits()
        self._carry_on(cell)

    def already_started(self, entry: Entry, reply: AlreadyStarted) -> None:
        """The start key is taken. If by this very run, an earlier answer was lost, and the run is loaded as it is."""
        cell = entry.cell
        cell.tell_starter(Started(reply.existing_run_id, existed=True, same_request=reply.same_request))
        if reply.existing_run_id == cell.run_id:
            self._reload(cell, [])
        else:
            del self._cells[cell.run_id]

    def not_started(self, entry: Entry, reply: NotStarted) -> None:
        cell = entry.cell
        del self._cells[cell.run_id]
        cell.tell_starter(Started(cell.run_id, refused=reply.reason, origin=reply.origin))

    def rejected(self, entry: Entry, reply: Rejected) -> None:
        """The database refuses what this run wants to write. Its outcomes are replaced by a failure that says so.

        If even that is refused the run is left as it is, for `doctor` and the log to tell.
        """
        cell = entry.cell
        logger.error("run %s: the database refuses a change: %s", cell.run_id, reply.reason)
        if cell.started is not None:
            del self._cells[cell.run_id]
            cell.tell_starter(InvalidRequest("rejected", f"the database refuses this run: {reply.reason}"))
            return
        cell.rejections += 1
        mail = [_as_refused(item, reply.reason) for item in entry.proposal.mail] if cell.rejections == 1 else []
        self._reload(cell, mail)

    def again(self, entry: Entry, error: Exception | None = None) -> None:
        cell = entry.cell
        if isinstance(error, IncarnationDead):
            # Nothing was written, so what the cell believes still holds.
            cell.mailbox = entry.proposal.mail + cell.mailbox
            self._committer.request(cell)
            return
        if cell.started is not None and error is not None:
            # Whether the run was started is not known. Its caller is told so; if it was, the reaper finds it.
            del self._cells[cell.run_id]
            logger.warning("a start of run %s is not answered: %s", cell.run_id, error)
            cell.tell_starter(Unavailable("store_unavailable", "the database is not available; try again"))
            return
        self._reload(cell, entry.proposal.mail)

    def claimed(self, attempt: ClaimedAttempt, claimed_by: str) -> None:
        """A commit claimed a queued attempt for the worker of this process."""
        cell = self._cell(attempt.run_id)
        if cell.stage is Stage.IDLE and cell.tokens.get((attempt.path, attempt.number)) != attempt.token:
            # Another engine scheduled it: what is known here is old, and the report would be taken for a stale one.
            self._reload(cell, [])
        cell.at_work += 1
        if self._committer.host is not None:
            self._committer.host.launch(attempt, claimed_by)
        self._bus.publish(attempt.run_id)

    def left_waiting(self) -> None:
        self._wakeups.work_waits()

    # --- cells ----------------------------------------------------------------------------------------------------

    def _stop(self, run_id: str, stopping: Sequence[tuple[str, int]], withdrawn: Sequence[InboxItem]) -> None:
        """End attempts wherever they run; those that were withdrawn run nowhere."""
        host = self._committer.host
        taken_back = {(item.data["path"], item.data["number"]) for item in withdrawn}
        running = [key for key in stopping if key not in taken_back]
        here = [host is not None and host.stop(run_id, path, number) for path, number in running]
        if not all(here):
            self._wakeups.stop_elsewhere(run_id)

    def _freed_a_limit(self, cell: Cell, proposal: Proposal) -> bool:
        """Whether an attempt ended that others may have waited for under a limit."""
        plan = cell.plan
        if plan is None or not (plan.limited or self._committer.type_limits):
            return False
        return any(isinstance(mail.event, EndEvent) for mail in proposal.mail)

    def _cell(self, run_id: str) -> Cell:
        cell = self._cells.get(run_id)
        if cell is None:
            cell = self._cells[run_id] = Cell(run_id)
            self._load_soon(cell)
        else:
            self._idle.take(run_id)
        return cell

    def _deliver(self, cell: Cell, mail: Mail) -> None:
        cell.mailbox.append(mail)
        if cell.stage is Stage.IDLE:
            self._committer.request(cell)

    def _carry_on(self, cell: Cell) -> None:
        if cell.mailbox:
            self._committer.request(cell)
        else:
            self._dispose(cell)

    def _dispose(self, cell: Cell) -> None:
        """Drop a finished run; keep an idle one at hand, for it is likely to go on, until too many are idle.

        Where others do the work it goes on with them, and what is known here is soon old.
        """
        if not cell.disposable:
            return
        if cell.is_finished or (self._committer.host is None and self._wakeups.others is not None):
            self._cells.pop(cell.run_id, None)
            return
        # Outputs may be large and are read again when an expression wants them; the rest of a cell is small.
        cell.outputs = cell.inputs = None
        for dropped in self._idle.keep(cell):
            del self._cells[dropped]

    def _announce(self, cell: Cell) -> None:
        assert cell.run is not None, "only a folded run finishes"  # noqa: S101
        for waiter in cell.finished:
            if not waiter.done():
                waiter.set_result(cell.run)
        cell.finished.clear()

    def _update_tokens(self, cell: Cell, entry: Entry) -> None:
        for attempt in entry.rows.scheduled:
            cell.tokens[attempt.path, attempt.number] = attempt.token
        for item in entry.proposal.mail:
            if isinstance(item.event, EndEvent) and item.verdict is Verdict.APPLIED:
                cell.tokens.pop((item.event.path, item.event.number), None)
            if item.inbox_id is not None:
                cell.seen.discard(item.inbox_id)
                self._folded.add(item.inbox_id)

    def _reload(self, cell: Cell, mail: list[Mail]) -> None:
        """Forget what the cell believes, load it, and fold the same mail again: applying it twice is harmless.

        Not so for facts of the inbox: a second cancel says more than the first. Their rows tell if they were folded.
        """
        if cell.proposal is not None:
            mail = cell.proposal.mail + mail
        facts = {item.inbox_id for item in mail if item.inbox_id is not None}
        if facts:
            cell.seen -= facts
            self._wakeups.inbox_waits()
        cell.mailbox = [item for item in mail if item.inbox_id is None] + cell.mailbox
        cell.stage = Stage.LOADING
        cell.proposal = None
        self._load_soon(cell)

    def _load_soon(self, cell: Cell) -> None:
        if self._tasks is not None:
            self._spawn(self._load(cell))

    async def _load(self, cell: Cell) -> None:
        try:
            await load_with_reports(self._store, self._plans, cell, lambda error: self._tell_failure(cell, error))
        except Exception as error:  # whatever is wrong with this run, the others go on
            self._forget(cell, error)
            return
        if cell.loaded is not None:
            cell.loaded.set_result(None)
            cell.loaded = None
        if cell.is_finished:
            self._announce(cell)
        self._carry_on(cell)

    def _forget(self, cell: Cell, error: Exception) -> None:
        self._cells.pop(cell.run_id, None)
        self._tell_failure(cell, error)

    def _tell_failure(self, cell: Cell, error: Exception) -> None:
        """The run cannot be loaded, most often because there is none: nobody waits for it in vain."""
        logger.warning("run %s cannot be loaded: %r", cell.run_id, error)
        for waiter in cell.finished:
            if not waiter.done():
                waiter.set_exception(LookupError(f"run {cell.run_id} cannot be loaded: {error}"))
        if cell.loaded is not None:
            cell.loaded.set_result(None)
            cell.loaded = None

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        assert self._tasks is not None, "the engine is running"  # noqa: S101
        try:
            self._tasks.create_task(work)
        except RuntimeError as error:  # it is just being ended, and nothing begins any more
            work.close()
            raise Unavailable("stopping", "this process is being stopped; ask another, or again") from error


def _as_refused(mail: Mail, reason: str) -> Mail:
    """The mail with an outcome replaced by a failure that can be stored; other mail as it is."""
    event: Event = mail.event
    if isinstance(event, AttemptCompleted | AttemptFailed):
        failure = Failure(FailureKind.INVALID_OUTPUT, f"the database refused the outcome: {reason}")
        return Mail(AttemptFailed(event.path, event.number, failure), mail.token)
    return mail
