"""Shell and script tasks in what is saved or put to use: only who has the right to may bring them in or change them.

Others may change the rest of such a workflow: a task counts as there already if it stands in the same list, to the last
byte the same, in the newest version, the deployed one or the canary.
"""

from collections.abc import Iterable

import orjson

from millrace.app.workflows.repository import VersionRow
from millrace.auth.shell_right import ShellRight
from millrace.core.errors import Forbidden
from millrace.core.values import JsonObject
from millrace.definition.outline import PlacedTask, nested_keys, placed_tasks
from millrace.ports.confinement import CODE_TYPES

MOST_NAMED = 10


class ShellGate:
    def __init__(self, right: ShellRight) -> None:
        self._right = right

    @property
    def is_open(self) -> bool:
        """Whether whoever asks may bring in anything."""
        return self._right.missing() is None

    def pass_(self, brought: Iterable[VersionRow], known: Iterable[VersionRow]) -> None:
        """Raise `Forbidden` `shell_forbidden`, which names the tasks, if the versions bring in what is not known."""
        missing = self._right.missing()
        if missing is None:
            return
        before = {_text(placed) for version in known for placed in _of(version)}
        new = [placed for version in brought for placed in _of(version) if _text(placed) not in before]
        if new:
            named = list(dict.fromkeys(f"{placed.id} ({placed.task['type']})" for placed in new))
            more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
            raise Forbidden(
                "shell_forbidden",
                f"these tasks run code on the worker's machine, and you may not add, change or bring them back: "
                f"{', '.join(named[:MOST_NAMED])}{more}; {missing}",
            )


def _of(version: VersionRow) -> list[PlacedTask]:
    definition: JsonObject = orjson.loads(version.definition)
    return [placed for placed in placed_tasks(definition) if placed.task["type"] in CODE_TYPES]


def _text(placed: PlacedTask) -> bytes:
    """The task without those within it, which are judged by themselves."""
    within = nested_keys(placed.task)
    own = {key: value for key, value in placed.task.items() if key not in within}
    return orjson.dumps([placed.within.name, own], option=orjson.OPT_SORT_KEYS)
