"""Which attempts are, and were, at work: what really happens, whatever the database believes."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millrace.core.values import SECOND
from millrace.ports.runner import RunnerContext

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

MARGIN = SECOND // 100
"""By which an attempt may be longer at work than its time limit: rounding, and a turn of the loop."""


class Executions:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._tokens: Counter[str] = Counter()
        self._at_work: dict[tuple[str, str], list[Process]] = defaultdict(list)
        self.begun: set[tuple[str, str, int]] = set()

    @contextmanager
    def of(self, process: "Process", context: RunnerContext) -> Iterator[None]:
        token = context.environment["MILLRACE_ATTEMPT"].rpartition(":")[2]
        task = (context.run_id, context.task_id)
        self._tokens[token] += 1
        self.begun.add((*task, context.attempt))
        self._world.told(process.name, "executes", *task, context.attempt)
        if self._tokens[token] > 1:
            self._world.problem(f"attempt {context.attempt} of {task} was executed twice")
        if self._world.weather.strict and self._at_work[task]:
            self._world.problem(f"two attempts of {task} are at work at the same time")
        plan = self._world.plan_of(context.run_id).task_at(context.task_id)
        if "*" not in process.kind.queues and plan.queue not in process.kind.queues:
            self._world.problem(f"{task} of the queue {plan.queue} is at work in {process.name}")
        self._at_work[task].append(process)
        began = self._world.steady
        try:
            yield
        finally:
            if process in self._at_work[task]:
                self._at_work[task].remove(process)
            took = self._world.steady - began
            if self._world.weather.strict and plan.timeout is not None and took > plan.timeout + MARGIN:
                self._world.problem(f"attempt {context.attempt} of {task} was at work for {took / SECOND} s")

    def end_with(self, process: "Process") -> None:
        for processes in self._at_work.values():
            processes[:] = [other for other in processes if other is not process]
