"""All there is to know of a type of control task: its config, the lists it takes, and what its expressions read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from millrace.core.controls import (
    APPROVAL,
    CONTROL_TYPES,
    DEFAULT,
    ELSE,
    SLEEP,
    SUB_WORKFLOW,
    TASKS,
    THEN,
    UNTIL,
    WAIT_FOR_EVENT,
)
from millrace.core.values import JsonObject
from millrace.definition.controls import configs
from millrace.definition.fields import Part
from millrace.definition.model import CASES, NESTED
from millrace.ports.runner import BUILT_IN, ListedType

PARALLEL: Final = "parallel"


OF_WORKERS = ("retry", "total_timeout", "queue_timeout", "queue", "priority", "concurrency")
"""Fields of a task that say how workers are to run it; control tasks take none of them."""


CONDITION: Final = "condition"
DECIDES: Final = "if"
"""The field of its config by which a condition decides."""
DECIDED_BESIDE: Final = ("condition", "when", "expression")
"""What others call that, and write beside `type`."""


class Sees(StrEnum):
    """What an expression of a config reads besides what the task may read."""

    ITERATION = "iteration"
    """What belongs to an iteration of this loop: its `item`, `index`, `previous`, but none of its tasks."""
    RESULTS = "results"
    """The same, and the tasks of the loop as an iteration left them."""
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class ControlKind:
    config: type[Part]
    summary: str
    blocks: tuple[str, ...] = ()
    """The fields of the task that hold its tasks."""
    needed: bool = False
    """Whether there must be a task in one of them, in `tasks` itself or in one or more cases."""
    expressions: tuple[str, ...] = ()
    """Fields of the config that are one expression each."""
    sees: Mapping[str, Sees] | None = None
    """By field of the config; the others read what the task may read."""
    fixed: tuple[str, ...] = ()
    """Fields of the config that no expression can stand for."""
    names: tuple[str, ...] = ()
    """What a task within it may read of the iteration that it stands in."""
    told: bool = False
    """Whether its output is there before its tasks begin: it says what came, and they may read it."""

    @property
    def is_loop(self) -> bool:
        return bool(self.names)

    @property
    def read_within(self) -> tuple[str, ...]:
        """Fields of `tasks.ID` that a task within it may read, though it has not ended."""
        return ("output",) if self.told else self.names


KINDS: Mapping[str, ControlKind] = {
    "condition": ControlKind(
        configs.ConditionConfig,
        "Run one of two lists of tasks.",
        blocks=(THEN, ELSE),
        needed=True,
        expressions=("if",),
    ),
    "switch": ControlKind(
        configs.SwitchConfig, "Run one of several lists of tasks, by a value.", blocks=(CASES, DEFAULT), needed=True
    ),
    "sequential": ControlKind(
        configs.GroupConfig, "Run tasks one after another, as one task.", blocks=(TASKS,), needed=True
    ),
    PARALLEL: ControlKind(
        configs.GroupConfig, "Run tasks at the same time, as one task.", blocks=(TASKS,), needed=True
    ),
    "foreach": ControlKind(
        configs.ForEachConfig,
        "Run tasks for each item of a list, several items at the same time.",
        blocks=(TASKS,),
        needed=True,
        expressions=("items", "key"),
        sees={"key": Sees.ITERATION, "output": Sees.RESULTS},
        fixed=("concurrency", "stop_on_failure"),
        names=("item", "index"),
    ),
    "while": ControlKind(
        configs.WhileConfig,
        "Run tasks again and again as long as a condition is true.",
        blocks=(TASKS,),
        needed=True,
        expressions=("condition",),
        sees={"condition": Sees.RESULTS, "output": Sees.RESULTS},
        fixed=("max_iterations",),
        names=("index", "previous"),
    ),
    SUB_WORKFLOW: ControlKind(configs.SubWorkflowConfig, "Start a run of another workflow, and wait for its end."),
    SLEEP: ControlKind(configs.SleepConfig, "Do nothing for some time; no worker is held."),
    UNTIL: ControlKind(configs.UntilConfig, "Do nothing until a time; no worker is held."),
    WAIT_FOR_EVENT: ControlKind(
        configs.WaitForEventConfig,
        "Wait for an event, or for a signal to the run.",
        blocks=(THEN, ELSE),
        expressions=("filter",),
        sees={"filter": Sees.EVENT},
        told=True,
    ),
    APPROVAL: ControlKind(
        configs.ApprovalConfig, "Wait until somebody approves or rejects.", blocks=(THEN, ELSE), told=True
    ),
    "signal": ControlKind(configs.SignalConfig, "Send a signal to another run."),
}

assert KINDS.keys() == CONTROL_TYPES  # noqa: S101 - the core and the language know the same types

CONTROL_CONFIGS: Mapping[str, type[Part]] = {name: kind.config for name, kind in KINDS.items()}
CONTROL_SUMMARIES: Mapping[str, str] = {name: kind.summary for name, kind in KINDS.items()}


class ControlTypes:
    """Control tasks, for the list of task types. Meets `ports.runner.TypeSource`."""

    def listed(self) -> Iterator[ListedType]:
        return (ListedType(name, kind.summary, BUILT_IN, kind.config) for name, kind in KINDS.items())


def decided_beside(task: JsonObject) -> str | None:
    """The field beside the config of a condition that is meant to be what it decides by, though it is no field."""
    config = task.get("config")
    if task.get("type") != CONDITION or (isinstance(config, dict) and DECIDES in config):
        return None
    return next((field for field in DECIDED_BESIDE if field in task), None)


def takers_of(block: str) -> list[str]:
    """The types that take a list of tasks under this field."""
    return sorted(name for name, kind in KINDS.items() if block in kind.blocks)


def takes(task_type: str, field: str) -> bool | None:
    """Whether a type of control task takes a field of tasks; `None` for other types."""
    kind = KINDS.get(task_type)
    if kind is None:
        return None
    return field not in OF_WORKERS and (field not in NESTED or field in kind.blocks)


def is_loop(task_type: str) -> bool:
    kind = KINDS.get(task_type)
    return kind is not None and kind.is_loop


def with_article(task_type: str) -> str:
    return f"{'an' if task_type[0] in 'aeiou' else 'a'} {task_type}"
