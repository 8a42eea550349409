"""Large definitions, measured and printed (`-s` shows it); only what would be another order of growth fails.

Processor time is measured: what other programs take of the machine does not count.
"""

import time
from typing import Any

import pytest

from millrace.definition import compile_plan
from tests.unit.definition.example import accepted, faults, registry, task, transform, workflow


def chain_of_noops(count: int) -> dict[str, Any]:
    return workflow(*(task(f"t{number}") for number in range(count)))


def chain_of_expressions(count: int) -> dict[str, Any]:
    return workflow(
        transform("t0", 1),
        *(transform(f"t{number}", f"{{{{ tasks.t{number - 1}.output + {number} }}}}") for number in range(1, count)),
    )


def fan_out(count: int) -> dict[str, Any]:
    ids = [f"t{number}" for number in range(count)]
    return workflow(task("first"), *(task(one, depends_on=["first"]) for one in ids), task("last", depends_on=ids))


def loops(count: int) -> dict[str, Any]:
    """Loops of three tasks, one of them in a branch; each reads what went before it in its iteration."""
    return workflow(
        *(
            task(
                f"l{number}", "foreach", config={"items": "{{ input.list }}"},
                tasks=[
                    transform(f"a{number}", "{{ item.a }}"),
                    task(
                        f"b{number}", "condition", config={"if": f"{{{{ tasks.a{number}.output > {number} }}}}"},
                        then=[transform(f"c{number}", f"{{{{ tasks.a{number}.output + index }}}}")],
                    ),
                ],
            )
            for number in range(count // 4)
        )
    )  # fmt: skip


def deep_groups(count: int) -> dict[str, Any]:
    """Groups in groups, twenty deep, whose innermost tasks read what stands before the outermost."""
    towers: list[dict[str, Any]] = []
    for number in range(count // 21):
        made = transform(f"r{number}", "{{ tasks.first.output }}")
        for level in range(20):
            made = task(f"g{number}_{level}", "sequential", tasks=[made])
        towers.append(made)
    return workflow(transform("first", 1), *towers)


@pytest.mark.parametrize(
    ("made", "count"),
    [(chain_of_noops, 10_000), (chain_of_expressions, 2000), (fan_out, 9998), (loops, 2000), (deep_groups, 9996)],
    ids=["chain of no-ops", "chain of expressions", "fan-out", "loops", "deep groups"],
)
def test_large_definitions(made: Any, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    raw = made(count)
    registry()
    began = time.process_time()
    validated = accepted(raw)
    checked = time.process_time()
    plan = compile_plan(validated.definition)
    compiled = time.process_time()
    with capsys.disabled():
        print(f"\n{made.__name__}({count}): validate {checked - began:.2f} s, compile {compiled - checked:.2f} s")
    assert len(plan.tasks) >= count
    assert compiled - began < 30, "this is not linear any more"


@pytest.mark.parametrize(
    "raw",
    [
        workflow(*(task(f"a_rather_long_name_{number}", depends_on=["a_rather_long_name"]) for number in range(3000))),
        workflow(*(task("same") for _ in range(10_000))),
        workflow(*({"type": "noop", "name": "same"} for _ in range(10_000)), colour=1),
        workflow(*(transform(f"t{number}", "{{ variables.x }}" * 400) for number in range(200))),
        workflow(*(task(f"t{number}", depends_on=[f"t{(number + 1) % 10_000}"]) for number in range(10_000))),
        {"name": "w", "tasks": [{"name": f"n{n}", "task_type": "X", "order_index": 1} for n in range(10_000)]},
        workflow(metadata={str(number): {"a": number} for number in range(100_000)}, colour=1),
    ],
    ids=["unknown needs", "one id", "one name", "unknown names", "one cycle", "task list", "much data"],
)
def test_large_faulty_definitions(raw: Any, capsys: pytest.CaptureFixture[str]) -> None:
    registry()
    began = time.process_time()
    assert faults(raw)
    took = time.process_time() - began
    with capsys.disabled():
        print(f"\nfaulty: {took:.2f} s")
    assert took < 30, "this is not linear any more"


def test_more_tasks_than_there_may_be() -> None:
    (fault,) = faults(chain_of_noops(10_001))
    assert (fault.path, fault.code) == ("tasks", "value")
    assert "10000" in fault.message
