"""The shapes a definition may have (SPEC W7). Each is rewritten to the canonical one before it is checked:

    the envelope is opened → triggers get their canonical words → the shape of what is left is rewritten

A definition with the keys of two shapes is refused: whatever was left out of it silently would be missed later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from millrace.core.values import JsonObject
from millrace.definition.faults import FaultList
from millrace.definition.shapes import envelope
from millrace.definition.shapes.linked_steps import from_linked_steps
from millrace.definition.shapes.node_graph import from_node_graph, has_trigger_nodes
from millrace.definition.shapes.rewritten import Places, Rewritten
from millrace.definition.shapes.task_list import from_task_list, is_task_list, with_short_words, without_taken_out
from millrace.definition.shapes.trigger_words import with_trigger_words

Stage: TypeAlias = Callable[[JsonObject, FaultList], tuple[JsonObject, Places] | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """What tells a shape from the others. `keys`: top-level fields that no other one has, the most telling first."""

    name: str
    keys: tuple[str, ...]
    stage: Stage


def merged(stored: JsonObject, given: JsonObject) -> JsonObject:
    """`stored` with the top-level fields of a request in place of its own; null takes a field out.

    `given` may have any accepted shape, or some fields of one: what it says in its own words, and what it says within
    an envelope, takes the place of what is stored as well.
    """
    inner = envelope.contents(given)
    said = {**given, **inner}
    left = without_taken_out(stored, said)
    replaced = set(inner)
    if _keys_in(said, OTHERS):
        replaced.add("tasks")
    if has_trigger_nodes(said):
        replaced.add("triggers")
    kept = {key: value for key, value in left.items() if key not in replaced}
    return {key: value for key, value in {**kept, **given}.items() if value is not None}


def to_canonical(raw: JsonObject, faults: FaultList) -> Rewritten | None:
    """`raw` in the canonical shape; `None` and a fault when it is of none, or of several.

    From here on `faults` takes paths of what was rewritten last.
    """
    rewritten = Rewritten(raw)
    if envelope.key_of(raw) is not None:
        opened = _next(rewritten, envelope.opened, faults)
        if opened is None:
            return None
        rewritten = opened
    faults.place = rewritten.place
    if not _is_one_shape(rewritten.raw, faults):
        return None
    with_triggers = _next(rewritten, with_trigger_words, faults)
    assert with_triggers is not None, "there are triggers or none"  # noqa: S101
    return _next(with_triggers, _stage_of(with_triggers.raw), faults)


def _next(rewritten: Rewritten, stage: Stage, faults: FaultList) -> Rewritten | None:
    faults.place = rewritten.place
    made = stage(rewritten.raw, faults)
    return None if made is None else Rewritten(*made, before=rewritten)


def _stage_of(raw: JsonObject) -> Stage:
    for shape in OTHERS:
        if _keys_in(raw, (shape,)):
            return shape.stage
    return from_task_list if is_task_list(raw) else _canonical


def _canonical(raw: JsonObject, _: FaultList) -> tuple[JsonObject, Places]:
    return with_short_words(raw)


def _beside(stage: Stage) -> Stage:
    """A stage for a shape beside which the short words of the task list may stand."""

    def both(raw: JsonObject, faults: FaultList) -> tuple[JsonObject, Places] | None:
        made = stage(raw, faults)
        if made is None:
            return None
        canonical, short = with_short_words(made[0])
        return canonical, {**made[1], **short}

    return both


SHAPES = (
    Shape("a list of tasks", ("tasks",), _canonical),
    Shape("linked steps", ("start_step", "steps"), _beside(from_linked_steps)),
    Shape("a graph of nodes", ("nodes", "connections"), _beside(from_node_graph)),
)
OTHERS = SHAPES[1:]


def _keys_in(raw: Mapping[str, object], shapes: tuple[Shape, ...]) -> dict[str, Shape]:
    """The first key of each of these shapes that `raw` has. A list of `steps` is no chain but a slip for `tasks`."""
    found = {}
    for shape in shapes:
        given = [key for key in shape.keys if raw.get(key) is not None]
        if given and not (given == ["steps"] and isinstance(raw["steps"], list)):
            found[given[0]] = shape
    return found


def _is_one_shape(raw: JsonObject, faults: FaultList) -> bool:
    """Whether `raw` has the keys of one shape at most; a fault for each further one."""
    (first, shape), *others = _keys_in(raw, SHAPES).items() or [("", SHAPES[0])]
    for key, other in others:
        message = f"{faults.place(key)} belongs to {other.name}, and {faults.place(first)} to {shape.name}"
        faults.add(key, "ambiguous_shape", message, f"leave out {key} or {first}: a definition has one shape")
    return not others
