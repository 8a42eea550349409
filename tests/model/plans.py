"""Random definitions, as the compiler would hand them to the core: tasks, and control tasks nested in each other."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from millrace.core.controls import (
    APPROVAL,
    DEFAULT,
    ELSE,
    SLEEP,
    SUB_WORKFLOW,
    TASKS,
    THEN,
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
from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule, Phase, Plan, RetryPlan, TaskPlan
from millrace.core.values import SECOND
from tests.model.answering import Answers, answers_to

MOST_PREDECESSORS = 3
DEEPEST = 3
ITEMS = 3
"""At most so many of a foreach."""


@dataclass(frozen=True)
class Scenario:
    plan: Plan
    answers: Answers
    adopted: frozenset[str]
    """Paths of tasks that an earlier run has completed, and all that they came after."""
    claimed_at_once: bool
    """Whether a worker claims what a commit schedules in that same commit, as one with free slots does."""


RETRIES = st.builds(
    RetryPlan,
    max_attempts=st.integers(1, 3),
    delay=st.sampled_from([0, SECOND, 20 * SECOND]),
    multiplier=st.sampled_from([1.0, 2.0]),
    jitter=st.sampled_from([0.0, 0.5]),
    on=st.sampled_from([None, None, frozenset({FailureKind.ERROR}), frozenset({FailureKind.REFUSED})]),
    on_crash=st.sampled_from([True, True, False]),
)

WAITS = [SLEEP, WAIT_FOR_EVENT, WAIT_FOR_EVENT, APPROVAL, SUB_WORKFLOW, SUB_WORKFLOW]
FILTERS = st.sampled_from([None, None, "event.n > 1"])
SIMPLE_WAITS: st.SearchStrategy[Control] = st.builds(Wait, st.sampled_from(WAITS), st.just({}), FILTERS)
LOOPS: st.SearchStrategy[Control] = st.one_of(
    st.builds(ForEach, st.just("{{ input.items }}"), st.integers(1, 3), stop_on_failure=st.booleans()),
    st.builds(While, st.just("input.on"), st.integers(1, ITEMS)),
)
BRANCHES: st.SearchStrategy[Control] = st.sampled_from(
    [Condition("input.yes"), Switch("{{ input.kind }}", frozenset({"a", "b"})), SignalRun({})]
)
CONTROLS: st.SearchStrategy[Control] = st.one_of(st.just(Group()), BRANCHES, LOOPS, SIMPLE_WAITS, SIMPLE_WAITS)


def names_of_blocks(control: Control) -> list[str]:
    match control:
        case Condition():
            return [THEN, ELSE]
        case Switch(cases=cases):
            return [*map(case_block, sorted(cases)), DEFAULT]
        case Group() | ForEach() | While():
            return [TASKS]
        case Wait(kind=kind):
            return [THEN, ELSE] if kind in (WAIT_FOR_EVENT, APPROVAL) else []
        case SignalRun():
            return []


@dataclass(frozen=True)
class Place:
    """Where a list of tasks stands; its tasks are called after it."""

    name: str
    phase: Phase
    parent: str | None = None
    loops: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        return self.name.count("-")


@st.composite
def listed(draw: st.DrawFn, place: Place, sizes: list[int]) -> list[TaskPlan]:
    """A list of tasks, each followed by those within it."""
    found: list[TaskPlan] = []
    own: list[TaskPlan] = []
    for number in range(draw(st.sampled_from(sizes))):
        earlier = [task.id for task in own]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=MOST_PREDECESSORS)) if earlier else []
        task = draw(tasks(place, f"{place.name}_{number}", tuple(needs)))
        inner: list[TaskPlan] = []
        if task.control is not None:
            task, inner = draw(with_blocks(task))
        own.append(task)
        found += [task, *inner]
    return [
        replace(task, dependents=tuple(other.id for other in own if task.id in other.needs)) if task in own else task
        for task in found
    ]


@st.composite
def tasks(draw: st.DrawFn, place: Place, task_id: str, needs: tuple[str, ...]) -> TaskPlan:
    control = None
    if draw(st.booleans()):
        control = draw(CONTROLS if place.depth < DEEPEST else SIMPLE_WAITS)
    task = TaskPlan(
        id=task_id,
        type="noop",
        phase=place.phase,
        needs=needs,
        join=draw(st.sampled_from(JoinRule)),
        condition=draw(st.sampled_from([None, None, None, "input.go"])),
        timeout=draw(st.sampled_from([None, 5 * SECOND])),
        allow_failure=draw(st.sampled_from([False, False, True])),
        control=control,
        parent=place.parent,
        loops=place.loops,
    )
    if control is not None:
        return task
    return replace(
        task,
        retry=draw(RETRIES) if draw(st.booleans()) else RetryPlan(),
        total_timeout=draw(st.sampled_from([None, None, 30 * SECOND])),
        queue_timeout=draw(st.sampled_from([None, 8 * SECOND])),
    )


@st.composite
def with_blocks(draw: st.DrawFn, task: TaskPlan) -> tuple[TaskPlan, list[TaskPlan]]:
    """A control task with its blocks, and the tasks in them."""
    assert task.control is not None
    loop = isinstance(task.control, ForEach | While)
    sizes = [1, 1, 2] if loop else [0, 1, 1, 2]
    blocks: dict[str, tuple[str, ...]] = {}
    inner: list[TaskPlan] = []
    for name in names_of_blocks(task.control):
        if name == ELSE and isinstance(task.control, Wait) and draw(st.booleans()):
            continue
        at = Place(
            f"{task.id}-{name.removeprefix('cases.')[0]}",
            task.phase,
            task.id,
            (*task.loops, task.id) if loop else task.loops,
        )
        block = draw(listed(at, sizes))
        blocks[name] = tuple(one.id for one in block if one.parent == task.id)
        inner += block
    return replace(task, blocks=blocks), inner


@st.composite
def undoing_tasks(draw: st.DrawFn, main: list[TaskPlan]) -> list[TaskPlan]:
    """Some tasks of the main part can be undone, by tasks that know only each other."""
    if not draw(st.booleans()):
        return []
    groups: list[TaskPlan] = []
    for owner in main:
        if owner.parent is None:
            undoing = draw(listed(Place(f"undo_{owner.id}", Phase.ROLLBACK), [0, 1, 1, 2]))
            groups += [replace(task, undoes=owner.id) if task.parent is None else task for task in undoing]
    return groups


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    main = draw(listed(Place("main", Phase.MAIN), [0, 1, 1, 2, 3, 5]))
    all_tasks = [
        *main,
        *draw(listed(Place("on_failure", Phase.ON_FAILURE), [0, 1, 2])),
        *draw(undoing_tasks(main)),
        *draw(listed(Place("finally", Phase.FINALLY), [0, 1, 1, 2])),
    ]
    top = [task for task in all_tasks if task.parent is None]
    plan = Plan(
        tasks={task.id: task for task in all_tasks},
        phases={phase: tuple(task.id for task in top if task.phase is phase) for phase in Phase},
        rollbacks={
            owner.id: group for owner in top if (group := tuple(task.id for task in top if task.undoes == owner.id))
        },
        output={"sum": "{{ 1 + 1 }}"} if draw(st.booleans()) else None,
        timeout=draw(st.sampled_from([None, 60 * SECOND])),
        handler_timeout=40 * SECOND,
        max_concurrent_runs=1,
        has_controls=any(task.control is not None for task in all_tasks),
        has_loops=any(task.loops for task in all_tasks),
    )
    return Scenario(plan, draw(answers_to(plan)), draw(adoptions(plan)), draw(st.booleans()))


@st.composite
def adoptions(draw: st.DrawFn, plan: Plan) -> frozenset[str]:
    if not draw(st.booleans()):
        return frozenset()
    return frozenset(draw(adopted_of(plan, plan.tasks_of(Phase.MAIN), "")))


@st.composite
def adopted_of(draw: st.DrawFn, plan: Plan, ids: tuple[str, ...], prefix: str) -> list[str]:
    """Of a list of tasks some, and of groups and loops that are not among them some of what is within.

    What was adopted within a branch, or within a task with an `if`, decides that for good: examples show how.
    """
    adopted: list[str] = []
    for task_id in ids:
        task = plan.tasks[task_id]
        if not {prefix + need for need in task.needs} <= set(adopted):
            continue
        if draw(st.sampled_from([True, False] if task.control is None else [False, False, True])):
            adopted.append(prefix + task_id)
            continue
        if task.condition is None and isinstance(task.control, Group | ForEach):
            for block, inner in blocks_at(task, prefix):
                adopted += draw(adopted_of(plan, block, inner))
    return adopted


def blocks_at(task: TaskPlan, prefix: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The blocks of a task, each with the prefix of the paths in it; of a loop, for each iteration there may be."""
    for block in task.blocks.values():
        if isinstance(task.control, ForEach | While):
            yield from ((block, f"{prefix}{task.id}[{index}].") for index in range(ITEMS))
        else:
            yield block, prefix
