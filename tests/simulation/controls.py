"""Random control tasks: what the lists of a random plan hold beside tasks that workers run, nested in one another.

Their templates are words that the evaluator of the simulation knows (`words`).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from millrace.core.controls import (
    APPROVAL,
    DEFAULT,
    ELSE,
    SLEEP,
    SUB_WORKFLOW,
    TASKS,
    THEN,
    UNTIL,
    WAIT_FOR_EVENT,
    Condition,
    Control,
    ForEach,
    Group,
    SignalRun,
    Switch,
    Wait,
    While,
    case_block,
)
from millrace.core.plan import RetryPlan, TaskPlan
from millrace.core.values import SECOND, JsonObject

Tasks = Mapping[str, TaskPlan]
Lister = Callable[[str, int, bool], dict[str, TaskPlan]]
"""Makes a list of plain tasks: the beginning of their names, how many, whether one after another."""

DEEPEST = 3
LEAVES = (SLEEP, UNTIL, WAIT_FOR_EVENT, APPROVAL, SUB_WORKFLOW, "signal")
HOLDERS = ("condition", "switch", "sequential", "parallel", "foreach", "foreach", "while")
EVENTS = ("simulation.a", "simulation.b")
EVENT_KEYS = ("one", "two")
SIGNALS = ("go", "stop")


@dataclass(frozen=True, slots=True)
class Nesting:
    chance: random.Random
    share: float
    """Of the tasks of a list that are control tasks."""
    workflows: Sequence[str]
    """Those that a sub-workflow may name."""

    def of(self, tasks: Tasks, lister: Lister, *, depth: int = 1, loops: tuple[str, ...] = ()) -> dict[str, TaskPlan]:
        """The tasks, some of them as control tasks, each followed by all that stands in it."""
        found: dict[str, TaskPlan] = {}
        for name, plain in tasks.items():
            task = replace(plain, loops=loops)
            if self.chance.random() >= self.share / depth:
                found[name] = task
                continue
            task, lists = self._control_task(task, lister, depth)
            found[name] = task
            within = (*loops, name) if isinstance(task.control, ForEach | While) else loops
            for listed in lists:
                inner = {path: replace(one, parent=name, undoes=None) for path, one in listed.items()}
                found |= self.of(inner, lister, depth=depth + 1, loops=within)
        return found

    def _control_task(self, task: TaskPlan, lister: Lister, depth: int) -> tuple[TaskPlan, list[dict[str, TaskPlan]]]:
        chance = self.chance
        kind = chance.choice(LEAVES if depth == DEEPEST else LEAVES + HOLDERS)
        blocks = {
            block: lister(f"{task.id}{'abcdefg'[number]}", count, kind == "sequential")
            for number, (block, count) in enumerate(self._blocks(kind, depth).items())
        }
        task = replace(
            task,
            type=kind,
            control=self._control(kind, depth, blocks),
            blocks={block: tuple(listed) for block, listed in blocks.items()},
            retry=RetryPlan(),
            timeout=chance.choice([None, 5 * SECOND, 20 * SECOND, 60 * SECOND]),
            total_timeout=None,
            queue_timeout=None,
            limit=None,
            templated=False,
            config=None,
        )
        return task, list(blocks.values())

    def _blocks(self, kind: str, depth: int) -> dict[str, int]:
        """Which lists there are, and of how many tasks."""
        chance = self.chance
        most = 3 if depth == 1 else 2
        match kind:
            case "sequential" | "parallel" | "foreach" | "while":
                return {TASKS: chance.randint(1, most)}
            case "condition":
                lists = (THEN, ELSE)
            case "switch":
                lists = (case_block("one"), case_block("true"), DEFAULT)
            case "wait_for_event" | "approval" if depth < DEEPEST:
                lists = (THEN, ELSE)
            case _:
                return {}
        return {block: chance.randint(0, 2) for block in lists if chance.random() < 0.7}

    def _control(self, kind: str, depth: int, blocks: Mapping[str, Tasks]) -> Control:
        chance = self.chance
        result = chance.choice([(None, False), (None, False), ("result", True), (None, True)])
        match kind:
            case "condition":
                return Condition(chance.choice(["true", "false", "perhaps", "perhaps", "error"]))
            case "switch":
                cases = frozenset(block.removeprefix("cases.") for block in blocks if block != DEFAULT)
                return Switch(chance.choice(["one", "one", "true", "elsewhere", 2, None, "error"]), cases)
            case "sequential" | "parallel":
                return Group()
            case "foreach":
                return ForEach(
                    items=chance.choice([f"items {chance.randint(0, (6, 3, 2)[depth - 1])}"] * 9 + ["true"]),
                    concurrency=chance.randint(1, 3),
                    key=chance.choice([None, None, None, "key", "same"]),
                    result=result[0],
                    has_result=result[1],
                    stop_on_failure=chance.random() < 0.4,
                )
            case "while":
                times = chance.randint(0, (4, 3, 2)[depth - 1])
                return While(f"below {times}", max(1, times + chance.choice([0, 0, 0, -1])), *result)
            case "signal":
                data: JsonObject = {"wanted": chance.random() < 0.7}
                return SignalRun({"run": chance.choice(["some run", "this run"]), "name": _one(chance), "data": data})
            case _:
                wanted = chance.choice([None, "wanted", "wanted", "error"]) if kind == WAIT_FOR_EVENT else None
                return Wait(kind, self._config(kind), wanted)

    def _config(self, kind: str) -> JsonObject:
        """What a wait is for."""
        chance = self.chance
        match kind:
            case "sleep":
                return {"duration": chance.choice(["0s", "1s", "5s", "20s"])}
            case "until":
                return {"time": chance.choice(["in -5", "in 3", "in 15"])}
            case "wait_for_event" if chance.random() < 0.4:
                return {"signal": _one(chance)}
            case "wait_for_event":
                key = chance.choice([None, *EVENT_KEYS])
                types = chance.choice([EVENTS[0], EVENTS[1], [*EVENTS], "simulation.*"])
                return {"type": types} if key is None else {"type": types, "key": key}
            case "approval":
                default = chance.choice([None, "approve", "reject"])
                return {"message": "may it?"} if default is None else {"message": "may it?", "default": default}
            case _:
                wait = chance.random() < 0.7
                return {"workflow": chance.choice([*self.workflows, *self.workflows, "missing"]), "wait": wait}


def _one(chance: random.Random) -> str:
    return chance.choice(SIGNALS)
