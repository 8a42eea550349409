"""Control tasks: what the engine does itself, without a worker. Each kind says what decides it and what it holds.

    branches    condition, switch            one of several lists of tasks runs
    groups      sequential, parallel         a list of tasks that counts as one task
    loops       foreach, while               a list of tasks runs again and again, each time under its own paths
    waits       sleep, until, wait_for_event, approval, sub_workflow       nothing runs until something comes
    signal      tells another run something, and goes on
    settled     what any of them comes to when a test run says so

A task within a control task belongs to one of its *blocks*, the lists named here. A block begins when it is decided
that it runs; until then there are no task runs of it, and none ever of a block that is not taken.

The fields that hold templates are opaque to the core: it hands them to whoever answers `effects.Ask`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from millrace.core.failures import Failure
from millrace.core.values import JsonObject, JsonValue

TASKS, THEN, ELSE, DEFAULT = "tasks", "then", "else", "default"
"""Names of blocks. Those of a switch are `cases.NAME` and `default`."""


def case_block(name: str) -> str:
    return f"cases.{name}"


@dataclass(frozen=True, slots=True)
class Condition:
    """`then` runs if `expression` (CEL, without braces) is true, else `else`."""

    expression: str


@dataclass(frozen=True, slots=True)
class Switch:
    """The block of the case whose name is the text of `value` runs, or else `default`."""

    value: JsonValue
    cases: frozenset[str]


@dataclass(frozen=True, slots=True)
class Group:
    """`sequential` and `parallel`: who waits for whom in the block is in the plans of its tasks."""


@dataclass(frozen=True, slots=True)
class ForEach:
    """The block runs for each of `items`, at most `concurrency` of them at the same time."""

    items: JsonValue
    concurrency: int
    key: str | None = None
    """CEL source, without braces, of what an item is called; unique among the items."""
    result: JsonValue = None
    """Template of what an iteration comes to; without `has_result` it is the output of its last listed task."""
    has_result: bool = False
    stop_on_failure: bool = False
    """No further iteration begins after one has failed."""
    names: JsonObject | None = None
    """What `item` and `index` stand for, in a test run that has one iteration alone; opaque here."""


@dataclass(frozen=True, slots=True)
class While:
    """The block runs as long as `expression` (CEL, without braces), asked before each iteration, is true."""

    expression: str
    max_iterations: int
    result: JsonValue = None
    has_result: bool = False
    names: JsonObject | None = None
    """As of a foreach: `index` and `previous`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing runs until what `kind` (the task's type) waits for comes. `config` is a template, rendered at its begin.

    `then` runs when it came, `else` when it did not come in time or was refused. Without an `else` the task fails then.
    """

    kind: str
    config: JsonObject
    filter: str | None = None
    """CEL source, without braces, over `event` and all else that the task may read: what came counts if it is true."""
    at_once: bool = False
    """Its time is over as soon as it is known what it waits for: in a test run with virtual time."""


@dataclass(frozen=True, slots=True)
class SignalRun:
    """Tell a run something. `config` is a template."""

    config: JsonObject


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is asked and nothing waited for: the task has `output`, and then `block` runs, or it fails."""

    output: JsonValue = None
    block: str | None = None
    failure: Failure | None = None


Control: TypeAlias = Condition | Switch | Group | ForEach | While | Wait | SignalRun | Settled
Loop: TypeAlias = ForEach | While

SLEEP, UNTIL, WAIT_FOR_EVENT, APPROVAL, SUB_WORKFLOW = "sleep", "until", "wait_for_event", "approval", "sub_workflow"
SIGNAL = "signal"

CONTROL_TYPES = frozenset(
    {
        "condition", "switch", "sequential", "parallel", "foreach", "while", SIGNAL,
        SLEEP, UNTIL, WAIT_FOR_EVENT, APPROVAL, SUB_WORKFLOW,
    }
)  # fmt: skip


# --- paths ------------------------------------------------------------------------------------------------------------
#
# The path of a task run is the id of its task, within loops preceded by the iterations it stands in:
# `load`, `loop[3].load`, `outer[2].inner[0].load`. Branches and groups add nothing: their tasks' ids are unique anyway,
# and a task keeps its path when it is put into one.


def id_in(path: str) -> str:
    """The id of the task that a path leads to."""
    return path[path.rfind(".") + 1 :]


def prefix_of(path: str) -> str:
    """The iterations that a path stands in, with the dot: `outer[2].inner[0].`, or nothing outside of loops."""
    return path[: path.rfind(".") + 1]


def iteration_of(path: str) -> str:
    """The innermost iteration that a path stands in: `outer[2].inner[0]`, or nothing outside of loops."""
    return path[: max(path.rfind("."), 0)]


def loop_and_index(iteration: str) -> tuple[str, int]:
    """The path of the loop and the number of the iteration: `outer[2].inner[0]` is `outer[2].inner` and 0."""
    loop, _, index = iteration[:-1].rpartition("[")
    return loop, int(index)


def iterations_around(path: str) -> Iterator[tuple[str, int]]:
    """Every iteration that a path stands in, the outermost first: the loop's path and the index."""
    at = path.find("].")
    while at >= 0:
        yield loop_and_index(path[: at + 1])
        at = path.find("].", at + 1)
