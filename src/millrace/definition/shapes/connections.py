"""The connections of a graph of nodes, in one of two forms:

    {"Fetch": {"main": [[{"node": "Load", "type": "main", "index": 0}]]}}     by node, each output a list
    [{"from": "Fetch", "to": "Load", "output": "true"}]                       a list (`source`, `target` as well)

Nodes are called by their id or their name. The index of an input says nothing: a node takes all that leads to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.words import hint

CONNECTIONS, MAIN = "connections", "main"
FROM, TO, OUTPUT = ("from", "source"), ("to", "target"), "output"

FORM = 'write {"from": NODE, "to": NODE}'
OUTPUTS_FORM = 'write {"main": [[{"node": NODE}]]}'


@dataclass(frozen=True, slots=True)
class Edge:
    """From one node to another, by their positions. `output`: as it is written, the number of it in the first form."""

    source: int
    target: int
    output: JsonValue
    place: str


def read_edges(connections: JsonValue, names: Mapping[str, int], faults: FaultList) -> list[Edge]:
    """The edges that can be read, each once, and a fault for every other. `names`: what the nodes are called."""
    match connections:
        case None:
            return []
        case dict():
            found = _by_node(connections, names, faults)
        case list():
            found = _listed(connections, names, faults)
        case _:
            message = f"{CONNECTIONS} must be a list or a mapping, not {kind_of(connections)}"
            faults.add(CONNECTIONS, "type", message, f"{FORM}, one for each connection")
            return []
    return list({(edge.source, edge.target, repr(edge.output)): edge for edge in found}.values())


def _by_node(connections: JsonObject, names: Mapping[str, int], faults: FaultList) -> Iterator[Edge]:
    for name, outputs in connections.items():
        place = at(CONNECTIONS, name)
        source = _node(name, place, names, faults)
        listed = outputs.get(MAIN) if isinstance(outputs, dict) and len(outputs) == 1 else None
        if not isinstance(listed, list):
            faults.add(place, "value", "these are not the outputs of a node", OUTPUTS_FORM)
            continue
        for number, targets in enumerate(listed):
            inner = f"{place}.{MAIN}[{number}]"
            if targets is not None and not isinstance(targets, list):
                faults.add(inner, "type", f"an output is a list, not {kind_of(targets)}", OUTPUTS_FORM)
                continue
            for index, target in enumerate(targets or []):
                at_target = f"{inner}[{index}]"
                called = target.get("node") if isinstance(target, dict) else None
                found = _node(called, f"{at_target}.node", names, faults)
                if source is not None and found is not None:
                    yield Edge(source, found, number, at_target)


def _listed(connections: list[JsonValue], names: Mapping[str, int], faults: FaultList) -> Iterator[Edge]:
    for number, connection in enumerate(connections):
        place = at(CONNECTIONS, number)
        if not isinstance(connection, dict):
            faults.add(place, "type", f"a connection must be a mapping, not {kind_of(connection)}", FORM)
            continue
        for field in connection.keys() - {*FROM, *TO, OUTPUT}:
            known = (*FROM, *TO, OUTPUT)
            message = f"there is no field {field!r} in a connection{hint(field, known)}"
            faults.add(at(place, field), "unknown_field", message, f"the fields are {', '.join(known)}")
        source, target = (_end(connection, fields, place, names, faults) for fields in (FROM, TO))
        if source is not None and target is not None:
            yield Edge(source, target, connection.get(OUTPUT), place)


def _end(
    connection: JsonObject, fields: tuple[str, str], place: str, names: Mapping[str, int], faults: FaultList
) -> int | None:
    given = [field for field in fields if field in connection]
    if len(given) == 2 and connection[given[0]] != connection[given[1]]:
        message = f"{given[1]} and {given[0]} say the same thing"
        faults.add(at(place, given[1]), "contradiction", message, "write one of them")
        return None
    field = given[0] if given else fields[0]
    return _node(connection.get(field), at(place, field), names, faults)


def _node(name: JsonValue, place: str, names: Mapping[str, int], faults: FaultList) -> int | None:
    if name is None:
        faults.add(place, "missing", "the connection names no node here", "write the id or name of a node")
    elif not isinstance(name, str):
        faults.add(place, "type", f"a node is named by text, not {kind_of(name)}", "write the id or name of a node")
    elif name not in names:
        message = f"there is no node {name!r}{hint(name, names)}"
        faults.add(place, "unknown_node", message, "write the id or name of a node of this graph")
    else:
        return names[name]
    return None
