"""Retention: once an hour, or when asked, what has been kept long enough is deleted, a little at a time.

A round is a series of short writes. How much each does is chosen by what the last one took, so that it takes about
`STEP` where there is one writer; and after each the database is left to others for a while. So running work is hardly
slower while millions of rows go. A round can be cut short anywhere: whatever it began is in the database, and the next
goes on.

Where runs are archived, they are deleted only as they were written to the archive, and when that has succeeded. Those
of several workflows are gathered for one object. While the object store is away they stay, and all else goes on. A
family that cannot be read stays, too, until it can be: it alone is left out of a round.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeVar

from sqlalchemy import Connection

from millrace.app.archive.archiver import MOST_FAMILIES, Archiver
from millrace.app.audit.keeping import OldAuditRows
from millrace.app.identity.repository import delete_keys, find_ended_keys
from millrace.app.retention import repository
from millrace.app.retention.incarnations import DeadIncarnations
from millrace.app.retention.policy import Policy
from millrace.app.retention.repository import Counts, Deletion
from millrace.app.retention.rounds import repository as rounds
from millrace.app.retention.rounds.repository import RoundRow
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.durations import UNITS
from millrace.core.values import Duration, Instant
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database, DatabaseFile
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStoreError

logger = logging.getLogger(__name__)

T = TypeVar("T")

EVERY = 3600.0
FIRST_AFTER = 60.0
"""Seconds after the start, which has more urgent things to do."""

STEP = 0.003
"""Seconds that one job should take of a writer that all share."""
STEP_BESIDE_OTHERS = 0.02
"""The same where nobody waits for it."""
REST = 3.0
"""How many times as long the writer is then left alone, within bounds in seconds."""
SHORTEST_REST, LONGEST_REST = 0.005, 0.1

KEYS_KEPT: Final[Duration] = 90 * UNITS["d"]
"""An API key that was revoked or is over stays listed for so long. Who had it stands in the audit log."""
LOOKED_AT_ONCE = 500
FREE_PAGES_KEPT = 256
"""A file keeps some room, for it will grow again."""


class Pace:
    """How much a job does, by what jobs took so far; never so little that it would not get on."""

    def __init__(self, least: int, most: int, step: float) -> None:
        self.size = self._least = least
        self._most = most
        self._step = step

    def took(self, seconds: float) -> None:
        if seconds > 1.5 * self._step:
            self.size = max(self._least, int(self.size * max(0.3, self._step / seconds)))
        elif seconds < 0.75 * self._step:
            self.size = min(self._most, self.size + self.size // 4 + 1)


class Retention(Service):
    interval = 60.0
    """How soon a round that failed is tried again."""

    def __init__(
        self,
        database: Database,
        file: DatabaseFile | None,
        clock: Clock,
        ids: Ids,
        policy: Policy,
        archiver: Archiver,
        audit_rows: OldAuditRows | None = None,
    ) -> None:
        super().__init__()
        self._database, self._file, self._clock, self._ids = database, file, clock, ids
        self._policy, self._archiver, self._audit_rows = policy, archiver, audit_rows
        self._to_archive: list[tuple[str, Instant]] = []
        """Roots of families that are due by that time, in the round that is under way."""
        self._trouble: str | None = None
        """Why the object store could not be used in it. Then nothing more is archived, and what is to be stays."""
        self._left_out: dict[str, str] = {}
        """Families that could not be read to be archived, in the round that is under way: by their roots, each why."""
        self._untouched: set[str] = set()
        """Their runs."""
        self._next_at = clock.monotonic() + FIRST_AFTER
        self._round: RoundRow | None = None
        self._ending: RoundRow | None = None
        """The round that is over, as long as the database does not say so."""
        self.after_ask: Callable[[], None] | None = None
        """Called when a round was noted that another process is to do; `None` where rounds are done here."""
        step = STEP_BESIDE_OTHERS if file is None else STEP
        self._runs, self._rows, self._pages = Pace(10, 500, step), Pace(100, 5_000, step), Pace(16, 256, STEP)
        self._dead = DeadIncarnations(database)
        self._without_payloads: dict[str, str] = {}
        """By workflow: the payloads of all runs up to this id are gone."""

    @property
    def current(self) -> RoundRow | None:
        """The round that is under way or about to begin."""
        return self._round or self._ending

    async def ask(self) -> RoundRow:
        """Have a round done now, unless one is under way; answers it. It is found by its id when it has ended."""
        if self.after_ask is None:
            asked = self.request()
            await self._database.write(lambda connection: note(connection, Action.RETENTION_RUN, asked.id))
            return asked
        asked = await self._database.write(partial(_asked, row=self._new_round("request")))
        self.after_ask()
        return asked

    def request(self) -> RoundRow:
        """Begin a round here and now, unless one is under way; answers it."""
        if self._round is None:
            self._round = self._new_round("request")
            self.wake()
        return self._round

    async def run_once(self) -> float | None:
        """A round, if it is time for one."""
        if self._round is None:
            asked = await self._database.read(rounds.round_asked_for)
            if asked is None and self._clock.monotonic() < self._next_at:
                return self._next_at - self._clock.monotonic()
            self._round = asked or self._new_round("schedule")
        try:
            await self._whole_round(self._clock.now())
        except Exception as error:
            await self._finish(self._round, str(error))
            raise
        await self._finish(self._round, self._trouble or self._told_of_left_out())
        if self._trouble is None:
            self._next_at = self._clock.monotonic() + EVERY
        return None

    def _told_of_left_out(self) -> str | None:
        if not self._left_out:
            return None
        root, reason = next(iter(self._left_out.items()))
        also = f", and {len(self._left_out) - 1} more with their families" if len(self._left_out) > 1 else ""
        return f"not archived, and so not deleted: run {root} with its family{also}, since {reason}"

    def _new_round(self, cause: str) -> RoundRow:
        return RoundRow(self._ids.new(), cause, self._clock.now())

    async def _finish(self, ended: RoundRow, error: str | None) -> None:
        self._round, self._ending = None, ended
        row = replace(ended, finished_at=self._clock.now(), error=error)
        if error is not None:
            logger.warning("a round of retention could not do all: %s", error)
        if row.runs or row.payloads:
            logger.info("retention deleted %d runs, and the payloads of %d more", row.runs, row.payloads)
        try:
            await self._database.write(partial(rounds.save_round, row=row))
        finally:
            self._ending = None

    # --- a round --------------------------------------------------------------------------------------------------

    async def _whole_round(self, now: Instant) -> None:
        self._to_archive, self._trouble = [], None
        self._left_out, self._untouched = {}, set()
        await self._clear()
        rules = await self._database.read(repository.workflow_rules)
        policies = [(rule.id, self._policy.with_changes(rule.retention)) for rule in rules]
        for workflow_id, policy in policies:
            cutoffs = policy.at(now)
            if cutoffs.runs is not None:
                await self._families(workflow_id, cutoffs.runs, archive=policy.archive)
                await self._firings(workflow_id, cutoffs.runs)
        await self._archive(at_least=1)
        # After that: a run is archived with the payloads that it still has.
        for workflow_id, policy in policies:
            cutoffs = policy.at(now)
            if cutoffs.payloads is not None and not (policy.archive and self._trouble):
                await self._payloads(workflow_id, cutoffs.payloads, now)
        cutoffs = self._policy.at(now)
        if cutoffs.runs is not None:
            await self._events(cutoffs.runs)
            await self._incarnations(cutoffs.runs)
        if cutoffs.operations is not None:
            await self._operations(cutoffs.operations)
        if cutoffs.archives is not None:
            await self._archives(cutoffs.archives)
        await self._keys(now - KEYS_KEPT)
        if self._audit_rows is not None:
            await self._audit(self._audit_rows, now)
        await self._give_back()

    async def _families(self, workflow_id: str, cutoff: Instant, *, archive: bool) -> None:
        look = partial(repository.look, workflow_id=workflow_id, payloads=False, cutoff=cutoff)
        after, more = "", True
        while more and not (archive and self._trouble):
            window = await self._database.read(partial(look, after=after, limit=LOOKED_AT_ONCE))
            if archive:
                self._to_archive += [(root, cutoff) for root in window.due]
                await self._archive(at_least=MOST_FAMILIES)
            else:
                await self._give_up(window.due, partial(repository.give_up_families, cutoff=cutoff))
            after, more = window.last, window.more

    async def _archive(self, *, at_least: int) -> None:
        """Archive what is to be archived, and then delete it, while there is so much of it."""
        while len(self._to_archive) >= at_least and self._trouble is None:
            try:
                written = await self._archiver.write([root for root, _ in self._to_archive])
            except ObjectStoreError as error:
                self._trouble = f"runs that are to be archived could not be, and stay: {error}"
                return
            done, self._to_archive = self._to_archive[: written.count], self._to_archive[written.count :]
            if written.unreadable is not None:
                self._left_out[written.unreadable.root] = written.reason
                self._untouched.update(written.unreadable.runs)
            for cutoff, some in groupby(done, key=itemgetter(1)):
                delete = partial(repository.give_up_families, cutoff=cutoff, archived=written.stamps)
                await self._give_up([root for root, _ in some], delete)

    async def _archives(self, cutoff: Instant) -> None:
        try:
            self._count("archives", await self._archiver.expire(cutoff))
        except ObjectStoreError as error:
            self._trouble = f"old archives could not be deleted: {error}"

    async def _payloads(self, workflow_id: str, cutoff: Instant, now: Instant) -> None:
        look = partial(repository.look, workflow_id=workflow_id, payloads=True, cutoff=cutoff)
        after, more = self._without_payloads.get(workflow_id, ""), True
        undecided: str | None = None
        while more:
            window = await self._database.read(partial(look, after=after, limit=LOOKED_AT_ONCE))
            due = [run_id for run_id in window.due if run_id not in self._untouched]
            await self._give_up(due, partial(repository.give_up_payloads, cutoff=cutoff, now=now))
            after, more = window.last, window.more
            left = [run_id for run_id in window.due if run_id in self._untouched]
            undecided = undecided or min((*left, *filter(None, [window.undecided])), default=None)
            # Without its last letter an id sorts right before itself.
            self._without_payloads[workflow_id] = after if undecided is None else undecided[:-1]

    async def _give_up(self, due: Sequence[str], give_up: Callable[..., Counts]) -> None:
        while due:
            some, due = due[: self._runs.size], due[self._runs.size :]
            gone = await self._write(partial(give_up, ids=some), self._runs)
            for what, count in gone.items():
                self._count(what, count)
            await self._clear()

    async def _clear(self) -> None:
        """Delete the rows of all runs that were given up."""
        while batch := await self._database.read(partial(repository.next_deletions, limit=LOOKED_AT_ONCE)):
            size = self._rows.size
            if fitting := _fitting(batch, size):
                await self._write(partial(repository.delete_rows, batch=fitting), self._rows)
            else:
                await self._write(partial(repository.delete_part, one=batch[0], limit=size), self._rows)

    async def _firings(self, workflow_id: str, cutoff: Instant) -> None:
        find = partial(repository.find_old_firings, workflow_id=workflow_id, cutoff=cutoff)
        await self._few_at_a_time(find, repository.delete_firings, "firings")

    async def _events(self, cutoff: Instant) -> None:
        find = partial(repository.find_old_events, cutoff=cutoff)
        await self._few_at_a_time(find, repository.delete_events, "events")

    async def _operations(self, cutoff: Instant) -> None:
        find = partial(repository.find_old_operations, cutoff=cutoff)
        await self._few_at_a_time(find, repository.delete_operations, "operations")

    async def _incarnations(self, cutoff: Instant) -> None:
        async for ids in self._dead.unreferenced(cutoff):
            await self._write(partial(repository.delete_incarnations, ids=ids), self._rows)
            self._count("incarnations", len(ids))

    async def _keys(self, cutoff: Instant) -> None:
        while ids := await self._database.read(partial(find_ended_keys, cutoff=cutoff, limit=self._rows.size)):
            await self._write(partial(delete_keys, ids=ids), self._rows)

    async def _audit(self, rows: OldAuditRows, now: Instant) -> None:
        while await self._database.read(partial(rows.are_there, now=now)):
            await self._write(partial(rows.delete, now=now, limit=self._rows.size), self._rows)

    async def _few_at_a_time(self, find: Callable[..., Sequence[str]], delete: Callable[..., None], what: str) -> None:
        while ids := await self._database.read(partial(find, limit=self._rows.size)):
            await self._write(partial(delete, ids=ids), self._rows)
            self._count(what, len(ids))

    async def _give_back(self) -> None:
        """Give the space of what was deleted back to the disk. (A server does so by itself.)"""
        while self._file is not None and await self._file.free_pages() > FREE_PAGES_KEPT:
            took = await self._file.give_back(self._pages.size)
            self._pages.took(took)
            await _rest(took)

    # --- jobs -----------------------------------------------------------------------------------------------------

    async def _write(self, work: Callable[[Connection], T], pace: Pace) -> T:
        """One job of the writer, and a rest. What it took is measured there: waiting for its turn is no work."""

        def timed(connection: Connection) -> tuple[T, float]:
            began = time.perf_counter()
            return work(connection), time.perf_counter() - began

        result, took = await self._database.write(timed)
        pace.took(took)
        await _rest(took)
        return result

    def _count(self, what: str, more: int) -> None:
        assert self._round is not None, "only a round deletes"  # noqa: S101
        self._round = replace(self._round, **{what: getattr(self._round, what) + more})


def _asked(connection: Connection, row: RoundRow) -> RoundRow:
    asked = rounds.ask_for_round(connection, row)
    note(connection, Action.RETENTION_RUN, asked.id)
    return asked


async def _rest(took: float) -> None:
    await asyncio.sleep(min(max(SHORTEST_REST, REST * took), LONGEST_REST))


def _fitting(batch: Sequence[Deletion], size: int) -> Sequence[Deletion]:
    """The first deletions that are about `size` rows together; none when the first alone is more."""
    fitting: list[Deletion] = []
    for one in batch:
        size -= one.size + 1
        if size < 0:
            break
        fitting.append(one)
    return fitting
