"""Answers to what the core asks in a fold: expressions are evaluated, configs of control tasks rendered and understood.

What comes out is recorded with the fold. An expression that has no value is an answer, too: the failure of the task.
"""

import logging
from collections import ChainMap
from dataclasses import replace

import orjson

from millrace.core.controls import TASKS, ForEach, Loop, While
from millrace.core.draft import Draft
from millrace.core.effects import Evaluate, Question
from millrace.core.events import Evaluated, WaitTerms
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Plan
from millrace.core.readiness import Ending
from millrace.core.run import ending_of
from millrace.core.values import InvalidValue, JsonObject, JsonValue, check_value
from millrace.engine.cell import Cell, Given
from millrace.engine.loading import patiently
from millrace.engine.views import Folding, Payloads, scope_of
from millrace.ports.controls import (
    AskApproval,
    AwaitSignal,
    ControlConfigs,
    InvalidControl,
    Meaning,
    SendSignal,
    SleepFor,
    SleepUntil,
    StartChild,
)
from millrace.ports.evaluator import Evaluator, ExpressionError
from millrace.ports.ids import Ids
from millrace.ports.payloads import LostPayload
from millrace.ports.store import Store, TaskPayload

logger = logging.getLogger(__name__)

MOST_ITEMS = 100_000
LARGEST_RESULTS = 4 * 1024 * 1024
"""Bytes of JSON of what a loop comes to: as much as any task may answer."""
LARGEST_INPUT = 16 * 1024 * 1024
"""Bytes of JSON of the items of a loop."""


class Refused(Exception):
    """There is no answer but a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _refused(kind: FailureKind, message: str) -> Refused:
    return Refused(Failure(kind, message))


class Answers:
    """Answers the questions of one fold."""

    def __init__(
        self,
        cell: Cell,
        draft: Draft,
        payloads: Payloads,
        given: Given,
        *,
        store: Store,
        evaluator: Evaluator,
        controls: ControlConfigs,
        ids: Ids,
    ) -> None:
        """`payloads`: of the run as it was; what the fold itself brings is added to `given`."""
        self._cell = cell
        self._draft = draft
        self._given = given
        # Answers of this fold may bring more than is known now.
        self._payloads = Payloads(
            inputs=ChainMap(given.inputs, dict(payloads.inputs)),
            outputs=ChainMap(draft.outputs, given.outputs, dict(payloads.outputs)),
        )
        self._run = Folding(draft)
        self._store = store
        self._evaluator = evaluator
        self._controls = controls
        self._ids = ids

    async def answer(self, question: Evaluate) -> Evaluated:
        place = _place(question)
        try:
            return await self._answer(question, place)
        except Refused as refused:
            failure = refused.failure
        except InvalidControl as error:
            failure = Failure(FailureKind.INVALID_INPUT, f"{place}: {error}")
        except ExpressionError as error:
            failure = Failure(FailureKind.EXPRESSION, str(error))
        except InvalidValue as error:
            kind = FailureKind.INVALID_OUTPUT if question.what in RESULTS else FailureKind.INVALID_INPUT
            failure = Failure(kind, f"{place}: {error}")
        except Exception as error:  # a defect of the evaluator ends this run, not the engine
            logger.exception("an expression of run %s could not be evaluated", self._cell.run_id)
            failure = Failure(FailureKind.EXPRESSION, f"{place}: {error!r}")
        return Evaluated(question.path, failure=failure)

    async def _answer(self, question: Evaluate, place: str) -> Evaluated:
        path = question.path or ""
        if question.what in (Question.WAIT, Question.SIGNAL):
            return await self._engaged(question, path, place)
        return Evaluated(question.path, await self._value(question, path, place))

    async def _value(self, question: Evaluate, path: str, place: str) -> JsonValue:
        value: JsonValue = None
        match question.what:
            case Question.IF:
                value = await self._evaluate(question.template, path, place)
            case Question.BRANCH:
                value = await self._branch(question, path, place)
            case Question.FILTER:
                value = await self._evaluate(question.template, path, place, {"event": question.came})
            case Question.OUTPUT:
                value = await self._render(question.template, "", place)
                check_value(value)
            case Question.ITEMS:
                value = await self._items(question, path, place)
            case Question.AGAIN:
                value = await self._again(question, path, place)
            case Question.RESULTS:
                value = await self._results(question, path, place)
            case Question.CHILD:
                value = await self._output_of_child(question)
            case Question.DECIDED:
                value = await self._decided_before(path, place)
        return value

    # --- expressions --------------------------------------------------------------------------------------------------

    async def _evaluate(self, source: JsonValue, path: str, place: str, names: JsonObject | None = None) -> JsonValue:
        scope = scope_of(self._cell, self._run, self._payloads, path)
        return await self._evaluator.evaluate(str(source), scope.binding(names or {}), place=place)

    async def _render(self, template: JsonValue, path: str, place: str, names: JsonObject | None = None) -> JsonValue:
        scope = scope_of(self._cell, self._run, self._payloads, path)
        return await self._evaluator.render(template, scope.binding(names or {}), place=place)

    async def _branch(self, question: Evaluate, path: str, place: str) -> JsonValue:
        """A condition is asked by its source, a switch by its template."""
        if self._draft.plan_of(path).type == "switch":
            return await self._render(question.template, path, place)
        return await self._evaluate(question.template, path, place)

    # --- loops --------------------------------------------------------------------------------------------------------

    async def _items(self, question: Evaluate, path: str, place: str) -> int:
        if path in self._draft.ahead:
            return await self._items_of_before(path, place)
        items = await self._render(question.template, path, place)
        if not isinstance(items, list):
            kind = KINDS.get(type(items), "a number")
            raise _refused(FailureKind.INVALID_INPUT, f"{place} must be a list, but it is {kind}")
        if len(items) > MOST_ITEMS:
            message = f"{place} has {len(items):,} entries, and a loop takes at most {MOST_ITEMS:,}"
            raise _refused(FailureKind.INVALID_INPUT, f"{message}; loop over pages of them")
        check_value(items)
        size = len(orjson.dumps(items))
        if size > LARGEST_INPUT:
            message = f"{place} takes {size:,} bytes of JSON, and may take {LARGEST_INPUT:,}"
            raise _refused(FailureKind.INVALID_INPUT, f"{message}; loop over ids or pages instead")
        loop = self._draft.plan_of(path).control
        taken: JsonObject = {"items": items}
        if isinstance(loop, ForEach) and loop.key is not None:
            taken["keys"] = await self._keys(loop.key, items, path)
        self._given.inputs[path] = taken
        return len(items)

    async def _items_of_before(self, path: str, place: str) -> int:
        """A loop that goes on goes over the items that it had, which its iterations were made from."""
        taken = (await self._before(path)).input
        items = taken.get("items") if isinstance(taken, dict) else None
        if not isinstance(items, list):
            raise self._gone(path, f"{place}: the items of it")
        self._given.inputs[path] = taken
        return len(items)

    async def _before(self, path: str) -> TaskPayload:
        """What a task that goes on took and answered in the run that was last at it."""
        origin = self._draft.ahead[path].origin
        found = TaskPayload() if origin is None else await patiently(lambda: self._store.load_task(origin, path))
        for value in (found.input, found.output):
            if isinstance(value, LostPayload):
                value.fail()
        return found

    def _gone(self, path: str, what: str) -> Refused:
        origin = self._draft.ahead[path].origin
        message = f"{what} are not kept any more by run {origin}, where this one goes on; rerun that as a whole"
        return _refused(FailureKind.INVALID_INPUT, message)

    async def _keys(self, source: str, items: list[JsonValue], path: str) -> list[JsonValue]:
        """What each item is called. Two of one name cannot be told apart, so that is a fault."""
        seen: dict[str, int] = {}
        for index, item in enumerate(items):
            place = f"tasks.{path}.config.key"
            key = await self._evaluate(source, path, place, {"item": item, "index": index})
            if not isinstance(key, str | int | float) or isinstance(key, bool):
                raise _refused(FailureKind.INVALID_INPUT, f"{place} of item {index} must be text or a number")
            name = str(key)
            if name in seen:
                message = f"{place} of items {seen[name]} and {index} is the same; keys must be unique"
                raise _refused(FailureKind.INVALID_INPUT, message)
            seen[name] = index
        return list(seen)

    async def _again(self, question: Evaluate, path: str, place: str) -> JsonValue:
        """Before a while is asked whether it goes on, what its last iteration came to becomes its output so far."""
        last = question.number - 1
        if isinstance(question.came, int):
            await self._note_adopted(path, question.came)
        elif last >= 0:
            await self._note_result(path, last)
        if question.template is None:
            return True
        before = self._payloads.outputs.get(path)
        previous = before.get("result") if isinstance(before, dict) else None
        names: JsonObject = {"index": question.number, "previous": previous}
        return await self._evaluate(question.template, f"{path}[{last}].{_any_of(self._plan, path)}", place, names)

    async def _note_adopted(self, path: str, adopted: int) -> None:
        """What adopted iterations came to. The run that was last at the while has noted that; but if it had come
        further than this one is to begin, it is made again, of one iteration after the other."""
        before = (await self._before(path)).output
        noted = before.get("iterations") if isinstance(before, dict) else None
        known = noted if isinstance(noted, int) and noted <= adopted else 0
        if known:
            self._given.outputs[path] = before
        for index in range(known, adopted):
            await self._note_result(path, index)

    async def _note_result(self, path: str, index: int) -> None:
        loop = self._draft.plan_of(path).control
        assert isinstance(loop, While), "only a while is asked whether it goes on"  # noqa: S101
        result = await self._result(loop, path, index)
        self._given.outputs[path] = {"iterations": index + 1, "result": _small_enough(result, path)}

    async def _results(self, question: Evaluate, path: str, place: str) -> JsonValue:
        loop = self._draft.plan_of(path).control
        if isinstance(loop, While):
            before = self._payloads.outputs.get(path)
            return before if isinstance(before, dict) else {"iterations": question.number, "result": None}
        assert isinstance(loop, ForEach), "only loops have results"  # noqa: S101
        failed = [index for index in range(question.number) if self._failed(path, index)]
        without = frozenset(failed)
        results = [
            None if index in without else await self._result(loop, path, index) for index in range(question.number)
        ]
        told: list[JsonValue] = list(failed)
        return _small_enough({"count": question.number, "results": results, "failed": told}, path)

    async def _result(self, loop: Loop, path: str, index: int) -> JsonValue:
        """What an iteration came to: its `output`, or else what its last listed task answered."""
        last = f"{path}[{index}].{_any_of(self._plan, path)}"
        if loop.has_result and loop.result is None:
            return None
        if loop.has_result:
            value = await self._render(loop.result, last, f"tasks.{path}.config.output")
            check_value(value)
            return value
        output = self._payloads.outputs.get(last)
        if isinstance(output, LostPayload):
            output.fail()
        return output

    def _failed(self, path: str, index: int) -> bool:
        """Whether the iteration did, as the loop counts it: not by a task whose failure is allowed."""
        tasks = self._draft.plan.tasks
        return any(
            ending_of(self._draft.task(f"{path}[{index}].{one}"), allow_failure=tasks[one].allow_failure)
            is Ending.FAILED
            for one in self._draft.plan_of(path).blocks[TASKS]
        )

    @property
    def _plan(self) -> Plan:
        return self._draft.plan

    # --- waits, sub-workflows, signals --------------------------------------------------------------------------------

    async def _decided_before(self, path: str, place: str) -> JsonValue:
        """What a wait waited for came to an earlier run, or did not come: nobody is asked again."""
        before = await self._before(path)
        if before.output is None:
            raise self._gone(path, f"{place}: what it waited for and what came")
        if before.input is not None:
            self._given.inputs[path] = before.input
        return before.output

    async def _engaged(self, question: Evaluate, path: str, place: str) -> Evaluated:
        """What a wait is for, or what is to be told to whom."""
        rendered = await self._render(question.template, path, place)
        check_value(rendered)
        config = rendered if isinstance(rendered, dict) else {}
        meaning = self._controls.meaning(self._draft.plan_of(path).type, config)
        if isinstance(meaning, StartChild) and path in self._draft.ahead:
            meaning = replace(meaning, retry_of=self._draft.ahead[path].child)
        if isinstance(meaning, SendSignal):
            told = meaning.run_id
            if not await patiently(lambda: self._store.goes_on(told)):
                raise _refused(FailureKind.REFUSED, f"{place}: there is no unfinished run {told!r} to signal")
        self._given.inputs[path] = config
        self._given.meanings[path] = meaning
        return Evaluated(question.path, terms=self._terms(meaning))

    def _terms(self, meaning: Meaning) -> WaitTerms:
        match meaning:
            case SleepFor(duration=duration):
                return WaitTerms(until=self._draft.now + duration)
            case SleepUntil(at=at):
                return WaitTerms(until=at)
            case AskApproval(default=default):
                return WaitTerms(decides=True, default=default)
            case AwaitSignal(name=name):
                return WaitTerms(signal=name)
            case StartChild(wait=wait):
                return WaitTerms(child=self._ids.new(), detached=not wait)
            case _:
                return WaitTerms()

    async def _output_of_child(self, question: Evaluate) -> JsonValue:
        came = question.came
        run_id = came.get("run_id") if isinstance(came, dict) else None
        output = await patiently(lambda: self._store.load_run_output(str(run_id)))
        if isinstance(output, LostPayload):
            output.fail()
        return output


KINDS: dict[type, str] = {dict: "a mapping", str: "text", type(None): "null", bool: "true or false"}
RESULTS = frozenset({Question.OUTPUT, Question.RESULTS, Question.AGAIN})
PLACES = {
    Question.IF: "if",
    Question.ITEMS: "config.items",
    Question.AGAIN: "config.condition",
    Question.RESULTS: "config.output",
    Question.FILTER: "config.filter",
}


def _place(question: Evaluate) -> str:
    if question.path is None:
        return "output"
    return f"tasks.{question.path}.{PLACES.get(question.what, 'config')}"


def _any_of(plan: Plan, path: str) -> str:
    """The last listed task of a loop: from its place one sees what all tasks of the iteration see."""
    return plan.task_at(path).blocks[TASKS][-1]


def _small_enough(value: JsonValue, path: str) -> JsonValue:
    size = len(orjson.dumps(value))
    if size > LARGEST_RESULTS:
        message = (
            f"tasks.{path}.config.output: what the loop comes to takes {size:,} bytes of JSON, and may take "
            f"{LARGEST_RESULTS:,}; keep less of each iteration with `output`, or null"
        )
        raise _refused(FailureKind.INVALID_OUTPUT, message)
    return value
