"""Which other workflows a definition starts, and where."""

from collections.abc import Sequence

from millrace.core.controls import SUB_WORKFLOW
from millrace.core.values import JsonObject
from millrace.definition.faults import at
from millrace.definition.outline import placed_tasks
from millrace.definition.rough import mapping


def named_workflows(canonical: JsonObject, own: str) -> Sequence[tuple[str, str]]:
    """The place and the text of the name. A workflow may start itself, by its `own` name, also when it is saved for the
    first time."""
    found = []
    for placed in placed_tasks(canonical):
        named = mapping(placed.task.get("config")).get("workflow")
        if placed.task["type"] == SUB_WORKFLOW and isinstance(named, str) and named != own:
            found.append((at(at(placed.path, "config"), "workflow"), named))
    return found
