"""CEL's comprehensions (`filter`, `map`, `all`, `exists`, `exists_one`), walked by our code.

The library copies the result of `map` and `filter` at every item and holds the interpreter lock meanwhile (10,000
rows of 1 KB: 28 s). Here the body is built once and run for each item with only the parts of it that it reads;
every item is counted, and the event loop gets its turn.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .faults import Exhausted, Unevaluable
from .limits import MAX_RESULT, Scale, account
from .paths import type_name
from .steps import Env, Step, as_json, truth

LOOPS = frozenset({"map", "filter", "all", "exists", "exists_one"})


@dataclass(frozen=True, slots=True)
class Loop:
    """What all comprehensions share: the list, the name for an item, and what is computed for each."""

    name: str
    target: Step
    variable: str
    body: Step

    async def items(self, env: Env) -> Iterable[object]:
        """The items; of a map its keys, as in CEL."""
        target = await self.target.run(env)
        if isinstance(target, list | Mapping):
            return list(target) if isinstance(target, Mapping) else target
        raise Unevaluable(f"{self.name}() walks a list or a map, not {type_name(target)}")


@dataclass(frozen=True, slots=True)
class TransformStep:
    """`filter` and `map`."""

    loop: Loop
    condition: Step | None
    """Of `map(x, condition, E)`; the condition of a filter is the loop's body."""

    async def run(self, env: Env) -> object:
        loop, keep_item, made = self.loop, self.loop.name == "filter", Scale(MAX_RESULT)
        kept: list[object] = []
        try:
            for item in await loop.items(env):
                if env.step():
                    await env.pacer.give_way()
                env.locals[loop.variable] = item
                if self.condition is not None and not truth(await self.condition.run(env), "the condition of map()"):
                    continue
                value = await loop.body.run(env)
                if not keep_item:
                    value = as_json(value)
                    await account(made, value, env.pacer)
                    kept.append(value)
                elif truth(value, "the condition of filter()"):
                    kept.append(item)
        finally:
            env.locals.pop(loop.variable, None)
        return kept


@dataclass(frozen=True, slots=True)
class QuantifierStep:
    """`all`, `exists`, `exists_one`. As in CEL, an item that decides the first two outweighs one that fails."""

    loop: Loop

    async def run(self, env: Env) -> object:
        loop, name = self.loop, self.loop.name
        failure: Unevaluable | None = None
        found = 0
        try:
            for item in await loop.items(env):
                if env.step():
                    await env.pacer.give_way()
                env.locals[loop.variable] = item
                try:
                    holds = truth(await loop.body.run(env), f"the condition of {name}()")
                except Exhausted:
                    raise
                except Unevaluable as fault:
                    failure = failure or fault
                    continue
                if name != "exists_one" and holds is (name == "exists"):
                    return holds
                found += holds
        finally:
            env.locals.pop(loop.variable, None)
        if failure is not None:
            raise failure
        return found == 1 if name == "exists_one" else name == "all"
