"""What holds for all definitions with tasks in tasks: accepted or told about, canonical for good, compiled in full."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.core.controls import CONTROL_TYPES, case_block
from millrace.core.plan import Plan, TaskPlan
from millrace.definition import content_hash
from millrace.definition.compiling import reads_of
from millrace.definition.outline import placed_tasks
from tests.unit.definition.example import accepted, canonical, faults, plan, task, told, transform, workflow
from tests.unit.definition.test_control_tasks import control

LONG = timedelta(seconds=5)

# --- malformed ones ---

_SCALARS = st.sampled_from(
    [None, True, 0, 3, "", "a", "b", "{{ item }}", "{{ tasks.a.output }}", "{{ index", "{{ event.x }}", "30s", "x.*"]
)
_KEYS = st.sampled_from(
    [
        "id",
        "type",
        "config",
        "tasks",
        "then",
        "else",
        "cases",
        "default",
        "depends_on",
        "if",
        "timeout",
        "retry",
        "items",
        "value",
        "condition",
        "key",
        "output",
        "filter",
        "signal",
        "message",
        "form",
        "duration",
        "time",
        "workflow",
        "run",
        "name",
        "concurrency",
        "max_iterations",
        "on_rollback",
    ]
)
_ANY = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=10
)
_TYPES = st.sampled_from([*sorted(CONTROL_TYPES), "noop", "transform", "foreech"])
_CONFIG = st.dictionaries(_KEYS, _SCALARS | _ANY, max_size=3)


def _tasks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=2) | _ANY
    return st.fixed_dictionaries(
        {"type": _TYPES},
        optional={
            "id": st.sampled_from("abc"),
            "config": _CONFIG,
            "tasks": lists,
            "then": lists,
            "else": lists,
            "cases": st.dictionaries(st.sampled_from(["eu", "", "x.y", "1]"]), lists, max_size=2) | _ANY,
            "default": lists,
            "depends_on": st.lists(st.sampled_from("abc"), max_size=2),
            "on_rollback": lists,
            "retry": _ANY,
            "timeout": _ANY,
            "if": _ANY,
        },
    )


_TASK = st.recursive(_tasks(_ANY), _tasks, max_leaves=8)


@settings(max_examples=250, deadline=LONG, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_TASK, min_size=1, max_size=3), st.lists(_TASK, max_size=1))
def test_anything_is_accepted_or_told(tasks: list[Any], handlers: list[Any]) -> None:
    raw = {"name": "w", "tasks": tasks, "on_failure": handlers}
    found = faults(raw)
    assert len({(fault.path, fault.code, fault.message) for fault in found}) == len(found), "nothing is told twice"
    assert all(fault.code and fault.message and fault.remedy for fault in found)
    if not found:
        made = canonical(raw)
        assert canonical(made) == made
        complete(plan(raw), made)


# --- well-formed ones ---


@dataclass
class Node:
    """A task in the making; `lists` are the lists in it by field."""

    kind: str
    lists: dict[str, list["Node"]] = field(default_factory=dict)
    id: str = ""
    reads: str | None = None

    def raw(self) -> dict[str, Any]:
        if self.kind == "transform":
            return transform(self.id, 1 if self.reads is None else f"{{{{ tasks.{self.reads}.output }}}}")
        lists: dict[str, Any] = {name: [node.raw() for node in nodes] for name, nodes in self.lists.items()}
        if self.kind == "switch":
            lists = {"cases": {"eu": lists["eu"]}, "default": lists["default"]}
        return {**control(self.kind, id=self.id), **lists}


_FIELDS = {
    "sequential": ["tasks"],
    "parallel": ["tasks"],
    "foreach": ["tasks"],
    "while": ["tasks"],
    "condition": ["then", "else"],
    "switch": ["eu", "default"],
    "approval": ["then", "else"],
}


def _holders(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.sampled_from(sorted(_FIELDS)).flatmap(
        lambda kind: st.builds(
            Node,
            st.just(kind),
            st.fixed_dictionaries({name: st.lists(inner, min_size=1, max_size=3) for name in _FIELDS[kind]}),
        )
    )


_LEAF = st.builds(Node, st.sampled_from(["transform", "transform", "sleep"]))
_NODES = st.lists(st.recursive(_LEAF, _holders, max_leaves=12), min_size=1, max_size=4)


@dataclass(frozen=True)
class Standing:
    """Where a node stands: the way to it from the top, as (list, position, whether the list runs at once, node)."""

    way: tuple[tuple[int, int, bool, Node], ...]

    @property
    def node(self) -> Node:
        return self.way[-1][3]


def standing(nodes: list[Node]) -> list[Standing]:
    found: list[Standing] = []

    def visit(listed: list[Node], at_once: bool, way: tuple[tuple[int, int, bool, Node], ...]) -> None:
        for position, node in enumerate(listed):
            node.id = f"t{len(found)}"
            here = (*way, (id(listed), position, at_once, node))
            found.append(Standing(here))
            for inner in node.lists.values():
                visit(inner, node.kind == "parallel", here)

    visit(nodes, False, ())
    return found


def too_deep(nodes: list[Node]) -> bool:
    return any(
        sum(node.kind in ("foreach", "while") for _, _, _, node in one.way) > 5 or len(one.way) > 21
        for one in standing(nodes)
    )


@settings(max_examples=80, deadline=LONG, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(_NODES.filter(lambda nodes: not too_deep(nodes)))
def test_the_canonical_form_is_a_fixpoint_and_compiles_in_full(nodes: list[Node]) -> None:
    standing(nodes)
    raw = workflow(*(node.raw() for node in nodes))
    first = accepted(raw)
    assert first.canonical == raw
    again = accepted(first.canonical)
    assert again.canonical == first.canonical
    assert content_hash(again.canonical) == content_hash(first.canonical)
    complete(plan(raw), raw)


def complete(made: Plan, raw: Any) -> None:
    """Every task of a definition is in its plan, once, and each of its lists is a block or a phase."""
    assert sorted(made.tasks) == sorted(placed.id for placed in placed_tasks(raw))
    order = list(made.tasks)
    listed = [one for tasks in made.phases.values() for one in tasks]
    for one in made.tasks.values():
        assert (one.control is not None) == (one.type in CONTROL_TYPES)
        for ids in one.blocks.values():
            listed += ids
            for inner in (made.tasks[name] for name in ids):
                assert (inner.parent, inner.phase) == (one.id, one.phase)
                assert inner.loops == (*one.loops, *([one.id] if one.type in ("foreach", "while") else []))
                assert order.index(one.id) < order.index(inner.id)
        for need in one.needs:
            assert one.id in made.tasks[need].dependents
            assert block_of(made, one) == block_of(made, made.tasks[need])
        list(reads_of(one))
    assert sorted(listed) == sorted(made.tasks)


def block_of(made: Plan, one: TaskPlan) -> tuple[str | None, str]:
    if one.parent is None:
        return None, f"{one.phase} {one.undoes}"
    return one.parent, next(name for name, ids in made.tasks[one.parent].blocks.items() if one.id in ids)


def test_names_of_blocks() -> None:
    raw = workflow(task("a", "switch", config={"value": 1}, cases={"x.y": [task("b")], "": []}))
    assert list(plan(raw).tasks["a"].blocks) == [case_block("x.y"), case_block("")]


def may_read(reader: Standing, read: Standing) -> bool:
    """The rule in other words: on the way that both have in common nothing is left open, and then the one comes later.

    What stands beyond that in a loop has many results.
    """
    for (mine, at, at_once, _), (theirs, other, _, node) in zip(reader.way, read.way, strict=False):
        if mine != theirs:
            return False
        if at != other:
            beyond = read.way[read.way.index((theirs, other, at_once, node)) : -1]
            return other < at and not at_once and all(one.kind not in ("foreach", "while") for *_, one in beyond)
    # What is around it has not ended, but a wait has got what it waited for.
    return len(read.way) < len(reader.way) and read.node.kind in ("approval", "wait_for_event")


def pairs(nodes: list[Node]) -> Iterator[tuple[Standing, Standing]]:
    all_ = standing(nodes)
    for reader in all_:
        if reader.node.kind == "transform":
            for read in all_:
                yield reader, read


@settings(max_examples=80, deadline=LONG, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(_NODES.filter(lambda nodes: not too_deep(nodes)), st.data())
def test_a_task_may_read_exactly_what_went_before_it_in_its_iteration(nodes: list[Node], data: st.DataObject) -> None:
    possible = list(pairs(nodes))
    if not possible:
        return
    reader, read = data.draw(st.sampled_from(possible))
    reader.node.reads = read.node.id
    found = told(workflow(*(node.raw() for node in nodes)))
    reader.node.reads = None
    assert [code for _, code in found] == ([] if may_read(reader, read) else ["unknown_name"])
