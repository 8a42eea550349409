"""The shapes a definition may have (SPEC W7). Each is rewritten to the canonical one before it is checked.

So that faults name the place the user wrote, a rewriting also says where each canonical part came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace.core.values import JsonObject
from millrace.definition.faults import FaultList
from millrace.definition.shapes.task_list import from_task_list, is_task_list, with_short_words, without_taken_out


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A definition in the canonical shape. `places`: canonical path -> path in the user's text, where they differ."""

    raw: JsonObject
    places: Mapping[str, str] = field(default_factory=dict)

    def place(self, path: str) -> str:
        """Where a canonical path is in the user's own text."""
        known = path
        while known and known not in self.places:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        return self.places[known] + path[len(known) :] if known else path


OTHERS = (
    (frozenset({"start_step", "steps"}), "linked steps"),
    (frozenset({"definition", "definition_json", "workflow_data"}), "an envelope around a definition"),
    (frozenset({"nodes", "connections"}), "a graph of nodes"),
)


def merged(stored: JsonObject, given: JsonObject) -> JsonObject:
    """`stored` with the top-level fields of a request in place of its own; null takes a field out.

    `given` may have any accepted shape, or some fields of one.
    """
    left = without_taken_out(stored, given)
    return {key: value for key, value in {**left, **given}.items() if value is not None}


def to_canonical(raw: JsonObject, faults: FaultList) -> Rewritten | None:
    """`raw` in the canonical shape; `None` and a fault when its shape is not accepted."""
    if "tasks" not in raw:
        for keys, shape in OTHERS:
            key = next(
                (key for key in raw if key in keys and not (key == "steps" and isinstance(raw[key], list))), None
            )
            if key is not None:
                faults.add(
                    key, "not_supported", f"this is {shape}, a shape that is not supported yet",
                    "write the canonical shape (`name`, `tasks`), or the task list",
                )  # fmt: skip
                return None
    if is_task_list(raw):
        return Rewritten(*from_task_list(raw, faults))
    return Rewritten(*with_short_words(raw))
