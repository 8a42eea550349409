"""The evaluator that engine and workers use through `ports.evaluator`.

It compiles each source once, runs its steps, and turns whatever goes wrong into one `ExpressionError` that
names the expression, its place and the remedy, but no value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from millrace.core.values import JsonValue
from millrace.ports.evaluator import ExpressionError, Scope

from .check import compile_expression
from .faults import ExpressionFault, Unevaluable, shortened
from .functions import json_text
from .limits import MAX_RESULT, Pacer, check_size, too_large
from .paths import Key, key_text
from .steps import Env, PathStep, Step, as_json, refers
from .templates import Embedded, Text, parse_template

CACHED = 4096
"""Expressions, and as many templates, that one evaluator keeps compiled."""

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression ready to run. `refers` tells that its value is a part of the data, not a new one."""

    step: Step
    refers: bool


_Place = tuple[Key, ...]


class CelEvaluator:
    """Meets `ports.evaluator.Evaluator`. One for a process is enough: it then paces all of its evaluations together."""

    def __init__(self, *, cached: int = CACHED) -> None:
        self._compiled = lru_cache(maxsize=cached)(_compile)
        self._templates = lru_cache(maxsize=cached)(parse_template)
        self._pacer = Pacer()

    async def evaluate(self, expression: str, scope: Scope, *, place: str) -> JsonValue:
        """The value of an expression without braces. Raises `ExpressionError`."""
        try:
            return await self._value(expression, scope)
        except (ExpressionFault, Unevaluable) as fault:
            raise _error(expression, place, fault) from None

    async def render(self, template: JsonValue, scope: Scope, *, place: str) -> JsonValue:
        """`template` with every `{{ … }}` of its strings replaced. Raises `ExpressionError`."""
        return await self._render(template, scope, place, ())

    async def _render(self, template: JsonValue, scope: Scope, place: str, keys: _Place) -> JsonValue:
        match template:
            case str() if "{{" in template:
                return await self._render_text(template, scope, place, keys)
            case list():
                return [
                    await self._render(item, scope, place, (*keys, position)) for position, item in enumerate(template)
                ]
            case dict():
                return {key: await self._render(item, scope, place, (*keys, key)) for key, item in template.items()}
            case _:
                return template

    async def _render_text(self, text: str, scope: Scope, place: str, keys: _Place) -> JsonValue:
        shown = text
        try:
            template = self._templates(text)
            if template.whole is not None:
                shown = template.whole.source
                return await self._value(shown, scope)
            parts: list[str] = []
            for segment in template.segments:
                match segment:
                    case Text():
                        parts.append(segment.text)
                    case Embedded():
                        shown = segment.source
                        parts.append(await self._text(await self._value(shown, scope)))
            return _joined(parts)
        except (ExpressionFault, Unevaluable) as fault:
            raise _error(shown, _placed(place, keys), fault) from None

    async def _text(self, value: JsonValue) -> str:
        """The value as it stands inside a longer text: strings as they are, null as nothing, the rest as JSON."""
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        await check_size(value, self._pacer)
        return json_text(value)

    async def _value(self, source: str, scope: Scope) -> JsonValue:
        if self._pacer.due():
            await self._pacer.give_way()
        compiled = self._compiled(source)
        step, env = compiled.step, Env(scope, self._pacer)
        value = _json(step.value(env) if type(step) is PathStep else await step.run(env))
        if not compiled.refers:
            await check_size(value, self._pacer)
        return value


def _compile(source: str) -> Compiled:
    _, step = compile_expression(source)
    return Compiled(step, refers(step))


def _json(value: object) -> JsonValue:
    """The value of a step as JSON. A step's containers are JSON already; only a scope's own mapping is not a dict."""
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return dict(value)
    return cast(JsonValue, as_json(value))


def _joined(parts: list[str]) -> str:
    if sum(map(len, parts)) > MAX_RESULT:
        raise too_large()
    return "".join(parts)


def _placed(place: str, keys: _Place) -> str:
    inner = "".join(map(key_text, keys))
    return place + inner if place else inner.removeprefix(".")


def _error(source: str, place: str, fault: ExpressionFault | Unevaluable) -> ExpressionError:
    where = f"{place}: " if place else ""
    return ExpressionError(f"{where}'{shortened(source, _SHOWN)}': {fault}")
