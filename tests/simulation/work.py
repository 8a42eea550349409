"""What tasks of a simulation do: complete, fail, raise, take their time or hang, as seed, task and attempt have it.

They look at what was rendered for them, and notice when it is not what they may see.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from millrace.core.values import JsonValue
from millrace.ports.payloads import MARK
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext
from millrace.ports.store import ClaimedAttempt
from tests.simulation import sight
from tests.simulation.words import LARGE

if TYPE_CHECKING:
    from tests.simulation.process import Process


class AnyConfig(BaseModel):
    seen: Any = None
    """What expressions of the task see; a word where nothing is rendered."""


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
            self._look(config, context)
            fate = self._fate(context)
            for number in range(fate.choice([0, 0, 1, 3])):
                context.log(f"{context.task_id} {context.attempt} {number}")
                await asyncio.sleep(fate.choice([0.0, 0.1, 1.0]))
            return await self._outcome(fate, context)

    async def _outcome(self, fate: random.Random, context: RunnerContext) -> Outcome:
        share = fate.random()
        if share < 0.12 or (self._process.world.stubborn and fate.random() < 0.3):
            return Failed.because("it happens")
        if share < 0.16:
            raise RuntimeError("a runner with a defect")
        if share < 0.19:
            await asyncio.Event().wait()
        if share < 0.60:
            await asyncio.sleep(fate.choice([0.01, 0.5, 3.0, 10.0]))
        return Completed(output_of(context.task_id, large=fate.random() < 0.1))

    def _look(self, config: AnyConfig, context: RunnerContext) -> None:
        world = self._process.world
        if not isinstance(config.seen, dict):
            return
        plan, path = world.plan_of(context.run_id), context.task_id
        names, tasks = config.seen["names"], config.seen["tasks"]
        for fault in (*sight.faults_of_names(plan, path, names), *sight.faults_of_tasks(plan, path, tasks)):
            world.problem(f"{path} of run {context.run_id} is told that {fault}")

    def _fate(self, context: RunnerContext) -> random.Random:
        return random.Random(f"{self._process.world.seed}/{context.run_id}/{context.task_id}/{context.attempt}")


class InstantRunner(ChanceRunner):
    """Never suspends, so it is run in the commit's own turn."""

    type: ClassVar[str] = "instant"
    instant: ClassVar[bool] = True

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        with self._process.world.executions.of(self._process, context):
            self._look(config, context)
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
        return self.content_of(text)

    def content_of(self, text: str) -> bytes:
        return self._contents[text] if text.startswith(MARK) else text.encode()

    def _put(self, key: str, content: bytes) -> str:
        text = f"{MARK}{key} {len(content)} none"
        self._contents[text] = content
        return text
