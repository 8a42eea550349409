"""What an expression reads that is known before a run, and rendering templates by it, as far as that goes."""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.expressions.check import compile_expression, readable_expressions
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.paths import PathRead
from millrace.definition.faults import at
from millrace.ports.evaluator import Evaluator, ExpressionError, Scope

KNOWN_OF_RUN: Final = frozenset({"workflow", "correlation_id"})
"""Of `run`; the rest it has when it is started."""
NO_NAMES: Final[frozenset[str]] = frozenset()


class Seen:
    """What is known at a place, growing as one task after the other is foreseen."""

    def __init__(self, scope: Scope, unknown_names: frozenset[str] = NO_NAMES) -> None:
        """`unknown_names`: of `item`, `index` and `previous` those that have no value yet."""
        self._tasks: ChainMap[str, JsonObject] = ChainMap()
        self._unknown: ChainMap[str, str] = ChainMap()
        self._unknown_names = unknown_names
        self.scope = replace(scope, tasks=self._tasks)

    def within(self, names: JsonObject | None = None, unknown: Iterable[str] = ()) -> "Seen":
        """The place of the tasks that stand in a task. Of loops it binds `names`, and others that have no value yet."""
        scope = self.scope if names is None else replace(self.scope, locals=names)
        inner = Seen(scope, self._unknown_names if names is None else frozenset(unknown))
        inner._tasks, inner._unknown = self._tasks.new_child(), self._unknown.new_child()
        inner.scope = replace(scope, tasks=inner._tasks)
        return inner

    def with_secrets(self, secrets: Mapping[str, str]) -> "Seen":
        other = self.within()
        other.scope = replace(other.scope, secrets=secrets)
        return other

    def note(self, task_id: str, view: JsonObject | None, why: str = "") -> None:
        """What can be read of a task from here on; `None`, and why, if that is not known."""
        if view is None:
            self._tasks.pop(task_id, None)
            self._unknown[task_id] = why
        else:
            self._tasks[task_id] = view

    def adopt(self, inner: "Seen") -> None:
        """What stands in a task is read from outside, too, where it is sure to have run."""
        self._tasks.update(inner._tasks.maps[0])
        self._unknown.update(inner._unknown.maps[0])

    def doubt(self, inner: "Seen", why: str) -> None:
        """Of what stands in a task nothing is known, for it may not run."""
        self._unknown.update(dict.fromkeys((*inner._tasks.maps[0], *inner._unknown.maps[0]), why))

    def lacks(self, reads: Iterable[PathRead]) -> str | None:
        """Why an expression that reads this has no value yet; `None` if it has one, or fails for good."""
        return next((why for read in reads if (why := self._lacks(read)) is not None), None)

    def _lacks(self, read: PathRead) -> str | None:
        first = str(read.keys[0]) if read.keys else ""
        match read.root:
            case "tasks" if not first and self._unknown:
                return "reads tasks, of which not all is known before the run"
            case "tasks" if first in self._unknown and first not in self._tasks:
                return f"reads {read.text}, {self._unknown[first]}"
            case "run" if first not in KNOWN_OF_RUN:
                return f"reads {read.text}, which is known only when the run is under way"
            case root if root in self._unknown_names:
                return f"reads {read.text}, which is known only when the loop runs"
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression or a template comes to."""

    value: JsonValue = None
    unrendered: Mapping[str, str] = field(default_factory=dict)
    """Places in it that have no value yet, and why."""
    failure: str | None = None
    """Why it never has one."""

    @property
    def known(self) -> bool:
        return not self.unrendered and self.failure is None

    @property
    def why(self) -> str | None:
        return next(iter(self.unrendered.values()), None)


class Renderer:
    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    async def evaluate(self, source: str, seen: Seen, place: str) -> Value:
        """The value of an expression without braces."""
        try:
            reads = compile_expression(source)[0].reads
            lacks = seen.lacks(reads)
            if lacks is not None:
                return Value(unrendered={place: lacks})
            return Value(await self._evaluator.evaluate(source, seen.scope, place=place))
        except (ExpressionError, ExpressionFault) as error:
            return Value(failure=str(error))

    async def render(self, template: JsonValue, seen: Seen, place: str) -> Value:
        """A template, string by string: one without a value yet stays as it is written."""
        unrendered: dict[str, str] = {}
        try:
            value = await self._rendered(template, seen, place, unrendered)
        except ExpressionError as error:
            return Value(template, unrendered, str(error))
        return Value(value, unrendered)

    async def _rendered(self, template: JsonValue, seen: Seen, place: str, unrendered: dict[str, str]) -> JsonValue:
        match template:
            case dict():
                return {
                    key: await self._rendered(part, seen, at(place, key), unrendered) for key, part in template.items()
                }
            case list():
                return [
                    await self._rendered(part, seen, at(place, number), unrendered)
                    for number, part in enumerate(template)
                ]
            case str() if "{{" in template:
                lacks = seen.lacks(_reads(template))
                if lacks is not None:
                    unrendered[place] = lacks
                    return template
                return await self._evaluator.render(template, seen.scope, place=place)
            case _:
                return template


def _reads(text: str) -> Iterator[PathRead]:
    return (read for found in readable_expressions(text) for read in found.reads)
