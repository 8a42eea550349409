"""What a trigger's own expressions see, and what its run keeps as `trigger`; and the values of those expressions."""

from dataclasses import dataclass
from typing import Protocol

import orjson

from millrace.app.triggers.repository import TriggerRow
from millrace.core.values import Instant, JsonObject, JsonValue, to_iso
from millrace.ports.evaluator import Evaluator, ExpressionError, Scope
from millrace.triggers.due import Due


@dataclass(frozen=True, slots=True)
class Filled:
    """A trigger's expressions, evaluated. With `wanted` false its `if` says that nothing is to be started."""

    wanted: bool
    input: JsonObject


def scheduled(row: TriggerRow, due: Due, now: Instant, *, backfill: str | None = None) -> JsonObject:
    """The name `trigger` of a firing by the clock; `due_*` are as the clocks of the trigger's zone show it.

    `backfill`: the id of the one that makes up for this due time.
    """
    date, _, rest = due.local.partition("T")
    return {
        "id": row.name,
        "type": row.type,
        "time": to_iso(now),
        "due_at": due.local,
        "due_date": date,
        "due_time": rest[:8],
        "backfill": backfill,
    }


class Fillable(Protocol):
    """A trigger's row, or the trigger as a definition has it. `condition` and `input` are JSON texts."""

    @property
    def name(self) -> str: ...
    @property
    def condition(self) -> str | None: ...
    @property
    def input(self) -> str: ...


async def fill(row: Fillable, trigger: JsonObject, variables: JsonObject, evaluator: Evaluator) -> Filled:
    """Evaluate `if`, and `input` only if that holds. Raises `ExpressionError`."""
    scope = Scope(trigger=trigger, variables=variables)
    place = f"triggers.{row.name}"
    condition: JsonValue = True if row.condition is None else orjson.loads(row.condition)
    if row.condition is not None:
        condition = await evaluator.render(condition, scope, place=f"{place}.if")
    if not isinstance(condition, bool):
        remedy = "it must be true or false, as a comparison is"
        raise ExpressionError(f"{place}.if: the condition is {_kind(condition)}; {remedy}")
    if not condition:
        return Filled(wanted=False, input={})
    given = await evaluator.render(orjson.loads(row.input), scope, place=f"{place}.input")
    assert isinstance(given, dict), "a mapping is rendered into a mapping"  # noqa: S101
    return Filled(wanted=True, input=given)


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float) else "a list" if isinstance(value, list) else "a mapping"
