"""W3: differences in the words of a definition: by task and by field."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.definition.diff import Difference, difference, longest_rising


def task(task_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "log", **fields}


def workflow(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "w", "tasks": list(tasks), **fields}


def told(found: Difference) -> list[tuple[Any, ...]]:
    fields = [(change.kind.value, change.path, change.old, change.new) for change in found.fields]
    tasks: list[tuple[Any, ...]] = [
        (change.kind.value, change.id, change.moved, [(field.path, field.old, field.new) for field in change.fields])
        for change in found.tasks
    ]
    return fields + tasks


A, B, C, D = (task(name) for name in "abcd")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (workflow(A), workflow(A), []),
        (workflow(A), workflow(A, timeout="5m"), [("added", "timeout", None, "5m")]),
        (workflow(A, timeout="5m"), workflow(A), [("removed", "timeout", "5m", None)]),
        (workflow(A, variables={"a": 1}), workflow(A, variables={"a": 2}), [("changed", "variables.a", 1, 2)]),
        (
            workflow(A, variables={"a b": 1}),
            workflow(A, variables={"a b": True}),
            [("changed", "variables['a b']", 1, True)],
        ),
        (workflow(A, output=1), workflow(A, output=1.0), [("changed", "output", 1, 1.0)]),
        (workflow(A), workflow(A, B), [("added", "b", False, [])]),
        (workflow(A, B), workflow(B), [("removed", "a", False, [])]),
        (workflow(A, B, C, D), workflow(D, A, B, C), [("moved", "d", True, [])]),
        (workflow(A, B, C), workflow(A, D, B, C), [("added", "d", False, [])]),
        (
            workflow(A),
            workflow(task("a", config={"x": {"y": 1}})),
            [("changed", "a", False, [("config", None, {"x": {"y": 1}})])],
        ),
        (
            workflow(task("a", config={"list": [1, 2]}), B, C),
            workflow(B, C, task("a", config={"list": [1, 3]})),
            [("changed", "a", True, [("config.list[1]", 2, 3)])],
        ),
        (workflow(A, B), {**workflow(A), "finally": [B]}, [("moved", "b", True, [])]),
        (
            workflow(A, triggers=[{"id": "x", "type": "cron"}, {"id": "y", "type": "manual"}]),
            workflow(A, triggers=[{"id": "y", "type": "manual", "enabled": False}]),
            [
                ("removed", "triggers.x", {"id": "x", "type": "cron"}, None),
                ("added", "triggers.y.enabled", None, False),
            ],
        ),
        (
            workflow(A, triggers=[{"id": "x"}, {"id": "y"}]),
            workflow(A, triggers=[{"id": "y"}, {"id": "x"}]),
            [("moved", "triggers", ["x", "y"], ["y", "x"])],
        ),
    ],
)  # fmt: skip
def test_each_kind_of_change(old: dict[str, Any], new: dict[str, Any], expected: list[Any]) -> None:
    assert told(difference(old, new)) == expected


def test_tasks_within_tasks_are_compared_on_their_own() -> None:
    old = workflow(task("each", tasks=[A, B]), task("which", then=[C], cases={"eu": [D]}))
    new = workflow(task("each", tasks=[A]), task("which", then=[C, B], cases={"eu": [task("d", timeout="1s")]}))
    found = difference(old, new)
    assert told(found) == [("moved", "b", True, []), ("changed", "d", False, [("timeout", None, "1s")])]
    moved, changed = found.tasks
    assert moved.before is not None
    assert moved.after is not None
    assert (moved.before.within.name, moved.before.path) == ("each.tasks", "tasks[0].tasks[1]")
    assert (moved.after.within.name, moved.after.path) == ("which.then", "tasks[1].then[1]")
    assert changed.after is not None
    assert changed.after.path == "tasks[1].cases.eu[0]"


@given(st.permutations("abcdef"))
def test_as_few_tasks_as_possible_are_said_to_have_moved(order: list[str]) -> None:
    found = difference(workflow(*(task(name) for name in "abcdef")), workflow(*(task(name) for name in order)))
    stayed = [name for name in order if name not in {change.id for change in found.tasks}]
    assert stayed == sorted(stayed)
    longest = max(
        length
        for length in range(1, 7)
        for chosen in itertools.combinations(order, length)
        if list(chosen) == sorted(chosen)
    )
    assert len(stayed) == longest


def test_ten_thousand_tasks_are_compared_at_once() -> None:
    numbers = [(7919 * number) % 10_007 for number in range(10_000)]
    positions = longest_rising(numbers)
    assert [numbers[position] for position in positions] == sorted({numbers[position] for position in positions})
