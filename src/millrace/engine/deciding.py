"""From mail to a proposal: fold the events of a cell, and answer what the core asks on the way.

A fold that asks nothing, which is nearly every one, is decided on the spot. One that must know the value of an `if`
or of the run's output is decided in a task of its own, so that a slow expression delays its own run only.
"""

import logging
from collections.abc import Mapping

import orjson

from millrace.core.draft import Draft
from millrace.core.effects import Evaluate
from millrace.core.events import AttemptCompleted, Evaluated, Verdict
from millrace.core.failures import Failure, FailureKind
from millrace.core.transition import fold
from millrace.core.values import SECOND, InvalidValue, JsonObject, JsonValue, check_value
from millrace.engine.cell import Cell, Mail, Proposal
from millrace.engine.views import scope_of
from millrace.ports.clock import Clock
from millrace.ports.evaluator import Evaluator, ExpressionError, Scope
from millrace.ports.payloads import Payloads
from millrace.ports.store import NO_LIMIT, Store

logger = logging.getLogger(__name__)


def open_fold(cell: Cell, clock: Clock) -> tuple[Draft, list[Mail]]:
    """Fold all mail of the cell into a new draft. Mail of attempts that are no longer live is dropped here."""
    assert cell.plan is not None, "a cell is loaded before it folds"  # noqa: S101
    assert cell.run is not None, "a cell is loaded before it folds"  # noqa: S101
    draft = Draft(cell.plan, cell.run, clock.now())
    if cell.revision == 0:
        draft.record("run.created", data=_origin(cell))
    mail, cell.mailbox = cell.mailbox, []
    for item in mail:
        item.verdict = Verdict.ALREADY_APPLIED if cell.stale(item) else fold(draft, item.event)
    return draft, mail


def changes_anything(cell: Cell, mail: list[Mail]) -> bool:
    if cell.revision == 0:
        return True
    return any(item.verdict is Verdict.APPLIED or item.must_be_committed for item in mail)


class Decider:
    """Answers the questions of drafts."""

    def __init__(self, store: Store, evaluator: Evaluator, payloads: Payloads | None = None) -> None:
        """`payloads`: where outputs of runs go that are too large for their rows."""
        self._store = store
        self._payloads = payloads
        self._evaluator = evaluator

    async def outputs(self, cell: Cell) -> Mapping[str, JsonValue]:
        """The outputs of the cell's completed tasks, read once when a loaded run first needs them."""
        while cell.outputs is None:
            revision = cell.revision
            loaded = await self._loaded_outputs(cell)
            # A commit may have added outputs while these were read; then they are read again.
            if cell.revision == revision:
                cell.outputs = loaded
        return cell.outputs

    async def _loaded_outputs(self, cell: Cell) -> dict[str, JsonValue]:
        if cell.revision > 0 or cell.new is None:
            return dict(await self._store.load_outputs(cell.run_id))
        # The run has no rows yet that would say what it takes over, and its first fold may ask for it already.
        adopted = cell.new.adopted
        loaded = {origin: await self._store.load_outputs(origin) for origin in sorted(set(adopted.values()))}
        return {path: loaded[origin][path] for path, origin in adopted.items() if path in loaded[origin]}

    async def decide(self, cell: Cell, draft: Draft, mail: list[Mail]) -> Proposal:
        """Answer every question of the draft, also those that answers raise, and close it."""
        outputs = {**await self.outputs(cell), **fresh_outputs(mail)}
        output: JsonValue = None
        while draft.questions:
            question = next(iter(draft.questions.values()))
            answer = await self._answer(question, scope_of(cell, draft.peek(), outputs))
            fold(draft, answer)
            if question.path is None:
                output = answer.value
        return Proposal(draft.close(), mail, draft.now, output, await self._put_away(cell.run_id, output))

    async def _put_away(self, run_id: str, output: JsonValue) -> str | None:
        """What stands in the row for an output that is too large for it."""
        if self._payloads is None or output is None:
            return None
        content = orjson.dumps(output)
        if len(content) <= self._payloads.largest_in_row:
            return None
        return await self._payloads.put_away_of_run(run_id, "output", content)

    async def _answer(self, question: Evaluate, scope: Scope) -> Evaluated:
        place = "output" if question.path is None else f"tasks.{question.path}.if"
        try:
            if question.path is not None:
                return Evaluated(
                    question.path, await self._evaluator.evaluate(str(question.template), scope, place=place)
                )
            value = await self._evaluator.render(question.template, scope, place=place)
            check_value(value)
            return Evaluated(None, value)
        except ExpressionError as error:
            return Evaluated(question.path, failure=Failure(FailureKind.EXPRESSION, str(error)))
        except InvalidValue as error:
            return Evaluated(question.path, failure=Failure(FailureKind.INVALID_OUTPUT, f"{place}: {error}"))
        except Exception as error:  # a defect of the evaluator ends this run, not the engine
            logger.exception("an expression of run %s could not be evaluated", scope.run.get("id"))
            return Evaluated(question.path, failure=Failure(FailureKind.EXPRESSION, f"{place}: {error!r}"))


def fresh_outputs(mail: list[Mail]) -> dict[str, JsonValue]:
    """Outputs that this very fold brings."""
    return {
        item.event.path: item.payload.output
        for item in mail
        if item.verdict is Verdict.APPLIED and item.payload is not None and isinstance(item.event, AttemptCompleted)
    }


def _origin(cell: Cell) -> JsonObject:
    new = cell.new
    assert new is not None, "a new run comes with its request"  # noqa: S101
    origin: JsonObject = {"trigger_type": new.trigger_type, "version": cell.version_number}
    for key, value in (("trigger_id", new.trigger_id), ("by", new.triggered_by), ("retry_of", new.retry_of)):
        if value is not None:
            origin[key] = value
    if new.admission_key is not None and new.admission_limit != NO_LIMIT:
        origin["admission"] = {"key": new.admission_key, "limit": new.admission_limit}
    if (rate := new.rate_limit) is not None:
        origin["rate_limit"] = {"key": rate.key, "limit": rate.limit, "period_seconds": rate.period / SECOND}
    if new.adopted:
        origin["adopted"] = len(new.adopted)
    if new.done_again:
        origin["done_again"] = dict(new.done_again)
    return origin
