"""Random definitions, as the compiler would hand them to the core: tasks, and control tasks nested in each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
from millrace.core.run import Ahead
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
    ahead: Mapping[str, Ahead]
    """Control tasks that go on where it left them."""
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
    taken = draw(taken_over(plan)) if draw(st.booleans()) else TakenOver()
    return Scenario(plan, draw(answers_to(plan)), frozenset(taken.adopted), taken.ahead, draw(st.booleans()))


@dataclass
class TakenOver:
    """What a run has from an earlier one."""

    adopted: list[str] = field(default_factory=list)
    ahead: dict[str, Ahead] = field(default_factory=dict)

    def add(self, other: "TakenOver") -> None:
        self.adopted += other.adopted
        self.ahead |= other.ahead


@st.composite
def taken_over(draw: st.DrawFn, plan: Plan) -> TakenOver:
    return draw(taken_of(plan, plan.tasks_of(Phase.MAIN), ""))


@st.composite
def taken_of(draw: st.DrawFn, plan: Plan, ids: tuple[str, ...], prefix: str) -> TakenOver:
    """Of a list of tasks some as a whole, and of control tasks that are not among them some of what is within."""
    taken = TakenOver()
    for task_id in ids:
        task = plan.tasks[task_id]
        if not {prefix + need for need in task.needs} <= set(taken.adopted):
            continue
        if draw(st.sampled_from([True, False] if task.control is None else [False, False, True])):
            taken.adopted.append(prefix + task_id)
        elif task.control is not None and draw(st.booleans()):
            taken.add(draw(stopped_in(plan, task, prefix)))
    return taken


@st.composite
def stopped_in(draw: st.DrawFn, plan: Plan, task: TaskPlan, prefix: str) -> TakenOver:
    """Where an earlier run stopped in a control task that it had begun."""
    path, taken = prefix + task.id, TakenOver()
    match task.control:
        case Group() | Condition() | Switch() | Wait() if task.blocks:
            block = draw(st.sampled_from(sorted(task.blocks)))
            taken.ahead[path] = Ahead(block)
            taken.add(draw(taken_of(plan, task.blocks[block], prefix)))
        case ForEach():
            taken.ahead[path] = Ahead(TASKS, ITEMS)
            for index in range(ITEMS):
                taken.add(draw(taken_of(plan, task.blocks[TASKS], f"{path}[{index}].")))
        case While(max_iterations=most):
            done = draw(st.integers(0, most))
            taken.adopted += [f"{path}[{index}].{one}" for index in range(done) for one in task.blocks[TASKS]]
            begun = done < most and draw(st.booleans())
            taken.ahead[path] = Ahead(TASKS, done + begun)
            if begun:
                taken.add(draw(taken_of(plan, task.blocks[TASKS], f"{path}[{done}].")))
    return taken
