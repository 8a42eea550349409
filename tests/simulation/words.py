"""The evaluator of a simulation: its expressions are words that say what comes of them.

It takes a moment, so that others get ahead, and notices when it is shown what cannot be.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from millrace.core.controls import While, iterations_around
from millrace.core.plan import Plan
from millrace.core.values import SECOND, JsonObject, JsonValue, to_iso
from millrace.ports.evaluator import ExpressionError, Scope
from tests.simulation import sight

if TYPE_CHECKING:
    from tests.simulation.process import Process

LARGE = "so large that it is put away. " * 10
CONSTANTS: dict[str, JsonValue] = {"true": True, "false": False, "large": LARGE}


class Words:
    def __init__(self, process: "Process") -> None:
        self._world = process.world

    async def evaluate(self, expression: str, scope: Scope, *, place: str) -> JsonValue:
        await asyncio.sleep(self._world.chance.choice([0.0, 0.0, 0.02]))
        self._look(scope, place)
        return self._value(expression, scope, place)

    async def render(self, template: JsonValue, scope: Scope, *, place: str) -> JsonValue:
        await asyncio.sleep(self._world.chance.choice([0.0, 0.0, 0.02]))
        self._look(scope, place)
        return self._rendered(template, scope, place)

    def _rendered(self, template: JsonValue, scope: Scope, place: str) -> JsonValue:
        if isinstance(template, dict):
            return {key: self._rendered(value, scope, place) for key, value in template.items()}
        if isinstance(template, list):
            return [self._rendered(value, scope, place) for value in template]
        return self._value(template, scope, place) if isinstance(template, str) else template

    def _value(self, expression: str, scope: Scope, place: str) -> JsonValue:  # noqa: C901  one word a line
        names: Any = scope.locals
        path = _path_in(place)
        match expression.split():
            case ["error"]:
                raise ExpressionError(f"{place}: no value")
            case ["perhaps"]:
                return random.Random(f"{self._world.seed} {scope.run['id']} {path} {names.get('index')}").random() < 0.5
            case ["items", count]:
                return [sight.item_of(path, number) for number in range(int(count))]
            case ["below", limit]:
                return bool(names["index"] < int(limit))
            case ["key"]:
                return f"number {names['item']['number']}"
            case ["result"]:
                return sight.result_of(path, names["index"])
            case ["wanted"]:
                return bool(names["event"]["data"]["wanted"])
            case ["in", seconds]:
                return to_iso(self._world.clock.now() + int(seconds) * SECOND)
            case ["this", "run"]:
                return scope.run["id"]
            case ["some", "run"]:
                return self._world.chance.choice([scope.run["id"], *sorted(self._world.stories)])
            case ["names"]:
                return self._seen(scope)
            case _:
                return CONSTANTS.get(expression, expression)

    def _seen(self, scope: Scope) -> JsonObject:
        """All that a task can read, for its runner, which knows its place exactly, to look at."""
        outputs: JsonObject = {
            path: {"output": task["output"]} for path, task in scope.tasks.items() if "output" in task
        }
        return {"names": dict(scope.locals), "tasks": outputs}

    # --- what cannot be -----------------------------------------------------------------------------------------------

    def _look(self, scope: Scope, place: str) -> None:
        if not place.startswith("tasks.") and place != "output":
            return  # by a worker, which does not say in which iteration
        for fault in self._faults(self._plan_of(scope), scope, place):
            self._world.problem(f"{place} of run {scope.run['id']}: {fault}")

    def _has_begun(self, scope: Scope, prefix: str) -> bool:
        query = "select 1 from task_runs where run_id = ? and adopted_from is null and substr(path, 1, ?) = ?"
        found = self._world.database.raw.execute(query, (scope.run["id"], len(prefix), prefix))
        return found.fetchone() is not None

    def _is_noted(self, scope: Scope, path: str, index: int) -> bool:
        """Whether it is written what this iteration of a while came to, and told to who asks: who is behind, then."""
        query = "select output from task_runs where run_id = ? and path = ? and size is null and output is not null"
        row = self._world.database.raw.execute(query, (scope.run["id"], path)).fetchone()
        noted: Any = None if row is None else json.loads(self._world.shelf.content_of(row[0]))
        return noted is not None and noted["iterations"] > index and noted["result"] == scope.locals.get("previous")

    def _plan_of(self, scope: Scope) -> Plan:
        workflow: Any = scope.run["workflow"]
        return self._world.plans.plans[f"version-{workflow['version']}"]

    def _faults(self, plan: Plan, scope: Scope, place: str) -> Iterator[str]:
        path, names = _path_in(place), scope.locals
        index: Any = names.get("index")
        if place.endswith(".config.condition") and isinstance(plan.task_at(path).control, While):
            if self._has_begun(scope, f"{path}[{index}]."):
                return  # who asks is behind, and what comes of it will be refused
            # Asked before an iteration begins: what tasks came to is told of the last one.
            yield from sight.faults_of_previous(plan, path, index, names.get("previous"))
            yield from sight.faults_of_tasks(plan, f"{path}[{index - 1}].any", scope.tasks)
        elif place.endswith(".config.output") and index is not None:
            if self._is_noted(scope, path, index):
                return  # as above
            reader = f"{path}[{index}].any"
            yield from sight.faults_of_tasks(plan, reader, scope.tasks)
            yield from _faults_in_result(plan, path, scope)
        elif place.endswith(".config.key"):
            if names["item"] != sight.item_of(path, index):
                yield f"item {index} is {names['item']!r}"
        elif any(self._is_noted(scope, loop, number) for loop, number in iterations_around(path)):
            return  # the iteration is over, and who asks is behind
        else:
            yield from sight.faults_of_names(plan, path, names)
            yield from sight.faults_of_tasks(plan, path, scope.tasks)


def _faults_in_result(plan: Plan, path: str, scope: Scope) -> Iterator[str]:
    index: Any = scope.locals["index"]
    if isinstance(plan.task_at(path).control, While):
        yield from sight.faults_of_previous(plan, path, index, scope.locals.get("previous"))
    elif scope.locals.get("item") != sight.item_of(path, index):
        yield f"item is {scope.locals.get('item')!r} in iteration {index}"


def _path_in(place: str) -> str:
    """The task that a place names: `tasks.PATH.if`, `tasks.PATH.config.FIELD`."""
    if not place.startswith("tasks."):
        return ""
    path = place.removeprefix("tasks.").removesuffix(".if")
    return path.partition(".config")[0]
