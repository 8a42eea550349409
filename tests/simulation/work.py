"""What tasks of a simulation do: complete, fail, raise, take their time or hang, as seed, task and attempt have it.

The evaluator and the payloads are as simple as they can be, and notice when they are given what cannot be.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from millrace.core.values import JsonValue
from millrace.ports.evaluator import ExpressionError, Scope
from millrace.ports.payloads import MARK
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext
from millrace.ports.store import ClaimedAttempt

if TYPE_CHECKING:
    from tests.simulation.process import Process

LARGE = "so large that it is put away. " * 10


class AnyConfig(BaseModel):
    """Tasks of the simulation are told nothing."""


class ChanceRunner:
    type: ClassVar[str] = "chance"
    summary: ClassVar[str] = "For the simulation."
    config_model: ClassVar[ConfigModel] = AnyConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, process: "Process") -> None:
        self._process = process

    async def close(self) -> None:
        return None

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        with self._process.world.executions.of(self._process, context):
            fate = self._fate(context)
            for number in range(fate.choice([0, 0, 1, 3])):
                context.log(f"{context.task_id} {context.attempt} {number}")
                await asyncio.sleep(fate.choice([0.0, 0.1, 1.0]))
            return await self._outcome(fate, context)

    async def _outcome(self, fate: random.Random, context: RunnerContext) -> Outcome:
        share = fate.random()
        if share < 0.12:
            return Failed.because("it happens")
        if share < 0.16:
            raise RuntimeError("a runner with a defect")
        if share < 0.19:
            await asyncio.Event().wait()
        if share < 0.60:
            await asyncio.sleep(fate.choice([0.01, 0.5, 3.0, 10.0]))
        return Completed(output_of(context.task_id, large=fate.random() < 0.1))

    def _fate(self, context: RunnerContext) -> random.Random:
        return random.Random(f"{self._process.world.seed}/{context.run_id}/{context.task_id}/{context.attempt}")


class InstantRunner(ChanceRunner):
    """Never suspends, so it is run in the commit's own turn."""

    type: ClassVar[str] = "instant"
    instant: ClassVar[bool] = True

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        with self._process.world.executions.of(self._process, context):
            if self._fate(context).random() < 0.2:
                return Failed.because("it happens")
            return Completed(output_of(context.task_id))


def output_of(path: str, *, large: bool = False) -> JsonValue:
    return {"by": path, "much": LARGE} if large else {"by": path}


class Registry:
    def __init__(self, process: "Process") -> None:
        self._runners = {runner.type: runner for runner in (ChanceRunner(process), InstantRunner(process))}

    def get(self, task_type: str) -> ChanceRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, ChanceRunner]:
        return self._runners


class Words:
    """An evaluator whose expressions say what comes of them. It takes a moment, so that others get ahead."""

    def __init__(self, process: "Process") -> None:
        self._world = process.world

    async def evaluate(self, expression: str, scope: Scope, *, place: str) -> JsonValue:
        await asyncio.sleep(self._world.chance.choice([0.0, 0.0, 0.02]))
        for path, task in scope.tasks.items():
            output = task.get("output")
            by = output.get("by") if isinstance(output, dict) else None
            if task["status"] == "completed" and by != path:
                self._world.problem(f"{place} of run {scope.run['id']} sees {output!r} as the output of {path}")
        if expression == "error":
            raise ExpressionError(f"{place}: no value")
        return {"true": True, "false": False, "large": LARGE}.get(expression, expression)

    async def render(self, template: JsonValue, scope: Scope, *, place: str) -> JsonValue:
        await self.evaluate("true", scope, place=place)
        return template if not isinstance(template, str) else await self.evaluate(template, scope, place=place)


class Shelf:
    """Where large payloads go; what is put there stays, whatever becomes of the process. Meets `ports.payloads`."""

    largest_in_row = 200

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    async def put_away_of_attempt(self, attempt: ClaimedAttempt, name: str, content: bytes) -> str | None:
        return self._put(f"{attempt.run_id}/{attempt.token}/{name}", content)

    async def put_away_of_run(self, run_id: str, name: str, content: bytes) -> str | None:
        return self._put(f"{run_id}/{name}", content)

    async def read(self, text: str) -> bytes:
        return self._contents[text]

    def _put(self, key: str, content: bytes) -> str:
        text = f"{MARK}{key} {len(content)} none"
        self._contents[text] = content
        return text
