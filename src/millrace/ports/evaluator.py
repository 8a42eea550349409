"""The port for expressions. `definition.expressions` meets it; engine and workers use it through here.

The core never evaluates: it asks (`core.effects.Evaluate`), the engine answers. Rendering a task's config
is the worker's part. Both see the same names through a `Scope`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from millrace.core.values import JsonObject, JsonValue


class ExpressionError(Exception):
    """An expression has no value: names the expression, its place, the missing name with its full path, the remedy."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression may use. `tasks` maps a task id to `{"output": …, "status": …, "error": …}`.

    A task that has not completed is absent from `tasks`, so that reading its output is an undefined name.
    `secrets` is empty for everything the engine evaluates; only a worker that renders a config fills it.
    """

    input: JsonObject = field(default_factory=dict)
    variables: JsonObject = field(default_factory=dict)
    tasks: Mapping[str, JsonObject] = field(default_factory=dict)
    run: JsonObject = field(default_factory=dict)
    trigger: JsonObject = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    locals: Mapping[str, JsonValue] = field(default_factory=dict)
    """Names bound by the innermost loop around (`item`, `index`, `previous`) or by a filter (`event`)."""

    def binding(self, names: Mapping[str, JsonValue]) -> "Scope":
        """This scope with further names, which hide those of loops."""
        return replace(self, locals={**self.locals, **names}) if names else self


class Evaluator(Protocol):
    """Evaluates expressions of checked definitions; compiled forms are cached by source text."""

    async def evaluate(self, expression: str, scope: Scope, *, place: str) -> JsonValue:
        """The value of a CEL expression without braces. Raises `ExpressionError`.

        Gives way to the event loop at least every 5 ms, whatever the size of the data.
        """
        ...

    async def render(self, template: JsonValue, scope: Scope, *, place: str) -> JsonValue:
        """`template` with every `{{ … }}` of its strings replaced, at any depth; keys are not templates.

        A string that is one expression keeps the native type of its value. Raises `ExpressionError`.
        """
        ...
