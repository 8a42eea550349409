"""What holds for all definitions: they are accepted or told about; canonical stays canonical; cycles are found."""

from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.core.plan import Phase
from millrace.definition import content_hash
from tests.unit.definition.example import accepted, canonical, faults, plan, task, told, workflow

LONG = timedelta(seconds=5)

_IDS = ("a", "b", "c", "in", "1x", "a b", "")
_TEXTS = st.sampled_from(
    [
        *_IDS,
        "noop",
        "http",
        "transform",
        "30s",
        "{{ input.x }}",
        "{{ tasks.a.output }}",
        "{{",
        "}}",
        "{{{{",
        "é",
        "all_done",
    ]
) | st.text(max_size=10)
_SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.just(2**70) | st.just(10**400) | st.floats() | _TEXTS
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        "id",
        "name",
        "type",
        "config",
        "depends_on",
        "join",
        "if",
        "retry",
        "timeout",
        "tasks",
        "on",
        "delay",
        "url",
        "output",
        "limit",
        "input",
        "task_type",
        "order_index",
        "retry_count",
        "timeout_seconds",
        "properties",
        "$ref",
        "a.b",
    ]
) | st.text(max_size=5)
_ANY = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5), max_leaves=12
)
_TASK = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(_IDS) | _ANY,
        "name": _ANY,
        "type": st.sampled_from(["noop", "transform", "http", "shell", "foreach", "x"]) | _ANY,
        "task_type": st.sampled_from(["HTTP", "noop"]) | _ANY,
        "config": st.dictionaries(st.sampled_from(["output", "url", "command", "body", "auth"]), _ANY) | _ANY,
        "depends_on": st.lists(st.sampled_from(_IDS) | _ANY, max_size=3) | _ANY,
        "if": st.sampled_from([True, "{{ tasks.a.output }}", "{{ x }}"]) | _ANY,
        "retry": _ANY,
        "order_index": _ANY,
        "tasks": _ANY,
    },
)
_DEFINITION = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("w") | _ANY,
        "tasks": st.lists(_TASK | _ANY, max_size=4) | _ANY,
        "on_failure": st.lists(_TASK, max_size=2) | _ANY,
        "finally": st.lists(_TASK, max_size=2) | _ANY,
        "triggers": st.lists(st.dictionaries(st.sampled_from(["id", "type", "if", "config"]), _ANY), max_size=2) | _ANY,
        "input": _ANY,
        "variables": _ANY,
        "concurrency": _ANY,
        "defaults": _ANY,
        "output": _ANY,
        "timeout": _ANY,
        "labels": _ANY,
        "cron_expression": _ANY,
        "max_concurrent_runs": _ANY,
        "steps": _ANY,
    },
)


@settings(max_examples=300, deadline=LONG, suppress_health_check=[HealthCheck.too_slow])
@given(_DEFINITION | _ANY)
def test_anything_is_accepted_or_told(raw: Any) -> None:
    found = faults(raw)
    assert len({(fault.path, fault.code, fault.message) for fault in found}) == len(found), "nothing is told twice"
    for fault in found:
        assert fault.code
        assert fault.message
        assert fault.remedy
        assert len(fault.message) < 1000
    if not found:
        made = canonical(raw)
        assert canonical(made) == made
        plan(raw)


@pytest.mark.parametrize("nest", [lambda inner: {"a": inner}, lambda inner: [inner]])
@pytest.mark.parametrize("place", ["metadata", "tasks", "input", "output", "variables", "name", "other", "labels"])
def test_depth_is_bounded(place: str, nest: Any) -> None:
    value: Any = 1
    for _ in range(5000):
        value = nest(value)
    assert told({**workflow(), place: value})
    assert told(workflow(task("a", config={"output": value})))


def test_a_very_long_text_is_told_shortly() -> None:
    long = "x" * 1_000_000
    for fault in faults(
        {**workflow(task(long, long, depends_on=[long], if_=long, join=long)), long: 1, "timeout": long}
    ):
        assert len(fault.message) < 1000
        assert len(fault.remedy) < 1000


# --- well-formed ones ---

_DURATION = st.sampled_from(["30s", "5m", "PT1H", "500ms"]) | st.integers(1, 1000)
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="{}\0"), max_size=10)
    | st.sampled_from(["{{ input.x }}", "{{ run.id }}", "{{{{ literal"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abc é", max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_RETRY = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 1000),
        "delay": _DURATION,
        "multiplier": st.integers(1, 100) | st.floats(1, 100),
        "jitter": st.floats(0, 1),
        "on": st.none() | st.lists(st.sampled_from(["error", "timeout"]), max_size=2),
        "on_crash": st.booleans(),
    },
)
_GOOD_TASK = st.fixed_dictionaries(
    {"type": st.just("transform"), "config": st.fixed_dictionaries({"output": _VALUE})},
    optional={
        "name": st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20),
        "depends_on": st.none() | st.just([]),
        "join": st.sampled_from(["all_success", "all_done", "one_success", "one_failed"]),
        "if": st.none() | st.booleans() | st.just("{{ run.id != '' }}"),
        "retry": st.none() | _RETRY,
        "timeout": st.none() | _DURATION,
        "allow_failure": st.booleans(),
    },
)
_GOOD = st.fixed_dictionaries(
    {"name": st.just("w"), "tasks": st.lists(_GOOD_TASK, min_size=1, max_size=5)},
    optional={
        "description": st.none() | st.just("d"),
        "labels": st.dictionaries(st.text("ab", max_size=2), st.text("ab", max_size=2), max_size=2),
        "metadata": st.dictionaries(st.text("ab", max_size=2), _VALUE, max_size=2),
        "variables": st.dictionaries(st.text("ab", max_size=2), _VALUE, max_size=2),
        "concurrency": st.none() | st.fixed_dictionaries({"limit": st.integers(1, 9)}),
        "defaults": st.none() | st.fixed_dictionaries({}, optional={"retry": st.none() | _RETRY, "timeout": _DURATION}),
        "on_failure": st.lists(_GOOD_TASK, max_size=2),
        "finally": st.lists(_GOOD_TASK, max_size=2),
        "output": _VALUE,
        "triggers": st.lists(st.just({"type": "manual"}), max_size=2),
    },
)


@settings(max_examples=200, deadline=LONG, suppress_health_check=[HealthCheck.too_slow])
@given(_GOOD)
def test_the_canonical_form_is_a_fixpoint(raw: Any) -> None:
    first = accepted(raw)
    again = accepted(first.canonical)
    assert again.canonical == first.canonical
    assert content_hash(again.canonical) == content_hash(first.canonical)
    assert plan(first.canonical).tasks == plan(raw).tasks
    assert plan(first.canonical).output == plan(raw).output


_EDGES = st.integers(1, 8).flatmap(
    lambda count: st.lists(
        st.lists(st.integers(0, count - 1), unique=True, max_size=count), min_size=count, max_size=count
    )
)


@settings(max_examples=300, deadline=LONG)
@given(_EDGES)
def test_a_graph_is_accepted_exactly_when_it_has_no_cycle(edges: list[list[int]]) -> None:
    ids = [f"t{number}" for number in range(len(edges))]
    raw = workflow(
        *(task(ids[number], depends_on=[ids[need] for need in need_of]) for number, need_of in enumerate(edges))
    )
    try:
        TopologicalSorter(
            {ids[number]: [ids[need] for need in need_of] for number, need_of in enumerate(edges)}
        ).prepare()
    except CycleError:
        assert {code for _, code in told(raw)} == {"cycle"}
        return
    made = plan(raw)
    assert made.tasks_of(Phase.MAIN) == tuple(ids)
    mirrored = {(need, one.id) for one in made.tasks.values() for need in one.needs}
    assert mirrored == {(one.id, dependent) for one in made.tasks.values() for dependent in one.dependents}
    assert mirrored == {(ids[need], ids[number]) for number, need_of in enumerate(edges) for need in need_of}


@settings(max_examples=150, deadline=LONG)
@given(_EDGES, st.data())
def test_a_task_may_read_exactly_its_ancestors(edges: list[list[int]], data: st.DataObject) -> None:
    below = [[need for need in need_of if need < number] for number, need_of in enumerate(edges)]
    reader, read = (data.draw(st.integers(0, len(below) - 1)) for _ in range(2))
    before: set[int] = set()
    waiting = list(below[reader])
    while waiting:
        need = waiting.pop()
        before.add(need)
        waiting += below[need]
    raw = workflow(
        *(
            task(
                f"t{number}", "transform", depends_on=[f"t{need}" for need in need_of],
                config={"output": f"{{{{ tasks.t{read}.output }}}}" if number == reader else 1},
            )
            for number, need_of in enumerate(below)
        )
    )  # fmt: skip
    expected = [] if read in before else [(f"tasks[{reader}].config.output", "unknown_name")]
    assert told(raw) == expected
