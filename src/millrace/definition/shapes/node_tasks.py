"""Single nodes of a graph: what they are called, and the task or trigger that each becomes."""

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.names import is_task_id, numbered, task_id_from
from millrace.definition.shapes.config_names import with_canonical_names
from millrace.definition.shapes.node_types import (
    LANGUAGES,
    NodeKind,
    config_names,
    is_trigger_node,
    kind_of_node,
)
from millrace.definition.shapes.rewritten import Places
from millrace.definition.shapes.trigger_words import canonical_config

PARAMETERS, DISABLED = "parameters", "disabled"
DRAWING = ("position", "type_version", "typeVersion")
"""What only says how an editor draws the node."""
OWN = frozenset({"id", "name", "node_type", "type", "subtype", PARAMETERS, DISABLED, *DRAWING})
SAID_OTHERWISE = {"config": f"write {PARAMETERS}", "depends_on": "write it into connections"}
"""Fields of a canonical task that a node has no place for, and what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it is written. `kind` is `None` if it cannot be told; `called`: its names, by field."""

    path: str
    raw: JsonObject
    kind: NodeKind | None
    id: str
    """Of the task or trigger that it becomes."""
    called: tuple[tuple[str, str], ...]

    @property
    def is_trigger(self) -> bool:
        return self.kind.is_trigger if self.kind is not None else is_trigger_node(self.raw)

    @property
    def shown(self) -> str:
        return self.called[-1][1] if self.called else self.path


def read_nodes(written: Sequence[JsonValue], faults: FaultList) -> list[Node]:
    """Every node, also one that is malformed: connections name the others by their place."""
    mappings = [node if isinstance(node, dict) else {} for node in written]
    taken: dict[bool, set[str]] = {True: set(), False: set()}
    counts: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for node in mappings:
        if is_task_id(own := _text(node, "id")):
            taken[is_trigger_node(node)].add(own)
    kept: set[tuple[bool, str]] = set()
    nodes = []
    for number, (node, raw) in enumerate(zip(mappings, written, strict=True)):
        path = at("nodes", number)
        if not isinstance(raw, dict):
            faults.add(path, "type", f"a node must be a mapping, not {kind_of(raw)}", "write {node_type: …}")
        kind = kind_of_node(node, path, faults) if isinstance(raw, dict) else None
        is_trigger, own = is_trigger_node(node), _text(node, "id")
        if is_task_id(own) and (is_trigger, own) not in kept:
            kept.add((is_trigger, own))
        else:
            own = numbered(_base(node, kind), taken[is_trigger], counts[is_trigger])
        called = tuple((field, name) for field in ("id", "name") if (name := _text(node, field)))
        nodes.append(Node(path, node, kind, own, called))
    return nodes


def task_of(node: Node, path: str, places: Places, faults: FaultList) -> JsonObject:
    """The task of a node, without what its connections say. One whose kind is not known was told, and does nothing."""
    _note(node, path, places)
    made: JsonObject = {"id": node.id}
    if node.raw.get("name") is not None:
        made["name"] = node.raw["name"]
    if node.kind is None:
        return {**made, "type": "noop"}
    made["type"] = "transform" if node.kind.is_branch else node.kind.type
    config = _config(node, node.kind, path, places, faults)
    if config != {}:
        made["config"] = config
    made |= _rest(node, faults)
    if _is_disabled(node, faults):
        made["if"] = False
    return made


def trigger_of(node: Node, path: str, places: Places, faults: FaultList) -> JsonObject:
    """The trigger of a node; its name is only for connections."""
    _note(node, path, places)
    given = node.raw.get(PARAMETERS)
    config: JsonValue = {} if given is None else given
    kind = None if node.kind is None else node.kind.type
    if isinstance(config, dict) and kind is not None:
        config = canonical_config(kind, config, at(path, "config"), at(node.path, PARAMETERS), places, faults)
    made: JsonObject = {"id": node.id, "type": kind or "manual"}
    if config != {}:
        made["config"] = config
    made |= _rest(node, faults)
    if _is_disabled(node, faults):
        made["enabled"] = False
    return made


def _note(node: Node, path: str, places: Places) -> None:
    """Note where the parts of a task or trigger come from."""
    told_by = next(
        (field for field in ("subtype", "node_type", "type") if node.raw.get(field) is not None), "node_type"
    )
    places |= {
        path: node.path,
        at(path, "type"): at(node.path, told_by),
        at(path, "config"): at(node.path, PARAMETERS),
    }
    if DISABLED in node.raw:
        places[at(path, "enabled")] = at(node.path, DISABLED)


def _config(node: Node, kind: NodeKind, path: str, places: Places, faults: FaultList) -> JsonValue:
    given, inner, original = node.raw.get(PARAMETERS), at(path, "config"), at(node.path, PARAMETERS)
    if given is not None and not isinstance(given, dict):
        return given
    config = with_canonical_names(given or {}, config_names(kind.type), inner, original, places, faults)
    if kind.is_branch:
        return _branch(config, inner, original, places, faults)
    if kind.type == "script" and kind.word in LANGUAGES:
        config.setdefault("language", LANGUAGES[kind.word])
    return config


def _branch(config: JsonObject, path: str, original: str, places: Places, faults: FaultList) -> JsonObject:
    """The config of the transform task whose output is what the branch decides."""
    places[at(path, "output")] = places.get(at(path, "condition"), at(original, "condition"))
    for name in config.keys() - {"condition"}:
        message = f"there is no field {name!r} here"
        faults.add(at(original, name), "unknown_field", message, "the field of a node of the kind if is condition")
    asked = config.get("condition")
    if asked is None:
        remedy = "write an expression, such as input.amount > 100"
        faults.add(at(original, "condition"), "missing", "condition is missing", remedy)
        return {"output": None}
    if isinstance(asked, str):
        return {"output": asked if "{{" in asked else f"{{{{ {asked} }}}}"}
    if not isinstance(asked, bool):
        message = f"condition must be text, not {kind_of(asked)}"
        faults.add(at(original, "condition"), "type", message, "write an expression, such as input.amount > 100")
    return {"output": asked}


def _rest(node: Node, faults: FaultList) -> JsonObject:
    """The fields that a node shares with canonical tasks or triggers; those that have none are told as such later."""
    for name in SAID_OTHERWISE.keys() & node.raw.keys():
        message = f"there is no field {name!r} in a node"
        faults.add(at(node.path, name), "unknown_field", message, SAID_OTHERWISE[name])
    return {name: value for name, value in node.raw.items() if name not in OWN and name not in SAID_OTHERWISE}


def _is_disabled(node: Node, faults: FaultList) -> bool:
    given = node.raw.get(DISABLED)
    if given is not None and not isinstance(given, bool):
        message = f"{DISABLED} must be true or false, not {kind_of(given)}"
        faults.add(at(node.path, DISABLED), "type", message, "write true or false")
    return given is True


def _base(node: JsonObject, kind: NodeKind | None) -> str:
    """What an id is made from, if the node has none that can be one."""
    what = "trigger" if is_trigger_node(node) else "task"
    name = _text(node, "name") or _text(node, "id")
    return task_id_from(name, what) if name else (kind.type if kind is not None else what)


def _text(node: JsonObject, field: str) -> str:
    value = node.get(field)
    return value.strip() if isinstance(value, str) else ""
