"""What is done when something came in that a trigger waits for: a run is started, or a firing says why there is none.

The firing, the start key, the counts of the trigger and the run are one commit, which holds only while the trigger is
as it was read: whoever does the same once more, after a crash or because it was delivered twice, finds the first run.
"""

from dataclasses import dataclass

from millrace.app.firing import names, repository
from millrace.app.firing.repository import Decision
from millrace.app.plans import StoredPlans
from millrace.app.runs.starting import Fired, FiringOutcome, RunStarter, TriggeredStart
from millrace.app.test_mode.mode import TestMode
from millrace.app.triggers.repository import TriggerRow
from millrace.core.errors import MillraceError, Unavailable
from millrace.core.values import Instant, JsonObject
from millrace.ports.database import Database
from millrace.ports.evaluator import Evaluator, ExpressionError
from millrace.ports.ids import Ids
from millrace.ports.store import NewFiring, StartKey

MOST_CAUSES = 10
"""A run that was caused by a run, which was caused by a run, and so on: longer chains are taken for loops."""

WITHOUT_RUN = {
    FiringOutcome.UNWANTED: "skipped",
    FiringOutcome.SKIPPED: "skipped",
    FiringOutcome.REFUSED: "refused",
    FiringOutcome.FAILED: "failed",
}
"""What a firing says of the outcomes that no run comes of."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that a trigger waits for has happened."""

    trigger: JsonObject
    """The name `trigger` of expressions, and of the run."""
    start_key: str
    """Names the occasion among those of the trigger, in its firings."""
    key: StartKey | None
    """Makes it start one run at most; `None` where each time is another."""
    causation_depth: int = 0
    """How many runs it took to bring it about."""
    keep_skips: bool = True
    """Whether it is worth a firing that the trigger's `if` is false."""
    due_at: Instant | None = None
    """Of a schedule: the time in the past that is made up for. Its place in time stays where it is."""


class Firer:
    def __init__(
        self,
        database: Database,
        plans: StoredPlans,
        evaluator: Evaluator,
        starter: RunStarter,
        ids: Ids,
        test_mode: TestMode,
    ) -> None:
        self._database = database
        self._plans = plans
        self._evaluator = evaluator
        self._starter = starter
        self._ids = ids
        self._test_mode = test_mode

    async def fire(self, row: TriggerRow, occasion: Occasion) -> Fired:
        """Start the run of a trigger. `CHANGED` when the trigger is silent, or is not as `row` has it any more.

        Raises `Unavailable` when it is not known what happened; doing it again is safe if the occasion has a key.
        """
        if not row.active:
            return Fired(FiringOutcome.CHANGED, reason="the trigger is silent")
        fired = await self._start(row, occasion)
        if fired.outcome not in WITHOUT_RUN or (fired.outcome is FiringOutcome.UNWANTED and not occasion.keep_skips):
            return fired
        decision = Decision(
            firing_id=self._ids.new(),
            row=row,
            next_due_at=None,
            decided_until=0,
            start_key=occasion.start_key,
            kind=WITHOUT_RUN[fired.outcome],
            reason=fired.reason,
            due_at=occasion.due_at,
            mail=fired.mail,
        )
        noted = await self._database.write(lambda connection: repository.note(connection, decision))
        if fired.mail is not None:
            self._test_mode.after_mail()
        return fired if noted else Fired(FiringOutcome.CHANGED, reason="the trigger was changed meanwhile")

    async def _start(self, row: TriggerRow, occasion: Occasion) -> Fired:
        if occasion.causation_depth > MOST_CAUSES:
            reason = f"loop: {occasion.causation_depth} runs caused one another; {MOST_CAUSES} are the most"
            return Fired(FiringOutcome.REFUSED, reason=reason)
        try:
            version = await self._plans.version(row.version_id or "")
            filled = await names.fill(row, occasion.trigger, version.definition.variables, self._evaluator)
        except (ExpressionError, LookupError) as error:
            return Fired(FiringOutcome.FAILED, reason=str(error))
        if not filled.wanted:
            return Fired(FiringOutcome.UNWANTED, reason="its `if` is false")
        firing = NewFiring(
            id=self._ids.new(),
            trigger_id=row.id,
            trigger_revision=row.revision,
            start_key=occasion.start_key,
            due_at=occasion.due_at,
            # As it is. Should a scheduler have moved it meanwhile, it finds by `decided_until` that it has done so.
            next_due_at=row.next_due_at,
            decided_until=row.decided_until,
        )
        start = TriggeredStart(
            workflow_id=row.workflow_id,
            version_id=version.id,
            trigger_type=row.type,
            trigger_id=row.id,
            trigger=occasion.trigger,
            input=filled.input,
            start_key=occasion.key,
            firing=firing,
            causation_depth=occasion.causation_depth,
        )
        # The key, where there is one, is what a repeated delivery has in common with the first.
        name = occasion.start_key if occasion.key is None else occasion.key.key
        instead = await self._test_mode.instead(row, start, name)
        if instead is not None:
            return Fired(instead.outcome, reason=instead.reason, mail=instead.mail)
        try:
            return await self._starter.fire(start)
        except Unavailable:
            raise
        except MillraceError as error:
            return Fired(FiringOutcome.FAILED, reason=error.message)
