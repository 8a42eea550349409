"""Random definitions, as the compiler would hand them to the core, with the answers their expressions will get."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule, Phase, Plan, RetryPlan, TaskPlan
from millrace.core.values import SECOND

FAILS = "the expression fails"
"""The answer to an expression that has no value."""

ANSWERS = st.sampled_from([True, True, True, False, False, FAILS, 1, 0, None, "true"])
MOST_PREDECESSORS = 3


@dataclass(frozen=True)
class Scenario:
    plan: Plan
    answers: Mapping[str | None, object]
    """The value of each task's `if`, and under `None` of the run's output."""
    adopted: frozenset[str]
    """Tasks that an earlier run has completed, and all that they came after."""
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


@st.composite
def tasks_of_phase(draw: st.DrawFn, phase: Phase, sizes: list[int]) -> list[TaskPlan]:
    tasks: list[TaskPlan] = []
    for number in range(draw(st.sampled_from(sizes))):
        earlier = [task.id for task in tasks]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=MOST_PREDECESSORS)) if earlier else []
        tasks.append(
            TaskPlan(
                id=f"{phase.value}_{number}",
                type="noop",
                phase=phase,
                needs=tuple(needs),
                join=draw(st.sampled_from(JoinRule)),
                condition=draw(st.sampled_from([None, None, "input.go"])),
                retry=draw(RETRIES),
                timeout=draw(st.sampled_from([None, 5 * SECOND])),
                total_timeout=draw(st.sampled_from([None, None, 30 * SECOND])),
                queue_timeout=draw(st.sampled_from([None, 8 * SECOND])),
                allow_failure=draw(st.sampled_from([False, False, True])),
            )
        )
    return tasks


@st.composite
def undoing_tasks(draw: st.DrawFn, main: list[TaskPlan]) -> list[TaskPlan]:
    """Some tasks of the main part can be undone, by tasks that know only each other."""
    if not draw(st.booleans()):
        return []
    groups: list[TaskPlan] = []
    for owner in main:
        renamed = {}
        for task in draw(tasks_of_phase(Phase.ROLLBACK, [0, 1, 1, 2])):
            renamed[task.id] = f"undo_{owner.id}_{len(renamed)}"
            needs = tuple(renamed[need] for need in task.needs)
            groups.append(replace(task, id=renamed[task.id], needs=needs, undoes=owner.id))
    return groups


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    main = draw(tasks_of_phase(Phase.MAIN, [0, 1, 1, 2, 3, 5]))
    listed = [
        *main,
        *draw(tasks_of_phase(Phase.ON_FAILURE, [0, 1, 2])),
        *draw(undoing_tasks(main)),
        *draw(tasks_of_phase(Phase.FINALLY, [0, 1, 1, 2])),
    ]
    tasks = {
        task.id: replace(task, dependents=tuple(other.id for other in listed if task.id in other.needs))
        for task in listed
    }
    plan = Plan(
        tasks=tasks,
        phases={phase: tuple(task.id for task in listed if task.phase is phase) for phase in Phase},
        rollbacks={
            owner.id: group
            for owner in listed
            if (group := tuple(task.id for task in listed if task.undoes == owner.id))
        },
        output={"sum": "{{ 1 + 1 }}"} if draw(st.booleans()) else None,
        timeout=draw(st.sampled_from([None, 60 * SECOND])),
        handler_timeout=40 * SECOND,
        max_concurrent_runs=1,
    )
    answers: dict[str | None, object] = {task.id: draw(ANSWERS) for task in listed if task.condition is not None}
    answers[None] = draw(st.sampled_from([{"sum": 2}, {"sum": 2}, FAILS]))
    return Scenario(plan, answers, draw(adoptions(plan)), draw(st.booleans()))


@st.composite
def adoptions(draw: st.DrawFn, plan: Plan) -> frozenset[str]:
    main = plan.tasks_of(Phase.MAIN)
    if not main or not draw(st.sampled_from([False, False, True])):
        return frozenset()
    adopted: set[str] = set()
    for path in main:
        if adopted.issuperset(plan.tasks[path].needs) and draw(st.booleans()):
            adopted.add(path)
    return frozenset(adopted)
