"""What a workflow says must not be kept: places within a value, and the value without them.

A place is the steps that lead to it: a name, a position in a list, or `EVERY` for all that are in a mapping or a list.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from millrace.core.values import JsonValue

REDACTED: Final = "[redacted]"
"""Stands where a value was. It is no secret's mask: what was here is nowhere any more."""


class Every(Enum):
    ITEM = "*"


EVERY: Final = Every.ITEM

Step = str | int | Literal[Every.ITEM]
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class StartRedaction:
    """What of a start is not kept."""

    input: tuple[Steps, ...] = ()
    variables: tuple[Steps, ...] = ()
    trigger: tuple[Steps, ...] = ()


@dataclass(frozen=True, slots=True)
class Redaction:
    """All that a workflow says."""

    start: StartRedaction = field(default_factory=StartRedaction)
    outputs: tuple[tuple[str, Steps], ...] = ()
    """With the id of the task."""

    def of_task(self, task_id: str) -> tuple[Steps, ...]:
        return tuple(steps for named, steps in self.outputs if named == task_id)


NOTHING: Final = Redaction()


def redacted(value: JsonValue, places: Iterable[Steps]) -> JsonValue:
    """The value with `REDACTED` at each of the places that it has. What is given stays as it is."""
    for steps in places:
        value = _without(value, steps)
    return value


def _without(value: JsonValue, steps: Steps) -> JsonValue:
    if not steps:
        return REDACTED
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        if step is EVERY:
            return {name: _without(part, rest) for name, part in value.items()}
        return {**value, step: _without(value[step], rest)} if isinstance(step, str) and step in value else value
    if isinstance(value, list):
        if step is EVERY:
            return [_without(part, rest) for part in value]
        if isinstance(step, int) and step < len(value):
            return [*value[:step], _without(value[step], rest), *value[step + 1 :]]
    return value
