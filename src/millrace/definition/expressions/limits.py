"""Every bound of the expression language, and the accounts that keep them.

Bounded by construction: a source is short, its loops are ours and counted (`Budget`), and what is handed to the
CEL library, which holds the interpreter lock while it works, is weighed first (`weigh`), so that one call of it
stays far below 20 ms. One unit of weight is about one scalar, or 100 characters.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence

from millrace.core.values import MAX_DEPTH

from .faults import Exhausted

MAX_SOURCE = 4096
"""Characters and bytes of one expression."""

MAX_COMPREHENSIONS = 2
"""How deep `map`, `filter`, `all`, `exists` and `exists_one` may stand in each other."""

MAX_EMBEDDED = 500
"""Expressions in one text."""

MAX_STEPS = 100_000
"""Items that all loops of one evaluation may visit together."""

MAX_RESULT = 1_048_576
"""Bytes, as JSON, of a value that an expression makes, also in between. A plain path makes none: it refers."""

MAX_PARTS = 10_000
"""Values that `split` and `json` may make."""

MAX_OPERAND_WEIGHT = 25_000
"""Weight of all values that one execution of the CEL library may get; converting them both ways takes 5 to 10 ms."""

MAX_OPERATION_COST = 400_000
"""Weight times operators of one execution: `+` copies its operands, comparisons visit them."""

MAX_MATCH = 1_000_000
"""Atoms of a pattern times characters of the text: linear, but 7 ns each where the engine's fast path gives up."""

MAX_WORK = 10_000_000
"""Weight (about 0.1 µs each) that one evaluation may hand to the CEL library in all of its steps together."""

PACE = 0.005
"""Seconds after which an evaluation lets the event loop turn."""

_CHARACTERS_PER_UNIT = 100
_CHARACTERS_PER_CALL_UNIT = 4
_CONVERSION_COST = 4
_PATTERN_COST = 100
_MATCHES_PER_UNIT = 14
_MAPPING_WEIGHT = 8
_PORTION = 4096


class Budget:
    """What one evaluation may still do."""

    __slots__ = ("_steps", "_work")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._work = MAX_WORK

    def step(self) -> None:
        """Account for one item of a loop."""
        self._steps -= 1
        if self._steps < 0:
            raise Exhausted(
                f"its loops visit more than {MAX_STEPS} items",
                "shorten the lists first (filter where they are made) or use a foreach task",
            )

    def work(self, weight: int, operators: int) -> None:
        """Account for one execution of the library over operands of `weight`."""
        if weight > MAX_OPERAND_WEIGHT or weight * (_CONVERSION_COST + operators) > MAX_OPERATION_COST:
            raise Exhausted(
                "its operands are too large for an operator",
                "read smaller parts of them; size(), filter() and map() take lists of any size",
            )
        self._spend(weight)

    def call(self, values: Sequence[object]) -> None:
        """Account for one call of our functions over `values`, which are arguments and result."""
        for value in values:
            if isinstance(value, str):
                self._spend(len(value) // _CHARACTERS_PER_CALL_UNIT)
            elif isinstance(value, list):
                self._spend(len(value))

    def match(self, atoms: int, length: int) -> None:
        """Account for one call of `matches`: it compiles its pattern, then may try each atom at each character."""
        if atoms * length > MAX_MATCH:
            raise Exhausted(
                "the text is too long for the pattern of matches()", "match a part of it, or use contains()"
            )
        self._spend(atoms * _PATTERN_COST + atoms * length // _MATCHES_PER_UNIT)

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise Exhausted(
                "its loops handle large values or patterns too often",
                "compute what does not change in an earlier task, or use contains() and startsWith()",
            )


class Pacer:
    """Knows how long the event loop has not turned since an evaluator first worked, across many evaluations.

    A burst of short evaluations must give way as one long one does; but an evaluation after a pause must not,
    since a needless turn of the loop would split the engine's commits. So the loop itself tells that it turned.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: float | None = None

    def due(self) -> bool:
        """True when it is time to give way."""
        now = time.perf_counter()
        if self._since is None:
            self._since = now
            asyncio.get_running_loop().call_soon(self._turned)
            return False
        return now - self._since > PACE

    async def give_way(self) -> None:
        """Let everything else that is ready run."""
        await asyncio.sleep(0)
        # Not only by `_turned`: a loop that was closed before it turned never calls it.
        self._turned()

    def _turned(self) -> None:
        self._since = None


def weigh(value: object) -> int:
    """The weight of a value; raises `Exhausted` when it is too heavy for an operator or beyond `MAX_RESULT`."""
    scale = Scale()
    scale.add(value)
    return scale.weight


async def account(scale: "Scale", value: object, pacer: Pacer) -> None:
    """Add `value` to `scale`; gives way to the event loop meanwhile."""
    for _ in scale.visit(value):
        if pacer.due():
            await pacer.give_way()


async def check_size(value: object, pacer: Pacer) -> None:
    """Raise `Exhausted` when `value` is larger than `MAX_RESULT`; gives way to the event loop meanwhile."""
    await account(Scale(MAX_RESULT), value, pacer)


class Scale:
    """Adds up weight and estimated JSON bytes of values; raises `Exhausted` at `heaviest` or `MAX_RESULT`."""

    __slots__ = ("_heaviest", "_size", "weight")

    def __init__(self, heaviest: int = MAX_OPERAND_WEIGHT) -> None:
        self.weight = 0
        self._size = 0
        self._heaviest = heaviest

    def add(self, value: object) -> None:
        """Add a value whole; for values that `heaviest` keeps small."""
        for _ in self.visit(value):
            pass

    def visit(self, value: object) -> Iterator[None]:
        """Add a value portion by portion."""
        pending: list[tuple[Sequence[object], int]] = [((value,), 0)]
        while pending:
            portion, depth = pending.pop()
            for part in portion:
                kind = type(part)
                if kind is str:
                    self._text(part)  # type: ignore[arg-type]
                elif kind is int or kind is float or kind is bool or part is None:
                    self.weight += 1
                    self._size += 5
                else:
                    self._container(part, depth, pending)
            self._check()
            yield

    def _container(self, value: object, depth: int, pending: list[tuple[Sequence[object], int]]) -> None:
        if depth >= MAX_DEPTH:
            raise Exhausted(f"a value is nested deeper than {MAX_DEPTH} levels", "flatten it")
        if isinstance(value, list):
            parts: list[object] = value
        elif isinstance(value, Mapping):
            parts = [*value, *value.values()]
            self.weight += _MAPPING_WEIGHT
        else:
            parts = []
        self.weight += 1
        self._size += 2
        if self.weight + len(parts) > self._heaviest:
            raise too_large()
        pending.extend((parts[start : start + _PORTION], depth + 1) for start in range(0, len(parts), _PORTION))

    def _text(self, text: str) -> None:
        length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self.weight += 1 + length // _CHARACTERS_PER_UNIT
        self._size += length + 3

    def _check(self) -> None:
        if self._size > MAX_RESULT or self.weight > self._heaviest:
            raise too_large()


def too_large() -> Exhausted:
    """The fault of a value beyond `MAX_RESULT`."""
    return Exhausted(
        "a value in it is too large (the limit is 1 MiB as JSON, less for operands of many parts)",
        "read only the parts you need; size(), filter() and map() take lists of any size",
    )
