"""Work whose course a test writes down: a runner that plays a list of behaviours, and a journal of all it was asked.

    work.script(a=[fails("no luck"), completes({"n": 1})])      the first attempt fails, all later ones complete

A behaviour is a coroutine function of the attempt; the last one of a list is repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.runner import AnyRunner, Completed, ConfigModel, Failed, LogSink, Outcome, RunnerContext


@dataclass(frozen=True)
class Ran:
    """One attempt that really began: what a runner was given."""

    run_id: str
    task: str
    attempt: int
    incarnation: str
    token: str
    config: JsonObject
    log: LogSink


Behaviour = Callable[[Ran], Awaitable[Any]]


def completes(output: JsonValue = None) -> Behaviour:
    async def behave(_: Ran) -> Outcome:
        return Completed(output)

    return behave


def fails(message: str = "it failed", kind: FailureKind = FailureKind.ERROR, **details: Any) -> Behaviour:
    async def behave(_: Ran) -> Outcome:
        return Failed.because(message, kind=kind, details=details or None)

    return behave


def returns(outcome: Any) -> Behaviour:
    """Hand back anything at all, as a faulty plug-in may."""

    async def behave(_: Ran) -> Any:
        return outcome

    return behave


def raises(error: BaseException) -> Behaviour:
    async def behave(_: Ran) -> Outcome:
        raise error

    return behave


def logs(*lines: str, then: Behaviour | None = None, **details: Any) -> Behaviour:
    async def behave(ran: Ran) -> Any:
        for line in lines:
            ran.log(line, **details)
        return await (then or completes())(ran)

    return behave


def takes(seconds: float, then: Behaviour | None = None) -> Behaviour:
    async def behave(ran: Ran) -> Any:
        await asyncio.sleep(seconds)
        return await (then or completes())(ran)

    return behave


def hangs() -> Behaviour:
    """Never end by itself; be gone at once when cancelled."""

    async def behave(_: Ran) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    return behave


def slow_to_end(seconds: float) -> Behaviour:
    """Hang, and need time to clean up when cancelled."""

    async def behave(_: Ran) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(seconds)
        raise AssertionError("nobody sets this event")

    return behave


def held_by(gate: asyncio.Event, then: Behaviour | None = None) -> Behaviour:
    async def behave(ran: Ran) -> Any:
        await gate.wait()
        return await (then or completes())(ran)

    return behave


class AnyConfig(BaseModel):
    model_config = ConfigDict(extra="allow")


class Work:
    """The scripts, the journal, and a registry with the two task types `scripted` and `instant` that play them."""

    def __init__(self) -> None:
        self.journal: list[Ran] = []
        self.ended: list[tuple[Ran, str]] = []
        """Attempts whose runner is through: `returned`, `raised` or `cancelled`."""
        self._scripts: dict[str, list[Behaviour]] = {}
        self._played: dict[tuple[str, str], int] = {}
        self._runners: dict[str, AnyRunner] = {"scripted": Scripted(self), "instant": Instant(self)}

    def script(self, **behaviours: list[Behaviour] | Behaviour) -> None:
        for task, listed in behaviours.items():
            self._scripts[task] = listed if isinstance(listed, list) else [listed]

    def get(self, task_type: str) -> AnyRunner | None:
        return self._runners.get(task_type)

    def types(self) -> Mapping[str, AnyRunner]:
        return self._runners

    def attempts_of(self, task: str) -> list[Ran]:
        return [ran for ran in self.journal if ran.task == task]

    @property
    def under_way(self) -> list[Ran]:
        through = {ran.token for ran, _ in self.ended}
        return [ran for ran in self.journal if ran.token not in through]

    async def play(self, config: AnyConfig, context: RunnerContext) -> Any:
        _, incarnation, token = context.environment["MILLRACE_ATTEMPT"].split(":")
        ran = Ran(
            context.run_id, context.task_id, context.attempt, incarnation, token, config.model_dump(), context.log
        )
        self.journal.append(ran)
        how = "raised"
        try:
            outcome = await self._next(ran)(ran)
            how = "returned"
            return outcome
        except asyncio.CancelledError:
            how = "cancelled"
            raise
        finally:
            self.ended.append((ran, how))

    def _next(self, ran: Ran) -> Behaviour:
        listed = self._scripts.get(ran.task) or [completes()]
        played = self._played.get((ran.run_id, ran.task), 0)
        self._played[ran.run_id, ran.task] = played + 1
        return listed[min(played, len(listed) - 1)]


class Scripted:
    type: ClassVar[str] = "scripted"
    summary: ClassVar[str] = "Plays the behaviours of a test."
    config_model: ClassVar[ConfigModel] = AnyConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, work: Work) -> None:
        self._work = work

    async def run(self, config: AnyConfig, context: RunnerContext) -> Outcome:
        outcome: Outcome = await self._work.play(config, context)
        return outcome

    async def close(self) -> None:
        """Holds nothing."""


class Instant(Scripted):
    """Plays behaviours that never suspend."""

    type: ClassVar[str] = "instant"
    instant: ClassVar[bool] = True
