"""Operators, by the CEL library: small programs over values that our steps have already computed.

Nothing of the user's data has a name in here but `v0`, `v1`, …, and no comprehension gets here, so a program's
cost is known before it runs. The library's error texts hold values, and values may be secrets: they are read
for their kind only and never passed on.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.core.values import MAX_INTEGER, MIN_INTEGER

from .cel_library import Program, compile_program
from .faults import Exhausted, Unevaluable
from .limits import Scale
from .paths import type_name
from .patterns import check_pattern
from .steps import Env, PathStep, Step, as_json

_LIGHT_TEXT = 200
_UNDEFINED = re.compile(r"Undefined variable or function: '(\w+)'")
_FUNCTION = re.compile(r"Function '(\w+)' error")
_MATCHES = compile_program("v0.matches(v1)")


@dataclass(frozen=True, slots=True)
class OperatorStep:
    """A program and the steps whose values it reads; `names` says for each, in the user's words, what it is.

    All steps are computed before the program runs. One that fails is left unbound, and its failure is raised
    only if the program reads it: so `has(x) && x.y > 1` and CEL's `||` mean what they say.
    """

    program: Program
    operands: tuple[tuple[str, str, Step], ...]
    """Variable, the operand's text, and its step."""
    operators: int
    literal_types: frozenset[str]

    async def run(self, env: Env) -> object:
        values: dict[str, object] = {}
        failures: dict[str, Unevaluable] = {}
        scale = Scale()
        for variable, _, step in self.operands:
            try:
                value = step.value(env) if type(step) is PathStep else await step.run(env)
            except Exhausted:
                raise
            except Unevaluable as fault:
                failures[variable] = fault
                continue
            if _is_heavy(value):
                scale.add(value)
            values[variable] = value
        if scale.weight:
            env.budget.work(scale.weight, self.operators)
            if env.pacer.due():
                await env.pacer.give_way()
        try:
            return from_cel(self.program.execute(values))
        except Unevaluable:
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A panic of the library is a BaseException; nothing but Unevaluable may leave an expression.
            raise self._explain(error, values, failures) from None

    def _explain(
        self, error: BaseException, values: Mapping[str, object], failures: Mapping[str, Unevaluable]
    ) -> Unevaluable:
        undefined = _UNDEFINED.match(str(error))
        if undefined and undefined[1] in failures:
            return failures[undefined[1]]
        types = [(text, type_name(values[variable])) for variable, text, _ in self.operands if variable in values]
        if isinstance(error, TypeError) or undefined:
            return self._mismatch(types, undefined[1] if undefined else "")
        return explain_error(error, types)

    def _mismatch(self, types: list[tuple[str, str]], function: str) -> Unevaluable:
        kinds = {kind for _, kind in types} | self.literal_types
        what = f"{function}() does not take this" if function else "the types of an operator do not fit"
        if {"int", "double"} <= kinds and not function:
            remedy = "int and double do not mix: write 2.0 instead of 2, or double(n)"
        elif "null" in kinds:
            remedy = "write default(PATH, value) where null may stand"
        else:
            remedy = "convert with int(x), double(x) or string(x)"
        return Unevaluable(f"{what}{_listed(types)}", remedy)


@dataclass(frozen=True, slots=True)
class MatchStep:
    """`text.matches(pattern)`, with the pattern weighed before the library compiles it."""

    text: Step
    pattern: Step

    async def run(self, env: Env) -> object:
        text, pattern = await self.text.run(env), await self.pattern.run(env)
        if not isinstance(text, str) or not isinstance(pattern, str):
            raise Unevaluable(f"matches() takes two texts, not {type_name(text)} and {type_name(pattern)}")
        env.budget.match(check_pattern(pattern), len(text))
        if env.pacer.due():
            await env.pacer.give_way()
        return matches(text, pattern)


def matches(text: str, pattern: str) -> object:
    """Whether a pattern, which has been weighed, is found in the text. Raises `Unevaluable`."""
    try:
        return from_cel(_MATCHES.execute({"v0": text, "v1": pattern}))
    except RuntimeError:
        raise Unevaluable("the pattern of matches() is no regular expression", "see the RE2 syntax") from None


def constant(source: str) -> object:
    """The value of an expression without names. Raises `Unevaluable`."""
    try:
        return from_cel(compile_program(source).execute({}))
    except Unevaluable:
        raise
    except ValueError:
        raise Unevaluable("it is not written as CEL wants it") from None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise explain_error(error, []) from None


def explain_error(error: BaseException, types: list[tuple[str, str]]) -> Unevaluable:
    """What an error of the library means, without its words."""
    match error:
        case ZeroDivisionError():
            return Unevaluable("division by zero", "test the divisor first: n == 0 ? 0 : total / n")
        case OverflowError():
            return Unevaluable("a number does not fit in 64 bits", "count in double: double(n) * 2.0")
        case TypeError():
            return Unevaluable(
                f"the types of an operator do not fit{_listed(types)}",
                "int and double do not mix: write 2.0 instead of 2, or double(n)",
            )
        case _:
            function = _FUNCTION.match(str(error))
            subject = f"{function[1]}() cannot read its argument" if function else "it cannot be computed"
            return Unevaluable(f"{subject}{_listed(types)}")


def from_cel(value: object) -> object:
    """A result of the library as our values. Instants, durations and bytes stay: further operators may read them."""
    match value:
        case None | bool() | str():
            return value
        case int():
            if MIN_INTEGER <= value <= MAX_INTEGER:
                return value
            raise Unevaluable("a number does not fit in 64 bits", "write it as text")
        case float():
            if math.isfinite(value):
                return value
            raise Unevaluable("a number is infinite or not a number (NaN)", "test the divisor first")
        case datetime() | timedelta() | bytes():
            return value
        case list():
            return [as_json(from_cel(item)) for item in value]
        case dict():
            # The library's maps have no order; the same expression must give the same JSON text each time.
            return {key: as_json(from_cel(value[key])) for key in sorted(map(_key, value))}
        case _:
            raise Unevaluable("its value is not JSON")


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise Unevaluable(f"a key of a map is {type_name(key)}", "write keys as text: {'a': 1}")


def _is_heavy(value: object) -> bool:
    """Whether a value is worth weighing; scalars and short texts are not, since a source names few of them."""
    return len(value) > _LIGHT_TEXT if isinstance(value, str) else isinstance(value, list | Mapping)


def _listed(types: list[tuple[str, str]]) -> str:
    return ": " + ", ".join(f"{text} is {kind}" for text, kind in types[:5]) if types else ""
