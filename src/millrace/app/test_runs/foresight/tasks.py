"""One task after the other: whether it runs, with what config, and what is known of what it comes to."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from millrace.app.test_runs.foresight import endings
from millrace.app.test_runs.foresight.controls import ControlForesight
from millrace.app.test_runs.foresight.endings import BADLY, BLOCKED, PASSED, WELL, Endings
from millrace.app.test_runs.foresight.found import (
    FAILS,
    RUNS,
    SKIPPED,
    UNKNOWN,
    WHEN_RUN,
    Begun,
    Listed,
    make_unsure,
    view_of,
)
from millrace.app.test_runs.foresight.seeing import Renderer, Seen, Value
from millrace.core.plan import Mock, Plan, TaskPlan
from millrace.core.readiness import Decision, Ending
from millrace.core.redaction import redacted
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.controls import ControlConfigs
from millrace.ports.runner import RunnerRegistry

MASK: Final = "***"
COMPUTE: Final = frozenset({"transform", "noop"})
"""Task types that come to the `output` of their config, and do nothing else."""


class Foresight:
    """Foresees the tasks of one plan; `ControlForesight`, a part of it, those that a control task is."""

    def __init__(
        self, plan: Plan, renderer: Renderer, runners: RunnerRegistry, configs: ControlConfigs, iterations: int
    ) -> None:
        """`iterations`: of a foreach, so many are told of."""
        self.plan = plan
        self.renderer = renderer
        self.configs = configs
        self.iterations = iterations
        self.secrets: set[str] = set()
        """Names of all that tasks would read that may run."""
        self.looked_at = 0
        """Tasks, each as often as it was."""
        self._runners = runners
        self._controls = ControlForesight(self)

    async def listed(self, ids: Sequence[str], seen: Seen, prefix: str = "") -> Listed:
        """The tasks of a list, those that others wait for first, told in the order in which they are listed.

        What can be read of them is noted in `seen`.
        """
        views: dict[str, dict[str, Any]] = {}
        found: dict[str, Endings] = {}
        for task_id in _in_order(self.plan, ids):
            self.looked_at += 1
            await asyncio.sleep(0)  # a definition may have ten thousand tasks, and others wait for their turn
            views[task_id], found[task_id] = await self._task(self.plan.tasks[task_id], seen, found, prefix)
        return Listed([views[task_id] for task_id in ids], found)

    async def _task(
        self, own: TaskPlan, seen: Seen, before: Mapping[str, Endings], prefix: str
    ) -> tuple[dict[str, Any], Endings]:
        decided = endings.decisions(own, before)
        if decided == {Decision.SKIP}:
            seen.note(own.id, {"status": "skipped"})
            return view_of(own, prefix, SKIPPED, f"its join rule {own.join.value} cannot be met"), BLOCKED
        doubt = None if decided == {Decision.RUN} else "it depends on how those end that it depends on"
        might_not: Endings = BLOCKED if doubt else frozenset()
        asked = await self._asked(own, seen, prefix)
        if asked.known and asked.value is False:
            seen.note(own.id, {"status": "skipped"})
            return view_of(own, prefix, SKIPPED, "its `if` is false"), PASSED | might_not
        if asked.failure is not None:
            begun = Begun(BADLY, why=asked.failure, kind="expression")
        else:
            begun = await self._begun(own, seen, prefix)
        if asked.why is not None:
            doubt, might_not = f"its `if` {asked.why}", might_not | PASSED
        return self._told(own, begun, doubt, seen, prefix), endings.allowed(own, begun.endings) | might_not

    async def _asked(self, own: TaskPlan, seen: Seen, prefix: str) -> Value:
        """The value of its `if`."""
        if own.condition is None:
            return Value(True)
        place = f"tasks.{prefix}{own.id}.if"
        asked = await self.renderer.evaluate(own.condition, seen, place)
        if asked.known and not isinstance(asked.value, bool):
            return Value(failure=f"{place} must be true or false")
        return asked

    async def _begun(self, own: TaskPlan, seen: Seen, prefix: str) -> Begun:
        if own.control is not None:
            return await self._controls.begun(own, seen, prefix)
        return await (self._by_a_worker(own, seen, prefix) if own.mock is None else self._mocked(own, own.mock, seen))

    def _told(self, own: TaskPlan, begun: Begun, doubt: str | None, seen: Seen, prefix: str) -> dict[str, Any]:
        """The view of a task that runs, or, with a doubt, may run."""
        fails = begun.endings == BADLY
        view = view_of(own, prefix, UNKNOWN if doubt else FAILS if fails else RUNS, doubt or begun.why)
        view |= begun.told
        if begun.known and not fails:
            view["output"] = begun.value
        if doubt is not None:
            for tasks in view["blocks"].values():
                make_unsure(tasks, f"it is not known whether {own.id} runs")
        if begun.inner is not None:
            seen.doubt(begun.inner, WHEN_RUN) if doubt else seen.adopt(begun.inner)
        seen.note(own.id, None if doubt else _visible(begun), WHEN_RUN)
        return view

    async def _by_a_worker(self, own: TaskPlan, seen: Seen, prefix: str) -> Begun:
        runner = self._runners.get(own.type)
        if runner is None:
            return Begun(BADLY, why=f"there is no task type {own.type!r} here", kind="refused")
        self.secrets |= own.secrets
        config = own.config if isinstance(own.config, dict) else {}
        literal = {key for key in runner.literal_fields if isinstance(config.get(key), str)}
        rendered = await self._config(own, {key: part for key, part in config.items() if key not in literal}, seen)
        whole = {**config, **rendered.value} if isinstance(rendered.value, dict) else config
        told = {"input": whole, "unrendered": rendered.unrendered}
        if rendered.failure is not None:
            return Begun(BADLY, why=rendered.failure, kind="expression", told=told)
        if rendered.known and not own.secrets:
            try:
                runner.config_model.model_validate(whole)
            except ValidationError as error:
                return Begun(BADLY, why=_faults(error), kind="invalid_input", told=told)
        known = own.type in COMPUTE and rendered.known
        output = redacted(whole.get("output"), own.redact) if known else None
        return Begun(WELL, output, known=known, told=told)

    async def _mocked(self, own: TaskPlan, mock: Mock, seen: Seen) -> Begun:
        """What it is given is told as far as it can be; it does not fail by that."""
        rendered = await self._config(own, own.config, seen)
        unrendered = dict(rendered.unrendered)
        if rendered.failure is not None:
            unrendered["config"] = rendered.failure
        told = {"input": rendered.value, "unrendered": unrendered}
        ending = endings.of_mock(own, mock)
        failure = mock.failure if ending == BADLY else None
        if failure is not None:
            return Begun(ending, why=failure.message, kind=failure.kind.value, told=told)
        return Begun(ending, redacted(mock.output, own.redact), known=True, told=told)

    async def _config(self, own: TaskPlan, config: JsonValue, seen: Seen) -> Value:
        masked = seen.with_secrets(dict.fromkeys(own.secrets, MASK))
        return await self.renderer.render(config, masked, "config")


def _visible(begun: Begun) -> JsonObject | None:
    """What others can read of a task that runs for sure; `None` if that is not known."""
    if begun.endings == BADLY:
        return {"status": "failed", "error": {"kind": begun.kind, "message": begun.why}}
    if begun.known and Ending.FAILED not in begun.endings:
        return {"status": "completed", "output": begun.value}
    return None


def _in_order(plan: Plan, ids: Sequence[str]) -> list[str]:
    """The tasks, each after those it needs."""
    left = {task_id: len(plan.tasks[task_id].needs) for task_id in ids}
    ordered = [task_id for task_id, count in left.items() if count == 0]
    for task_id in ordered:
        for dependent in plan.tasks[task_id].dependents:
            left[dependent] -= 1
            if left[dependent] == 0:
                ordered.append(dependent)
    return ordered


def _faults(error: ValidationError) -> str:
    """What is wrong at which place, without the values."""
    return "; ".join(
        f"{'.'.join(('config', *map(str, fault['loc'])))}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )
