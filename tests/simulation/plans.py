"""Random plans: small graphs in which everything can happen, within a few simulated minutes.

Every other plan has tasks that workers run and nothing else; the rest nests control tasks (`controls`).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from millrace.core.plan import JoinRule, Phase, Plan, RetryPlan, TaskLimit, TaskPlan
from millrace.core.values import SECOND
from tests.simulation.controls import Nesting

LIMITS = {"scarce": 1, "common": 2}
ORDER = (Phase.MAIN, Phase.ON_FAILURE, Phase.ROLLBACK, Phase.FINALLY)
QUEUES = ("default", "default", "special")


def random_plan(chance: random.Random, workflows: Sequence[str] = (), *, nested: Sequence[float] = (0.0, 0.0)) -> Plan:
    """`workflows`: those that sub-workflows may name. `nested`: of the tasks, the shares that may be control tasks."""
    most = chance.choice([1, 3, 5, 8])
    main = _tasks(chance, Phase.MAIN, chance.randint(1, most))
    rollbacks = _rollbacks(chance, main)
    parts = (
        main,
        _tasks(chance, Phase.ON_FAILURE, chance.choice([0, 0, 1, 2])),
        {name: task for undone in rollbacks.values() for name, task in undone.items()},
        _tasks(chance, Phase.FINALLY, chance.choice([0, 0, 1, 2])),
    )
    nesting = Nesting(chance, chance.choice(nested), workflows)
    tasks = {
        name: task
        for phase, part in zip(ORDER, parts, strict=True)
        for name, task in nesting.of(part, partial(_listed, chance, phase)).items()
    }
    return Plan(
        tasks=tasks,
        phases=dict(zip(ORDER, map(tuple, parts), strict=True)),
        rollbacks={path: tuple(undone) for path, undone in rollbacks.items()},
        output=chance.choice([None, None, "true", "large", "error"]),
        timeout=chance.choice([None, None, 40 * SECOND, 200 * SECOND]),
        handler_timeout=chance.choice([30, 100]) * SECOND,
        limited=any(task.limit is not None for task in tasks.values()),
        has_controls=any(task.control is not None for task in tasks.values()),
        has_loops=any(task.loops for task in tasks.values()),
    )


def _tasks(chance: random.Random, phase: Phase, count: int) -> dict[str, TaskPlan]:
    return _listed(chance, phase, phase.value, count)


def _listed(chance: random.Random, phase: Phase, prefix: str, count: int, in_line: bool = False) -> dict[str, TaskPlan]:
    """So many tasks of a list. `in_line`: each waits for the one before it, and for no other."""
    names = [f"{prefix}_{number}" for number in range(count)]
    share = chance.choice([0.0, 0.3, 0.6, 1.0])
    needs = {
        name: tuple(names[max(0, number - 1) : number])
        if in_line
        else tuple(need for need in names[:number] if chance.random() < share)
        for number, name in enumerate(names)
    }
    dependents = {name: tuple(other for other in names if name in needs[other]) for name in names}
    return {name: _task(chance, name, phase, needs[name], dependents[name]) for name in names}


def _task(
    chance: random.Random, name: str, phase: Phase, needs: tuple[str, ...] = (), dependents: tuple[str, ...] = ()
) -> TaskPlan:
    limit = chance.choice([None, None, None, None, *LIMITS])
    return TaskPlan(
        id=name,
        type=chance.choice(["chance", "chance", "chance", "instant"]),
        phase=phase,
        needs=needs,
        dependents=dependents,
        join=chance.choice([JoinRule.ALL_SUCCESS, JoinRule.ALL_SUCCESS, *JoinRule]),
        condition=chance.choice([None, None, None, None, "true", "true", "false", "error"]),
        retry=RetryPlan(
            max_attempts=chance.randint(1, 3),
            delay=chance.choice([0, SECOND, 10 * SECOND]),
            on_crash=chance.random() < 0.7,
        ),
        timeout=chance.choice([5, 20, 20, 60]) * SECOND,
        total_timeout=chance.choice([None, None, None, 50 * SECOND]),
        queue_timeout=chance.choice([None, None, None, 5 * SECOND, 30 * SECOND]),
        allow_failure=chance.random() < 0.2,
        queue=chance.choice(QUEUES),
        priority=chance.choice([None, None, -1, 5]),
        limit=None if limit is None else TaskLimit(limit, LIMITS[limit]),
        config={"seen": "names"},
        templated=chance.random() < 0.2,
    )


def _rollbacks(chance: random.Random, main: Mapping[str, TaskPlan]) -> dict[str, dict[str, TaskPlan]]:
    """For some tasks, one or two that undo it, one after the other."""
    if chance.random() < 0.7:
        return {}
    found: dict[str, dict[str, TaskPlan]] = {}
    for path in main:
        if chance.random() < 0.5:
            first, second = f"undo_{path}_0", f"undo_{path}_1"
            found[path] = {first: _undoing(chance, first, path, (), (second,))}
            found[path][second] = _undoing(chance, second, path, (first,), ())
    return found


def _undoing(
    chance: random.Random, name: str, path: str, needs: tuple[str, ...], dependents: tuple[str, ...]
) -> TaskPlan:
    return replace(_task(chance, name, Phase.ROLLBACK, needs, dependents), undoes=path, join=JoinRule.ALL_SUCCESS)
