"""Which agents a definition names, and where: also one that is malformed, of which as much is read as can be."""

from collections.abc import Iterator

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import at
from millrace.definition.model import NESTED, ON_ROLLBACK, TASK_LISTS
from millrace.ports.agents import AGENT

DEEPEST = 100
"""Levels of tasks within tasks that are looked at; no definition that is valid has as many."""
WITHIN = NESTED.keys() | {ON_ROLLBACK}


def named_agents(definition: JsonObject) -> Iterator[tuple[str, str]]:
    """The place and the text of the field `agent` of each task that calls one, those within tasks included."""
    for name in TASK_LISTS:
        yield from _named(definition.get(name), name, 0)


def _named(value: JsonValue, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named(item, at(path, index), depth + 1)
    elif isinstance(value, dict):
        config = value.get("config")
        if value.get("type") == AGENT and isinstance(config, dict) and isinstance(config.get(AGENT), str):
            yield at(at(path, "config"), AGENT), str(config[AGENT])
        # The cases of a switch stand by their names, each of which leads to a list of tasks.
        is_task = "type" in value
        for key in value.keys() & WITHIN if is_task else value.keys():
            yield from _named(value[key], at(path, key), depth + 1)
