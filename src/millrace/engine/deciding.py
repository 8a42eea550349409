"""From mail to a proposal: fold the events of a cell, and answer what the core asks on the way.

A fold that asks nothing, which is nearly every one, is decided on the spot. One that must know the value of an `if`
or of the run's output is decided in a task of its own, so that a slow expression delays its own run only.
"""

from collections.abc import Mapping

import orjson

from millrace.core.draft import Draft
from millrace.core.events import Verdict
from millrace.core.transition import fold
from millrace.core.values import SECOND, JsonObject, JsonValue
from millrace.engine.answering import Answers
from millrace.engine.cell import Cell, Given, Mail, Proposal, fresh_outputs
from millrace.engine.views import Payloads as KnownPayloads
from millrace.ports.clock import Clock
from millrace.ports.controls import ControlConfigs
from millrace.ports.evaluator import Evaluator
from millrace.ports.ids import Ids
from millrace.ports.payloads import Payloads
from millrace.ports.store import NO_LIMIT, Store


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

    def __init__(
        self,
        store: Store,
        evaluator: Evaluator,
        controls: ControlConfigs,
        ids: Ids,
        payloads: Payloads | None = None,
    ) -> None:
        """`payloads`: where outputs of runs go that are too large for their rows."""
        self._store = store
        self._payloads = payloads
        self._evaluator = evaluator
        self._controls = controls
        self._ids = ids

    async def payloads(self, cell: Cell) -> KnownPayloads:
        """What the tasks of the cell's run took and answered, read once when a loaded run first needs them."""
        outputs = await self._outputs(cell)
        assert cell.plan is not None, "a cell is loaded before its expressions are evaluated"  # noqa: S101
        return KnownPayloads(await self._inputs(cell) if cell.plan.has_loops else {}, outputs)

    async def _outputs(self, cell: Cell) -> Mapping[str, JsonValue]:
        while cell.outputs is None:
            revision = cell.revision
            loaded = await self._loaded_outputs(cell)
            # A commit may have added outputs while these were read; then they are read again.
            if cell.revision == revision:
                cell.outputs = loaded
        return cell.outputs

    async def _inputs(self, cell: Cell) -> Mapping[str, JsonValue]:
        while cell.inputs is None:
            revision = cell.revision
            loaded = {} if revision == 0 else dict(await self._store.load_inputs(cell.run_id))
            if cell.revision == revision:
                cell.inputs = loaded
        return cell.inputs

    async def _loaded_outputs(self, cell: Cell) -> dict[str, JsonValue]:
        if cell.revision > 0 or cell.new is None:
            return dict(await self._store.load_outputs(cell.run_id))
        # The run has no rows yet that would say what it takes over, and its first fold may ask for it already.
        adopted = cell.new.adopted
        loaded = {origin: await self._store.load_outputs(origin) for origin in sorted(set(adopted.values()))}
        return {path: loaded[origin][path] for path, origin in adopted.items() if path in loaded[origin]}

    async def decide(self, cell: Cell, draft: Draft, mail: list[Mail]) -> Proposal:
        """Answer every question of the draft, also those that answers raise, and close it."""
        known = await self.payloads(cell)
        known = KnownPayloads(known.inputs, {**known.outputs, **fresh_outputs(mail)})
        given = Given()
        answers = Answers(
            cell, draft, known, given,
            store=self._store, evaluator=self._evaluator, controls=self._controls, ids=self._ids,
        )  # fmt: skip
        output: JsonValue = None
        while draft.questions:
            question = next(iter(draft.questions.values()))
            answer = await answers.answer(question)
            fold(draft, answer)
            if question.path is None:
                output = answer.value
        transition = draft.close()
        await self._put_away_given(cell.run_id, given, transition.outputs)
        return Proposal(transition, mail, draft.now, output, await self._put_away(cell.run_id, "output", output), given)

    async def _put_away_given(self, run_id: str, given: Given, outputs: Mapping[str, JsonValue]) -> None:
        for path, value in given.inputs.items():
            text = await self._put_away(run_id, f"{path}.input", value)
            if text is not None:
                given.texts[path, "input"] = text
        for path, value in {**given.outputs, **outputs}.items():
            text = await self._put_away(run_id, f"{path}.output", value)
            if text is not None:
                given.texts[path, "output"] = text

    async def _put_away(self, run_id: str, name: str, output: JsonValue) -> str | None:
        """What stands in the row for a value that is too large for it."""
        if self._payloads is None or output is None:
            return None
        content = orjson.dumps(output)
        if len(content) <= self._payloads.largest_in_row:
            return None
        return await self._payloads.put_away_of_run(run_id, name, content)


def _origin(cell: Cell) -> JsonObject:
    new = cell.new
    assert new is not None, "a new run comes with its request"  # noqa: S101
    origin: JsonObject = {"trigger_type": new.trigger_type, "version": cell.version_number}
    for key in ("trigger_id", "retry_of", "address", "request_id"):
        if (value := getattr(new, key)) is not None:
            origin[key] = value
    if new.triggered_by is not None:
        origin["by"] = new.triggered_by
    if new.admission_key is not None and new.admission_limit != NO_LIMIT:
        origin["admission"] = {"key": new.admission_key, "limit": new.admission_limit}
    if (rate := new.rate_limit) is not None:
        origin["rate_limit"] = {"key": rate.key, "limit": rate.limit, "period_seconds": rate.period / SECOND}
    if new.adopted:
        origin["adopted"] = len(new.adopted)
    if new.done_again:
        origin["done_again"] = dict(new.done_again)
    return origin
