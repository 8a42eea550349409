"""What control tasks come to: which block runs, over what a loop goes, what is waited for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, assert_never

from millrace.app.test_runs.foresight.endings import BADLY, EITHER, WELL, Endings, of_block
from millrace.app.test_runs.foresight.found import WHEN_RUN, Begun, Listed, make_unsure
from millrace.app.test_runs.foresight.seeing import Seen, Value
from millrace.core.controls import (
    DEFAULT,
    ELSE,
    SLEEP,
    TASKS,
    THEN,
    UNTIL,
    Condition,
    ForEach,
    Group,
    Settled,
    SignalRun,
    Switch,
    Wait,
    While,
    case_block,
)
from millrace.core.plan import TaskPlan
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import kind_of
from millrace.ports.controls import InvalidControl

if TYPE_CHECKING:
    from millrace.app.test_runs.foresight.tasks import Foresight

FORESEEN: Final = 100
"""Iterations that are looked into, though not shown, for what the loop comes to."""
ENOUGH: Final = 10_000
"""Tasks that were looked at; after so many the first iteration of a loop stands for all."""
NOT_COME: Final = "it runs only if what is waited for does not come in time, or is refused"
NO_OUTPUT: Final = frozenset({SLEEP, UNTIL})


class ControlForesight:
    def __init__(self, whole: "Foresight") -> None:
        self._whole = whole

    async def begun(self, own: TaskPlan, seen: Seen, prefix: str) -> Begun:
        """What becomes of a control task if it runs."""
        control = own.control
        match control:
            case Settled():
                return await self._settled(own, control, seen, prefix)
            case Condition() | Switch():
                return await self._branch(own, control, seen, prefix)
            case Group():
                return await self._block(own, TASKS, {}, None, seen, prefix)
            case ForEach():
                return await self._foreach(own, control, seen, prefix)
            case While():
                return await self._while(own, control, seen, prefix)
            case Wait() | SignalRun():
                return await self._wait(own, control, seen, prefix)
            case None:
                raise AssertionError(f"{own.id} is run by a worker")
            case _:
                assert_never(control)

    # --- one block ----------------------------------------------------------------------------------------------------

    async def _settled(self, own: TaskPlan, settled: Settled, seen: Seen, prefix: str) -> Begun:
        if settled.failure is not None:
            return Begun(BADLY, why=settled.failure.message, kind=settled.failure.kind.value)
        if settled.block is None:
            return Begun(WELL, settled.output, known=True)
        return await self._block(own, settled.block, {}, settled.output, seen, prefix)

    async def _branch(self, own: TaskPlan, control: Condition | Switch, seen: Seen, prefix: str) -> Begun:
        asked = await self._decision(own, control, seen, prefix)
        if asked.failure is not None:
            return Begun(BADLY, why=asked.failure, kind="expression")
        if not asked.known:
            return await self._one_of(own, {"unrendered": asked.unrendered}, seen, prefix)
        if isinstance(control, Condition):
            block = THEN if asked.value is True else ELSE
            return await self._block(own, block, {"input": {"if": asked.value}}, {"branch": block}, seen, prefix)
        name = str(asked.value).lower() if isinstance(asked.value, bool) else str(asked.value)
        case = name if name in control.cases else None
        block = DEFAULT if case is None else case_block(case)
        return await self._block(own, block, {"input": {"value": asked.value}}, {"case": case}, seen, prefix)

    async def _decision(self, own: TaskPlan, control: Condition | Switch, seen: Seen, prefix: str) -> Value:
        renderer = self._whole.renderer
        if isinstance(control, Switch):
            asked = await renderer.render(control.value, seen, "config.value")
            fits, wanted = isinstance(asked.value, str | int | float), "text, a number, or true or false"
        else:
            asked = await renderer.evaluate(control.expression, seen, "config.if")
            fits, wanted = isinstance(asked.value, bool), "true or false"
        if asked.known and not fits:
            return Value(failure=f"tasks.{prefix}{own.id} decides by {wanted}, not by {kind_of(asked.value)}")
        return asked

    async def _block(
        self, own: TaskPlan, block: str, told: JsonObject, output: JsonValue, seen: Seen, prefix: str
    ) -> Begun:
        """A block that runs; `output` is what can be read of the task within it, and behind it."""
        inner = seen.within()
        inner.note(own.id, {"status": "running", "output": output})
        listed = await self._whole.listed(own.blocks.get(block, ()), inner, prefix)
        shown = {"branch": None if block == TASKS else block, "blocks": {block: listed.views}}
        return Begun(listed.ending, output, known=True, why=listed.why(), told={**told, **shown}, inner=inner)

    async def _one_of(self, own: TaskPlan, told: dict[str, Any], seen: Seen, prefix: str) -> Begun:
        """It is not known which block runs: all of them are shown."""
        blocks, found, inner = {}, list[Endings](), seen.within()
        for name, ids in own.blocks.items():
            place = seen.within()
            listed = await self._whole.listed(ids, place, prefix)
            make_unsure(listed.views, f"it is not known whether {name} is taken")
            inner.doubt(place, WHEN_RUN)
            blocks[name] = listed.views
            found.append(listed.ending)
        ending = WELL if of_block(found) == WELL else EITHER
        return Begun(ending, told={**told, "blocks": blocks}, inner=inner)

    # --- loops --------------------------------------------------------------------------------------------------------

    async def _foreach(self, own: TaskPlan, loop: ForEach, seen: Seen, prefix: str) -> Begun:
        asked = await self._whole.renderer.render(loop.items, seen, "config.items")
        if asked.failure is not None:
            return Begun(BADLY, why=asked.failure, kind="expression")
        if not asked.known:
            listed = await self._iteration(own, {}, ("item", "index"), seen, prefix)
            make_unsure(listed.views, "it is not known what the loop goes over")
            told = {"unrendered": asked.unrendered, "blocks": {"[0]": listed.views}}
            return Begun(WELL if listed.ending == WELL else EITHER, told=told)
        if not isinstance(asked.value, list):
            why = f"tasks.{prefix}{own.id}.config.items must be a list, not {kind_of(asked.value)}"
            return Begun(BADLY, why=why, kind="invalid_input")
        return await self._over(own, loop, asked.value, seen, prefix)

    async def _over(self, own: TaskPlan, loop: ForEach, items: list[JsonValue], seen: Seen, prefix: str) -> Begun:
        """A loop within another is looked into as far as it is shown."""
        blocks, found, results = {}, list[Listed](), list[Value]()
        shown = self._whole.iterations
        for index, item in enumerate(items[: shown if prefix else FORESEEN]):
            if index and self._whole.looked_at >= ENOUGH:
                break
            names: JsonObject = {"item": item, "index": index}
            inner = self._in_iteration(own, names, (), seen)
            listed = await self._whole.listed(own.blocks[TASKS], inner, f"{prefix}{own.id}[{index}].")
            found.append(listed)
            results.append(await self._result(loop, listed, inner))
            if index < shown:
                blocks[f"[{index}]"] = listed.views
        ending = of_block(listed.ending for listed in found)
        why = next((why for listed in found if (why := listed.why()) is not None), None)
        told = {"items": len(items), "input": {"items": items[:shown]}, "blocks": blocks}
        known = len(found) == len(items) and ending == WELL and all(result.known for result in results)
        output: JsonObject = {"count": len(items), "results": [result.value for result in results], "failed": []}
        return Begun(ending, output, known=known, why=why, told=told)

    async def _result(self, loop: ForEach, listed: Listed, inner: Seen) -> Value:
        """What an iteration comes to: the `output` of the loop, or else what its last listed task answered."""
        if loop.has_result:
            return await self._whole.renderer.render(loop.result, inner, "config.output")
        last = listed.views[-1]
        if listed.endings[last["task"]] == WELL and "output" in last:
            return Value(last["output"])
        return Value(unrendered={"config.output": WHEN_RUN})

    async def _while(self, own: TaskPlan, loop: While, seen: Seen, prefix: str) -> Begun:
        names: JsonObject = {"index": 0, "previous": None}
        first = seen.within(names)
        asked = await self._whole.renderer.evaluate(loop.expression, first, "config.condition")
        if asked.known and not isinstance(asked.value, bool):
            asked = Value(failure=f"the condition of {own.id} must be true or false, not {kind_of(asked.value)}")
        if asked.failure is not None:
            return Begun(BADLY, why=asked.failure, kind="expression")
        if asked.known and not asked.value:
            return Begun(WELL, {"iterations": 0, "result": None}, known=True)
        listed = await self._iteration(own, names, (), seen, prefix)
        if not asked.known:
            make_unsure(listed.views, "it is not known whether the loop begins")
        ending = listed.ending if asked.known or listed.ending == WELL else EITHER
        told = {"unrendered": asked.unrendered, "blocks": {"[0]": listed.views}}
        return Begun(ending, why=listed.why(), told=told)

    async def _iteration(
        self, own: TaskPlan, names: JsonObject, unknown: Sequence[str], seen: Seen, prefix: str
    ) -> Listed:
        """The first iteration, which stands for all."""
        inner = self._in_iteration(own, names, unknown, seen)
        return await self._whole.listed(own.blocks[TASKS], inner, f"{prefix}{own.id}[0].")

    def _in_iteration(self, own: TaskPlan, names: JsonObject, unknown: Sequence[str], seen: Seen) -> Seen:
        inner = seen.within(names, unknown)
        inner.note(own.id, None if unknown else {"status": "running", **names}, "which is known only when it runs")
        return inner

    # --- waits --------------------------------------------------------------------------------------------------------

    async def _wait(self, own: TaskPlan, control: Wait | SignalRun, seen: Seen, prefix: str) -> Begun:
        """What is waited for is taken to come."""
        rendered = await self._whole.renderer.render(control.config, seen, "config")
        told: dict[str, Any] = {"input": rendered.value, "unrendered": rendered.unrendered}
        if rendered.failure is not None:
            return Begun(BADLY, why=rendered.failure, kind="expression", told=told)
        if rendered.known and isinstance(rendered.value, dict):
            try:
                self._whole.configs.meaning(own.type, rendered.value)
            except InvalidControl as error:
                return Begun(BADLY, why=str(error), kind="invalid_input", told=told)
        inner = seen.within()
        inner.note(own.id, None, "which is known only when it came")
        listed = await self._whole.listed(own.blocks.get(THEN, ()), inner, prefix)
        blocks = {THEN: listed.views} if own.blocks.get(THEN) else {}
        if own.blocks.get(ELSE):
            otherwise = await self._whole.listed(own.blocks[ELSE], late := seen.within(), prefix)
            make_unsure(otherwise.views, NOT_COME)
            inner.doubt(late, WHEN_RUN)
            blocks[ELSE] = otherwise.views
        known = own.type in NO_OUTPUT or isinstance(control, SignalRun)
        branch = THEN if own.blocks.get(THEN) else None
        told |= {"branch": branch, "blocks": blocks}
        return Begun(listed.ending, known=known, why=listed.why(), told=told, inner=inner)
