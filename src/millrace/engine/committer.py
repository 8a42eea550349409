"""Group commit: the one place of the engine that writes, and the one loop that decides when.

While one transaction is being written, the next batch gathers; when it is done, everyone who waited for it gets to
add what follows before the next begins. So an idle engine answers after one commit, and a busy one is bounded by
rows, not by fsyncs. The pause before a batch is essential: without it the first waiter to wake would start a batch
of one, six times slower under load.

In a batch each change stands alone. What becomes of it, by the store's reply:

    Committed       the cell takes the new state; claimed attempts are launched, waiters told
    Conflict        somebody else changed the run: load it and fold the same mail again
    AlreadyStarted  the start key is taken: the caller gets the run that has it
    NotStarted      the rules of the moment refuse the start: the caller is told which
    Rejected        the database refuses the data: only this run suffers
    (exception)     the outcome is unknown: forget the cells, load them, fold the same mail again
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from millrace.engine.cell import Cell, Proposal, Stage
from millrace.engine.changes import Placement, Rows, change_of, claimed_inline, sort_effects
from millrace.engine.loading import ASK_AGAIN
from millrace.ports.ids import Ids
from millrace.ports.store import (
    AlreadyStarted,
    ChangeReply,
    ClaimedAttempt,
    ClaimRequest,
    CommitReply,
    Committed,
    Conflict,
    IncarnationDead,
    NotStarted,
    Rejected,
    RunChange,
    Store,
    StoreUnavailable,
)
from millrace.ports.worker import ClaimHost

logger = logging.getLogger(__name__)

LARGEST_BATCH = 512
"""Runs in one transaction; more would delay those at its end without making the write cheaper."""


@dataclass(slots=True)
class Entry:
    """One run's part in a batch."""

    cell: Cell
    proposal: Proposal
    rows: Rows
    change: RunChange
    inline: list[ClaimedAttempt] = field(default_factory=list)
    """The attempts that this very commit claims for the worker of this process."""
    claimed_by: str = ""
    """The incarnation that it claims them for."""


class Runs(Protocol):
    """The engine, as its committer sees it: where proposals come from, and who acts on the replies."""

    def propose(self, cell: Cell) -> Proposal | None:
        """The cell's next change, if it has one that is ready to be written."""
        ...

    def broken(self, cell: Cell, error: Exception) -> None:
        """The cell's mail cannot be folded: a defect, or a run whose rows are damaged."""
        ...

    def committed(self, entry: Entry, reply: Committed) -> None: ...

    def already_started(self, entry: Entry, reply: AlreadyStarted) -> None: ...

    def not_started(self, entry: Entry, reply: NotStarted) -> None: ...

    def rejected(self, entry: Entry, reply: Rejected) -> None: ...

    def again(self, entry: Entry, error: Exception | None = None) -> None:
        """The change was not, or perhaps not, written (`error`): load the run and fold the same mail again."""
        ...

    def claimed(self, attempt: ClaimedAttempt, claimed_by: str) -> None: ...

    def left_waiting(self) -> None:
        """There may be work in the queue that the worker of this process does not take."""
        ...


@dataclass(slots=True)
class CommitCounts:
    """How commits and changes relate; their ratio tells whether batching works."""

    commits: int = 0
    changes: int = 0


class Committer:
    def __init__(self, store: Store, ids: Ids, runs: Runs, type_limits: Mapping[str, int]) -> None:
        self._store = store
        self._ids = ids
        self._runs = runs
        self._dirty: dict[str, Cell] = {}
        self._wanted = asyncio.Event()
        self._batch_done = asyncio.Event()
        self._work_waits = True
        self.type_limits = type_limits
        self.host: ClaimHost | None = None
        self.counts = CommitCounts()
        self._under_way = 0
        """Commits that the store has not answered."""
        self._put_off = False
        """What was wanted waits for the end of the commit that is under way, or of the rest after one that failed."""
        self._resting = False
        """The store did not take the last commit, and is left in peace for a while."""

    @property
    def backlog(self) -> int:
        """Runs that wait for a commit."""
        return len(self._dirty)

    def request(self, cell: Cell) -> None:
        """The cell has something to commit."""
        self._dirty[cell.run_id] = cell
        self._wanted.set()

    def look_for_work(self) -> None:
        """Scheduled attempts may be available: claim some with the next commit."""
        self._work_waits = True
        self._wanted.set()

    def slot_freed(self) -> None:
        if self._work_waits:
            self._wanted.set()

    async def run(self) -> None:
        """Commit batch after batch until cancelled; two at a time where that is worth it to the store."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(1 if self._store.worth_another is None else 2):
                lanes.create_task(self._commit_on())

    async def _commit_on(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(0)
            if not self._wanted.is_set():
                continue
            self._wanted.clear()
            if self._resting or (self._under_way and not self._worth_another(len(self._dirty))):
                self._put_off = True
                continue
            written = await self.commit_batch()
            done, self._batch_done = self._batch_done, asyncio.Event()
            done.set()
            if not written:
                self._resting = True
                await asyncio.sleep(ASK_AGAIN)
                self._resting = False
            if self._put_off:
                self._put_off = False
                self._wanted.set()

    async def next_batch(self) -> None:
        """Wait until a batch was settled; for those who watch for the engine to come to rest."""
        await self._batch_done.wait()

    async def commit_batch(self) -> bool:
        """Write what waits now, and act on every reply. False when the store did not take it: ask again later."""
        placement = Placement(self.host, inline=not self._work_waits, type_limits=self.type_limits)
        batch = self._gather(placement)
        claim = self._claim_request(placement)
        if not batch and claim is None:
            return True
        self._under_way += 1
        try:
            reply = await self._store.commit([entry.change for entry in batch], claim)
        except (StoreUnavailable, IncarnationDead) as error:
            self._give_up(batch, claim, error)
            return isinstance(error, IncarnationDead)
        finally:
            self._under_way -= 1
        self.counts.commits += 1
        self.counts.changes += len(batch)
        self._settle(batch, claim, reply)
        if placement.left_to_others or (placement.left_waiting and _takes_no_more(claim, reply)):
            self._runs.left_waiting()
        return True

    def _gather(self, placement: Placement) -> list[Entry]:
        batch: list[Entry] = []
        for run_id in list(self._dirty)[: self._batch_size()]:
            cell = self._dirty.pop(run_id)
            try:
                proposal = self._runs.propose(cell)
            except Exception as error:  # a defect ends this run's way here, and nobody else's
                self._runs.broken(cell, error)
                continue
            if proposal is not None:
                batch.append(self._entry(cell, proposal, placement))
        if self._dirty:
            self._wanted.set()
        return batch

    def _batch_size(self) -> int:
        """Half of what waits, if that is much and nothing is under way: the store writes it while we fold the rest."""
        half = (len(self._dirty) + 1) // 2
        return min(half, LARGEST_BATCH) if not self._under_way and self._worth_another(half) else LARGEST_BATCH

    def _worth_another(self, changes: int) -> bool:
        return self._store.worth_another is not None and changes >= self._store.worth_another

    def _entry(self, cell: Cell, proposal: Proposal, placement: Placement) -> Entry:
        cell.stage = Stage.COMMITTING
        rows = sort_effects(cell, proposal, placement, self._ids)
        inline = [
            claimed_inline(cell.run_id, attempt, proposal.now) for attempt in rows.scheduled if attempt.claimed_by
        ]
        claimed_by = "" if self.host is None else self.host.incarnation_id
        return Entry(cell, proposal, rows, change_of(cell, proposal, rows), inline, claimed_by)

    def _claim_request(self, placement: Placement) -> ClaimRequest | None:
        """Ask for queued work for every free slot, if there may be any."""
        self._work_waits = self._work_waits or placement.left_waiting
        if self.host is None or not self._work_waits:
            return None
        free = self.host.reserve(LARGEST_BATCH)
        if not free:
            return None
        # Taken down now, not with the answer: who looks for work meanwhile speaks of what this claim may not see.
        self._work_waits = False
        return ClaimRequest(self.host.incarnation_id, self.host.queues, free, self.type_limits)

    def _settle(self, batch: list[Entry], claim: ClaimRequest | None, reply: CommitReply) -> None:
        for entry, answer in zip(batch, reply.changes, strict=True):
            entry.cell.proposal = None
            entry.cell.stage = Stage.IDLE
            if not isinstance(answer, Committed):
                self._release(len(entry.inline))
            self._pass_on(entry, answer)
        if claim is not None:
            if len(reply.claimed) == claim.limit:
                self.look_for_work()
            self._release(claim.limit - len(reply.claimed))
            for attempt in reply.claimed:
                self._runs.claimed(attempt, claim.incarnation_id)

    def _pass_on(self, entry: Entry, answer: ChangeReply) -> None:
        match answer:
            case Committed():
                self._runs.committed(entry, answer)
            case Conflict():
                self._runs.again(entry)
            case AlreadyStarted():
                self._runs.already_started(entry, answer)
            case NotStarted():
                self._runs.not_started(entry, answer)
            case Rejected():
                self._runs.rejected(entry, answer)
            case _:
                assert_never(answer)

    def _give_up(self, batch: list[Entry], claim: ClaimRequest | None, error: Exception) -> None:
        """Nothing was written, or nothing is known about it; the mail of every run in this batch is folded again."""
        if self.host is not None and isinstance(error, IncarnationDead):
            self.host.declared_dead()
        logger.warning("a commit of %d runs has no known outcome: %s", len(batch), error)
        if claim is not None:
            self._work_waits = True
            self._release(claim.limit)
        for entry in batch:
            self._release(len(entry.inline))
            entry.cell.proposal = None
            entry.cell.stage = Stage.IDLE
            self._runs.again(entry, error)

    def _release(self, slots: int) -> None:
        if self.host is not None and slots:
            self.host.release(slots)


def _takes_no_more(claim: ClaimRequest | None, reply: CommitReply) -> bool:
    return claim is None or len(reply.claimed) == claim.limit
