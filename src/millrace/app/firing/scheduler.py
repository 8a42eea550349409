"""The scheduler: starts a run for each due time, exactly once, however many schedulers run.

    look for triggers whose time has come (by an index, by the database's clock)
      → the next step of each (catching_up)
      → start a run, in the engine's commit together with key, firing and cursor; or decide without one, here

Nothing in this process is the truth. A decision holds only if the trigger's row is as it was when it was made, and the
start key `cron:<due time>` of the trigger is taken for good by the run it started; so a second scheduler, a crash, a
lost answer or a clock that is set back can repeat a decision, but not its effect. A trigger that cannot be dealt with
gets a firing that says why, and does not stand in the way of others.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from millrace.app.firing import names, repository
from millrace.app.firing.catching_up import GRACE, Fire, Miss, Step, Wait, next_step, step_after_end
from millrace.app.firing.occasions import WITHOUT_RUN
from millrace.app.firing.repository import Decision, Look
from millrace.app.plans import StoredPlans
from millrace.app.runs.starting import FiringOutcome, RunStarter, TriggeredStart
from millrace.app.test_mode.mode import TestMode
from millrace.app.triggers.repository import TriggerRow
from millrace.app.triggers.schedules import Schedules, UnusableSchedule
from millrace.core.errors import MillraceError, Unavailable
from millrace.core.values import SECOND, Duration, Instant, to_iso
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.evaluator import Evaluator, ExpressionError
from millrace.ports.ids import Ids
from millrace.ports.store import NewFiring, StartKey, StoreUnavailable
from millrace.triggers.after_end import AfterEnd

logger = logging.getLogger(__name__)

BATCH = 500
KEYS = "trigger"
KEY_LIFETIME: Duration = 30 * 86_400 * SECOND
PATIENCE = 0.1
"""Seconds that a round waits for its slowest triggers; then it goes on without them, and takes them up later."""

HELD_SECONDS = 60.0
"""How long a trigger is left alone whose decision could not even be written, or which is not of a known type."""


class Scheduler(Service):
    """One round deals with every trigger that is due. Between rounds it sleeps until the next one, 1 s at most."""

    interval = 1.0

    def __init__(
        self,
        database: Database,
        plans: StoredPlans,
        schedules: Schedules,
        evaluator: Evaluator,
        starter: RunStarter,
        clock: Clock,
        ids: Ids,
        test_mode: TestMode,
    ) -> None:
        super().__init__()
        self._database = database
        self._plans = plans
        self._schedules = schedules
        self._evaluator = evaluator
        self._starter = starter
        self._clock = clock
        self._ids = ids
        self._test_mode = test_mode
        self._held: dict[str, float] = {}
        """Triggers that are left alone, and until when by the steady clock."""
        self._at_work: dict[str, asyncio.Task[Decision | Unavailable | None]] = {}
        self._looked_at: int | None = None
        """How much had been written at the last look."""
        self._wake_at: Instant | None = None
        """What it found: the first time at which there is something to do."""

    @property
    def busy(self) -> bool:
        """Whether triggers of an earlier round are still being dealt with."""
        return bool(self._at_work)

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            for task in self._at_work.values():
                task.cancel()

    async def run_once(self) -> float | None:
        # What is done is taken up before each look, which leaves out what is at work: else its next time was not seen.
        while not await self._store_is_away():
            look = await self._look()
            if not look.due:
                return None if look.wake_at is None else max(0.0, (look.wake_at - look.now) / SECOND)
            _, late = await asyncio.wait([self._begin(row, look.now) for row in look.due], timeout=PATIENCE)
            for task in late:
                task.add_done_callback(lambda _: self.wake())
        return None

    async def _look(self) -> Look:
        steady = self._clock.monotonic()
        self._held = {trigger_id: until for trigger_id, until in self._held.items() if until > steady}
        without, written = (*self._held, *self._at_work), self._database.written
        if not without and written is not None and written == self._looked_at:
            now, wake_at = self._clock.now(), self._wake_at
            if wake_at is None or wake_at > now:
                return Look(now, (), wake_at)
        look = await self._database.read_for_engine(partial(repository.look, limit=BATCH, without=without))
        self._looked_at, self._wake_at = None if without else written, look.wake_at
        return look

    def _begin(self, row: TriggerRow, now: Instant) -> "asyncio.Task[Decision | Unavailable | None]":
        task = self._at_work[row.id] = asyncio.create_task(self._deal_with(row, now))
        return task

    async def _store_is_away(self) -> bool:
        """Take up what has been decided meanwhile; whether it was found that nothing can be started now."""
        done = [trigger_id for trigger_id, task in self._at_work.items() if task.done()]
        answers = [self._at_work.pop(trigger_id).result() for trigger_id in done]
        await self._write([answer for answer in answers if isinstance(answer, Decision)])
        away = next((answer for answer in answers if isinstance(answer, Unavailable)), None)
        if away is not None:
            logger.warning("triggers that are due must wait: %s", away.message)
        return away is not None

    # --- one trigger ----------------------------------------------------------------------------------------------

    async def _deal_with(self, row: TriggerRow, now: Instant) -> Decision | Unavailable | None:
        """Do the next step of a trigger; answers what is to be written if that starts no run."""
        try:
            step = await self._next_step(row, now)
            match step:
                case None:
                    # This release does not know its type. One that does may run beside it, for which it stays due.
                    logger.warning(
                        "trigger %s of workflow %s is left alone: its type is %s", row.id, row.workflow_id, row.type
                    )
                    self._hold(row)
                    return None
                case Wait(next_due_at):
                    return self._moved(row, _cursor(row), next_due_at)
                case Miss():
                    return self._missed(row, step)
                case Fire():
                    return await self._fire(row, step, now)
        except Unavailable as error:
            return error
        except StoreUnavailable as error:
            return Unavailable("store_unavailable", str(error))
        except UnusableSchedule as error:
            return self._failed(row, None, str(error))
        except Exception as error:  # whatever is wrong with this trigger, the others go on
            logger.exception("trigger %s of workflow %s could not be dealt with", row.id, row.workflow_id)
            self._hold(row)
            return self._failed(row, row.next_due_at, f"an error within Millrace: {error!r}")

    async def _next_step(self, row: TriggerRow, now: Instant) -> Step | None:
        """What to do about a trigger; `None` for one of a type that does not fire by the clock here."""
        schedule = self._schedules.of(row.type, row.config)
        if schedule is None or row.next_due_at is None:
            return None
        horizon = now - row.jitter_us
        if isinstance(schedule.times, AfterEnd):
            return step_after_end(schedule, schedule.times, row.next_due_at, horizon)
        if horizon - row.next_due_at <= GRACE:
            return next_step(schedule, _cursor(row), horizon)
        # Counting what was missed may take a while.
        return await asyncio.to_thread(next_step, schedule, _cursor(row), horizon)

    async def _fire(self, row: TriggerRow, step: Fire, now: Instant) -> Decision | None:
        trigger = names.scheduled(row, step.due, now)
        try:
            version = await self._plans.version(row.version_id or "")
            filled = await names.fill(row, trigger, version.definition.variables, self._evaluator)
        except (ExpressionError, LookupError) as error:
            return self._decided(row, step, "failed", str(error))
        if not filled.wanted:
            return self._decided(row, step, "skipped", "its `if` is false")
        key = start_key(row, step.due.at)
        firing = NewFiring(
            id=self._ids.new(),
            trigger_id=row.id,
            trigger_revision=row.revision,
            start_key=key,
            due_at=step.due.at,
            next_due_at=step.next_due_at,
            decided_until=step.due.at,
        )
        start = TriggeredStart(
            workflow_id=row.workflow_id,
            version_id=version.id,
            trigger_type=row.type,
            trigger_id=row.id,
            trigger=trigger,
            input=filled.input,
            start_key=StartKey(KEYS, row.id, key, key, now + KEY_LIFETIME),
            firing=firing,
        )
        instead = await self._test_mode.instead(row, start, key)
        if instead is not None:
            return replace(self._decided(row, step, WITHOUT_RUN[instead.outcome], instead.reason), mail=instead.mail)
        return await self._started(row, step, start)

    async def _started(self, row: TriggerRow, step: Fire, start: TriggeredStart) -> Decision | None:
        try:
            fired = await self._starter.fire(start)
        except Unavailable:
            raise
        except MillraceError as error:
            return self._decided(row, step, "failed", error.message)
        match fired.outcome:
            case FiringOutcome.STARTED | FiringOutcome.CHANGED:
                return None
            case FiringOutcome.EXISTED:
                return self._moved(row, step.due.at, step.next_due_at)
            case _:
                return self._decided(row, step, WITHOUT_RUN[fired.outcome], fired.reason)

    # --- decisions without a run ----------------------------------------------------------------------------------

    def _decided(self, row: TriggerRow, step: Fire, kind: str, reason: str | None) -> Decision:
        due = step.due.at
        return Decision(self._ids.new(), row, step.next_without_run, due, start_key(row, due), kind, reason, due_at=due)

    def _missed(self, row: TriggerRow, step: Miss) -> Decision:
        logger.warning("trigger %s of workflow %s missed %d due times", row.id, row.workflow_id, step.count)
        return Decision(
            self._ids.new(),
            row,
            step.next_due_at,
            step.last,
            start_key(row, step.first),
            "missed",
            "nobody was there to act on it, and the catch-up policy drops it",
            due_at=step.first,
            due_until=step.last,
            count=step.count,
        )

    def _failed(self, row: TriggerRow, next_due_at: Instant | None, reason: str) -> Decision:
        """It cannot even be said what its next due time is; with `next_due_at` it is tried again."""
        due = row.next_due_at or 0
        return Decision(
            self._ids.new(), row, next_due_at, _cursor(row), start_key(row, due), "failed", reason, due_at=due
        )

    def _moved(self, row: TriggerRow, decided_until: Instant, next_due_at: Instant | None) -> Decision:
        return Decision(self._ids.new(), row, next_due_at, decided_until)

    async def _write(self, decisions: Sequence[Decision]) -> None:
        """Write a round's decisions in one transaction, or each in its own if the database refuses one of them."""
        if not decisions:
            return
        try:
            await self._database.write(lambda connection: _write_all(connection, decisions))
            if any(decision.mail is not None for decision in decisions):
                self._test_mode.after_mail()
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("decisions of the scheduler could not be written together")
            for decision in decisions:
                await self._write_alone(decision)

    async def _write_alone(self, decision: Decision) -> None:
        try:
            await self._database.write(lambda connection: repository.write(connection, decision))
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("trigger %s: its decision cannot be written", decision.row.id)
            self._hold(decision.row)

    def _hold(self, row: TriggerRow) -> None:
        self._held[row.id] = self._clock.monotonic() + HELD_SECONDS


def start_key(row: TriggerRow, due: Instant) -> str:
    return f"{row.type}:{to_iso(due)}"


def _cursor(row: TriggerRow) -> Instant:
    """All due times up to this are decided."""
    return (row.next_due_at or 0) - 1 if row.decided_until is None else row.decided_until


def _write_all(connection: Connection, decisions: Sequence[Decision]) -> None:
    for decision in decisions:
        repository.write(connection, decision)
