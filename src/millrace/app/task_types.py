"""The list of task types: what tasks may have as their `type`, where each comes from, and what its `config` takes.

A source of types says what it has; what cannot be used is listed as well, with the reason, so that nobody has to look
for it in a log.
"""

from collections.abc import Sequence

from millrace.core.values import JsonObject
from millrace.ports.runner import ListedType, TypeSource


class TaskTypes:
    def __init__(self, *sources: TypeSource) -> None:
        self._sources = sources

    def list(self) -> Sequence[JsonObject]:
        """All of them by name; of several with one name the one that can be used comes first."""
        found = [one for source in self._sources for one in source.listed()]
        found.sort(key=lambda one: (one.type, one.problem is not None))
        return [_view(one) for one in found]


def _view(one: ListedType) -> JsonObject:
    return {
        "type": one.type,
        "summary": one.summary,
        "origin": one.origin,
        "config_schema": None if one.config_model is None else one.config_model.model_json_schema(),
        "problem": one.problem,
    }
