"""Random plans: small graphs in which everything can happen."""

import random

from millrace.core.plan import JoinRule, Phase, Plan, RetryPlan, TaskPlan
from millrace.core.values import SECOND


def random_plan(chance: random.Random, *, limited: bool) -> Plan:
    phases: dict[Phase, tuple[str, ...]] = {}
    tasks: dict[str, TaskPlan] = {}
    for phase, most in ((Phase.MAIN, 6), (Phase.ON_FAILURE, 2), (Phase.FINALLY, 2)):
        count = chance.randint(1 if phase is Phase.MAIN else 0, most)
        made = _tasks(chance, phase, count)
        tasks |= made
        phases[phase] = tuple(made)
    return Plan(
        tasks=tasks,
        phases=phases,
        output=chance.choice([None, None, "true", "error"]),
        timeout=chance.choice([None, None, 3_000 * SECOND]),
        max_concurrent_runs=2 if limited else None,
    )


def _tasks(chance: random.Random, phase: Phase, count: int) -> dict[str, TaskPlan]:
    names = [f"{phase.value}_{number}" for number in range(count)]
    needs = {name: tuple(need for need in names[:number] if chance.random() < 0.4) for number, name in enumerate(names)}
    return {
        name: TaskPlan(
            id=name,
            type="chance",
            phase=phase,
            needs=needs[name],
            dependents=tuple(other for other in names if name in needs[other]),
            join=chance.choice([JoinRule.ALL_SUCCESS, JoinRule.ALL_SUCCESS, *JoinRule]),
            condition=chance.choice([None, None, None, "true", "false", "error"]),
            retry=RetryPlan(
                max_attempts=chance.randint(1, 3),
                delay=chance.choice([0, SECOND, 60 * SECOND]),
                on_crash=chance.random() < 0.7,
            ),
            timeout=1_000 * SECOND,
            total_timeout=chance.choice([None, None, 2_500 * SECOND]),
            allow_failure=chance.random() < 0.2,
        )
        for name in names
    }
