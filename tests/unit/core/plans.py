"""Plans in a few words: tasks as they are listed, those within others written where they stand."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

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
from millrace.core.plan import Phase, Plan, TaskPlan


@dataclass(frozen=True)
class Nest:
    """A control task with what stands in its blocks."""

    own: TaskPlan
    blocks: Mapping[str, tuple["Listed", ...]] = field(default_factory=dict)


Listed: TypeAlias = TaskPlan | Nest
Block: TypeAlias = Iterable[Listed]


def task(path: str, *needs: str, phase: Phase = Phase.MAIN, **fields: Any) -> TaskPlan:
    return TaskPlan(path, "noop", phase, needs=needs, **fields)


def handler(path: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `on_failure`."""
    return task(path, *needs, phase=Phase.ON_FAILURE, **fields)


def closing(path: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `finally`."""
    return task(path, *needs, phase=Phase.FINALLY, **fields)


def undoing(path: str, owner: str, *needs: str, **fields: Any) -> TaskPlan:
    """A task of `on_rollback` of `owner`."""
    return task(path, *needs, phase=Phase.ROLLBACK, undoes=owner, **fields)


# --- control tasks ----------------------------------------------------------------------------------------------------


def _nest(path: str, needs: tuple[str, ...], control: Control, blocks: Mapping[str, Block], fields: Any) -> Nest:
    return Nest(task(path, *needs, control=control, **fields), {name: tuple(block) for name, block in blocks.items()})


def condition(path: str, *needs: str, then: Block = (), otherwise: Block = (), **fields: Any) -> Nest:
    return _nest(path, needs, Condition("input.yes"), {THEN: then, ELSE: otherwise}, fields)


def switch(path: str, *needs: str, cases: Mapping[str, Block], default: Block = (), **fields: Any) -> Nest:
    blocks = {**{case_block(name): block for name, block in cases.items()}, DEFAULT: default}
    return _nest(path, needs, Switch("{{ input.kind }}", frozenset(cases)), blocks, fields)


def group(path: str, *needs: str, of: Block = (), **fields: Any) -> Nest:
    """`parallel`, and `sequential` if the tasks need each other."""
    return _nest(path, needs, Group(), {TASKS: of}, fields)


def foreach(
    path: str, *needs: str, of: Block, at_once: int = 1, stops: bool = False, **fields: Any
) -> Nest:  # fmt: skip
    """`at_once`: the `concurrency`; `stops`: `stop_on_failure`."""
    control = ForEach("{{ input.items }}", at_once, stop_on_failure=stops)
    return _nest(path, needs, control, {TASKS: of}, fields)


def loop(path: str, *needs: str, of: Block, most: int = 100, **fields: Any) -> Nest:
    """A `while`; `most`: its `max_iterations`."""
    return _nest(path, needs, While("input.on", most), {TASKS: of}, fields)


def wait(
    path: str, *needs: str, kind: str = WAIT_FOR_EVENT, then: Block = (), otherwise: Block | None = None,
    only: str | None = None, **fields: Any,
) -> Nest:  # fmt: skip
    """`only`: its `filter`. Without `otherwise` it has no `else`, not even an empty one."""
    blocks = {THEN: then} if otherwise is None else {THEN: then, ELSE: otherwise}
    return _nest(path, needs, Wait(kind, {}, only), blocks, fields)


def sleep(path: str, *needs: str, **fields: Any) -> Nest:
    return wait(path, *needs, kind=SLEEP, **fields)


def approval(path: str, *needs: str, **fields: Any) -> Nest:
    return wait(path, *needs, kind=APPROVAL, **fields)


def child(path: str, *needs: str, **fields: Any) -> Nest:
    """A `sub_workflow`."""
    return wait(path, *needs, kind=SUB_WORKFLOW, **fields)


def signal(path: str, *needs: str, **fields: Any) -> Nest:
    return _nest(path, needs, SignalRun({}), {}, fields)


# --- the plan ---------------------------------------------------------------------------------------------------------


def plan_of(*listed: Listed, **fields: Any) -> Plan:
    tasks = {one.id: one for one in _laid_out(listed, None, (), None)}
    top = [one for one in tasks.values() if one.parent is None]
    undone = {one.undoes for one in top}
    rollbacks = {one.id: tuple(o.id for o in top if o.undoes == one.id) for one in top if one.id in undone}
    phases = {phase: tuple(one.id for one in top if one.phase is phase) for phase in Phase}
    return Plan(
        tasks,
        phases,
        rollbacks=rollbacks,
        has_controls=any(one.control is not None for one in tasks.values()),
        has_loops=any(one.loops for one in tasks.values()),
        **fields,
    )


def _laid_out(
    listed: Iterable[Listed], parent: str | None, loops: tuple[str, ...], phase: Phase | None
) -> Iterator[TaskPlan]:
    """All tasks of a list, each followed by what stands in it; `phase` is that of what they stand in."""
    nests = [one if isinstance(one, Nest) else Nest(one) for one in listed]
    after: dict[str, list[str]] = defaultdict(list)
    for nest in nests:
        for need in nest.own.needs:
            after[need].append(nest.own.id)
    for nest in nests:
        own = replace(
            nest.own,
            parent=parent,
            loops=loops,
            phase=phase or nest.own.phase,
            blocks={name: tuple(id_of(one) for one in block) for name, block in nest.blocks.items()},
            dependents=tuple(after[nest.own.id]),
        )
        yield own
        inner = (*loops, own.id) if isinstance(own.control, ForEach | While) else loops
        for block in nest.blocks.values():
            yield from _laid_out(block, own.id, inner, own.phase)


def id_of(listed: Listed) -> str:
    return listed.own.id if isinstance(listed, Nest) else listed.id
