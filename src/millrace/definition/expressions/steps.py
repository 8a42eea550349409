"""What a built expression is made of: steps, each of which gives one value.

Paths, loops (`loops.py`) and our functions are Python; operators are small programs of the CEL library over the
values of the steps in them (`operators.py`). So no list is ever walked inside the library, and a step's value is
converted for it only where an operator reads exactly that value. Values are shared, never changed.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from millrace.ports.evaluator import Scope

from .dates import duration_text, iso_text
from .faults import Unevaluable
from .functions import Function
from .limits import MAX_RESULT, Budget, Pacer, Scale, account
from .paths import MISSING, Absent, Key, find, type_name, walk

_FIELDS = frozenset({"input", "variables", "tasks", "run", "trigger", "secrets"})


class Env:
    """Where one evaluation looks names up, and the accounts it runs on."""

    __slots__ = ("budget", "locals", "pacer", "scope")

    def __init__(self, scope: Scope, pacer: Pacer) -> None:
        self.scope = scope
        self.pacer = pacer
        self.budget = Budget()
        self.locals: dict[str, object] = {}

    def lookup(self, root: str) -> object:
        """The value of a root name; loops bind theirs in `locals`, loop tasks in the scope's."""
        if root in _FIELDS:
            return getattr(self.scope, root)
        if root in self.locals:
            return self.locals[root]
        if root in self.scope.locals:
            return self.scope.locals[root]
        raise Unevaluable(
            f"{root} is not defined", "item, index and previous exist only in loops, event only in filters"
        )

    def has(self, root: str) -> bool:
        """Whether `lookup` would succeed."""
        return root in _FIELDS or root in self.locals or root in self.scope.locals

    def step(self) -> bool:
        """Account for one item of a loop; true when it is time to give way."""
        self.budget.step()
        return self.pacer.due()


class Step(Protocol):
    """One value of an expression."""

    async def run(self, env: Env) -> object:
        """The value. Raises `Unevaluable`."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantStep:
    value: object

    async def run(self, env: Env) -> object:
        return self.value


@dataclass(frozen=True, slots=True)
class PathStep:
    """A plain path: known wholly before the run, walked without a turn of the event loop."""

    root: str
    keys: tuple[Key, ...]

    def value(self, env: Env) -> object:
        value = env.lookup(self.root)
        return walk(value, self.root, self.keys) if self.keys else value

    async def run(self, env: Env) -> object:
        return self.value(env)

    async def find(self, env: Env) -> object:
        """The value, or `MISSING`."""
        if not env.has(self.root):
            return MISSING
        return find(env.lookup(self.root), self.keys)


@dataclass(frozen=True, slots=True)
class ReachStep:
    """A path from a computed value, or with computed keys; `text` and `texts` are how the user wrote its parts."""

    base: Step
    text: str
    keys: tuple["Key | Step", ...]
    texts: tuple[str, ...]

    async def run(self, env: Env) -> object:
        base, keys = await self.base.run(env), await self._keys(env)
        found = find(base, keys)
        if found is MISSING:
            raise Absent(base, self.text, keys, self.texts, names_known=isinstance(self.base, PathStep))
        return found

    async def find(self, env: Env) -> object:
        """The value, or `MISSING`. A base that is no name, and computed keys, must have a value."""
        keys = await self._keys(env)
        base = await self.base.find(env) if isinstance(self.base, PathStep) else await self.base.run(env)
        return MISSING if base is MISSING else find(base, keys)

    async def _keys(self, env: Env) -> Sequence[Key]:
        keys: list[Key] = []
        for key, text in zip(self.keys, self.texts, strict=True):
            value = key if isinstance(key, str | int) else await key.run(env)
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise Unevaluable(f"the key {text} is {type_name(value)}", "use an int or a text")
            keys.append(value)
        return keys


Findable: TypeAlias = PathStep | ReachStep


@dataclass(frozen=True, slots=True)
class HasStep:
    """`has(PATH)`"""

    path: Findable

    async def run(self, env: Env) -> object:
        return await self.path.find(env) is not MISSING


@dataclass(frozen=True, slots=True)
class DefaultStep:
    """`default(PATH, value)`: the value is computed only where PATH is absent or null."""

    path: Findable
    otherwise: Step

    async def run(self, env: Env) -> object:
        value = await self.path.find(env)
        return await self.otherwise.run(env) if value is None or value is MISSING else value


@dataclass(frozen=True, slots=True)
class ConditionalStep:
    """`condition ? then : otherwise`: only the branch that is taken is computed."""

    condition: Step
    then: Step
    otherwise: Step

    async def run(self, env: Env) -> object:
        chosen = truth(await self.condition.run(env), "the condition before '?'")
        return await (self.then if chosen else self.otherwise).run(env)


@dataclass(frozen=True, slots=True)
class ListStep:
    items: tuple[Step, ...]

    async def run(self, env: Env) -> object:
        made = Scale(MAX_RESULT)
        return [await _part(item, made, env) for item in self.items]


@dataclass(frozen=True, slots=True)
class MapStep:
    entries: tuple[tuple[Step, Step], ...]

    async def run(self, env: Env) -> object:
        result: dict[str, object] = {}
        made = Scale(MAX_RESULT)
        for key_step, value_step in self.entries:
            key = await key_step.run(env)
            if not isinstance(key, str):
                raise Unevaluable(f"a key of a map is {type_name(key)}", "write keys as text: {'a': 1}")
            result[key] = await _part(value_step, made, env)
        return result


@dataclass(frozen=True, slots=True)
class CallStep:
    """A call of one of our functions, paid for by what it reads and makes."""

    function: Function
    arguments: tuple[Step, ...]

    async def run(self, env: Env) -> object:
        if env.pacer.due():
            await env.pacer.give_way()
        values = [await argument.run(env) for argument in self.arguments]
        result = self.function.call(*values)
        env.budget.call((*values, result))
        return result


async def _part(step: Step, made: Scale, env: Env) -> object:
    """A part of a list or map in the making, weighed at once, so that large parts do not pile up."""
    value = as_json(await step.run(env))
    if not refers(step):
        await account(made, value, env.pacer)
    return value


def refers(step: Step) -> bool:
    """Whether a step's value is a part of the data rather than a value it makes, so that its size is no concern."""
    match step:
        case PathStep() | ReachStep():
            return True
        case DefaultStep():
            return refers(step.otherwise)
        case ConditionalStep():
            return refers(step.then) and refers(step.otherwise)
        case _:
            return False


def truth(value: object, what: str) -> bool:
    """`value`, which must be a truth value."""
    if isinstance(value, bool):
        return value
    raise Unevaluable(f"{what} is {type_name(value)}, not bool", "compare it, for example x != null or size(x) > 0")


def as_json(value: object) -> object:
    """CEL's own scalars as JSON: instants as ISO text, durations as seconds (`90s`), bytes as base64."""
    match value:
        case datetime():
            return iso_text(value)
        case timedelta():
            return duration_text(value)
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return value
