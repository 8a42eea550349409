"""The graph of nodes: `{"nodes": [{"node_type", "subtype", "parameters", …}], "connections"}`.

Trigger nodes become triggers, all others tasks, by the map of `node_types`; connections become `depends_on`, and the
outputs of branches an `if` of what hangs on them. Without any connection the nodes run in the order of the list. Fields
of a canonical task that are not about its work (`retry`, `timeout`, …) may stand in a node as well.
"""

from collections.abc import Mapping, Sequence

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.model import MOST_TASKS
from millrace.definition.shapes.branches import condition, questions_of
from millrace.definition.shapes.connections import CONNECTIONS, OUTPUT, Edge, read_edges
from millrace.definition.shapes.node_tasks import Node, read_nodes, task_of, trigger_of
from millrace.definition.shapes.node_types import is_trigger_node
from millrace.definition.shapes.rewritten import Places
from millrace.definition.structure import shown

NODES = "nodes"
OUTPUTS: Mapping[str, bool] = {"true": True, "false": False}
"""Words for the outputs of a branch; their numbers, 0 and 1, stand for them as well."""

NO_NODES = 'write "nodes": [{"node_type": …, "subtype": …, "parameters": {…}}]'


def has_trigger_nodes(raw: JsonObject) -> bool:
    """Whether a graph says itself what starts it."""
    nodes = raw.get(NODES)
    return isinstance(nodes, list) and any(isinstance(node, dict) and is_trigger_node(node) for node in nodes)


def from_node_graph(raw: JsonObject, faults: FaultList) -> tuple[JsonObject, Places] | None:
    """The canonical shape of `raw`, and where its parts stand in `raw`; `None` if it has no nodes to speak of."""
    written = raw.get(NODES)
    if not isinstance(written, list) or not 0 < len(written) <= MOST_TASKS:
        faults.add(NODES, *_no_nodes(written))
        return None
    nodes = read_nodes(written, faults)
    names, told = _names(nodes, faults), len(faults.found)
    edges = read_edges(raw.get(CONNECTIONS), names, faults)
    sound = len(faults.found) == told
    tasks, triggers = [node for node in nodes if not node.is_trigger], [node for node in nodes if node.is_trigger]
    if not tasks:
        faults.add(NODES, "value", "there are only triggers among the nodes", "add a node that does something")
        return None
    places: Places = {"tasks": NODES}
    canonical = {key: value for key, value in raw.items() if key not in (NODES, CONNECTIONS)}
    if triggers:
        _refuse_both(raw, triggers[0], faults)
        made = [trigger_of(node, f"triggers[{number}]", places, faults) for number, node in enumerate(triggers)]
        canonical["triggers"] = [*made]
    _check_edges(nodes, edges, faults)
    if sound and edges and triggers:
        _check_reached(nodes, edges, faults)
    done: list[JsonObject] = [task_of(node, f"tasks[{n}]", places, faults) for n, node in enumerate(tasks)]
    canonical["tasks"] = [*(_ordered(done, nodes, edges, places, faults) if edges else done)]
    return canonical, places


def _no_nodes(written: JsonValue) -> tuple[str, str, str]:
    """Code, message and remedy for what is no list of nodes."""
    if written is None:
        return "missing", f"{NODES} is missing", NO_NODES
    if not isinstance(written, list):
        return "type", f"{NODES} must be a list, not {kind_of(written)}", NO_NODES
    if not written:
        return "value", f"{NODES} must not be empty", NO_NODES
    message = f"{NODES} must have at most {MOST_TASKS} entries, not {len(written)}"
    return "value", message, "make several workflows of it"


def _names(nodes: Sequence[Node], faults: FaultList) -> dict[str, int]:
    """What connections may call the nodes."""
    names: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for field, name in node.called:
            if names.setdefault(name, position) != position:
                message = f"{name} is also what {faults.place(nodes[names[name]].path)} is called"
                faults.add(at(node.path, field), "duplicate", message, "give each node a name of its own")
    return names


def _refuse_both(raw: JsonObject, node: Node, faults: FaultList) -> None:
    if raw.get("triggers") is not None:
        message = f"triggers are given here and as nodes ({faults.place(node.path)})"
        faults.add("triggers", "contradiction", message, "leave out triggers, or the nodes that are triggers")


def _check_edges(nodes: Sequence[Node], edges: Sequence[Edge], faults: FaultList) -> None:
    """Nothing leads to a trigger."""
    for edge in edges:
        target = nodes[edge.target]
        if target.is_trigger:
            message = f"{target.shown} is a trigger, and nothing goes before one"
            faults.add(edge.place, "value", message, "take the connection out")


def _check_reached(nodes: Sequence[Node], edges: Sequence[Edge], faults: FaultList) -> None:
    """Something leads to every node but triggers. Asked only where all connections were understood."""
    entered = {edge.target for edge in edges}
    for position, node in enumerate(nodes):
        if position not in entered and not node.is_trigger:
            message = f"nothing leads to {node.shown}, so no trigger would start it"
            faults.add(node.path, "unreachable", message, "connect it with a trigger or another node")


def _ordered(
    tasks: Sequence[JsonObject], nodes: Sequence[Node], edges: Sequence[Edge], places: Places, faults: FaultList
) -> list[JsonObject]:
    """The tasks with what goes before each, and with the questions that this makes them ask."""
    paths = {str(task["id"]): f"tasks[{number}]" for number, task in enumerate(tasks)}
    ways: dict[str, list[tuple[str, bool | None]]] = {task: [] for task in paths}
    needs: dict[str, list[str]] = {task: [] for task in paths}
    for edge in edges:
        source, target = nodes[edge.source], nodes[edge.target]
        output = _output(edge, source, faults)
        if source.is_trigger or target.is_trigger:
            continue
        ways[target.id].append((source.id, output))
        if source.id not in needs[target.id]:
            places[f"{paths[target.id]}.depends_on[{len(needs[target.id])}]"] = edge.place
            needs[target.id].append(source.id)
    places |= {f"{path}.depends_on": CONNECTIONS for path in paths.values()}
    asked = questions_of(ways)
    made: list[JsonObject] = []
    for task in tasks:
        task_id = str(task["id"])
        found = condition(asked[task_id], task.get("if"))
        made.append({**task, "depends_on": [*needs[task_id]], **({} if found is None else {"if": found})})
    return made


def _output(edge: Edge, source: Node, faults: FaultList) -> bool | None:
    """Which output of a branch an edge leaves; `None` for every other node, which has one."""
    given, place = edge.output, at(edge.place, OUTPUT)
    is_branch = source.kind is not None and source.kind.is_branch
    if not is_branch:
        if given not in (None, 0, "main") or given is False:
            message = f"{source.shown} has one output; only a node of the kind if has two"
            faults.add(place, "value", message, f"leave out {OUTPUT}")
        return None
    if isinstance(given, bool):
        return given
    if isinstance(given, int) and given in (0, 1):
        return given == 0
    output = OUTPUTS.get(given.lower()) if isinstance(given, str) else None
    if output is None:
        code, said = ("missing", "is missing") if given is None else ("value", f"cannot be {shown(given)}")
        message = f"{OUTPUT} {said}: {source.shown} has an output true and an output false"
        faults.add(place, code, message, f"write {OUTPUT}: true or {OUTPUT}: false")
    return output
