"""The syntax tree of an expression: CEL's grammar without message literals (`parsing.py` makes it).

Only the shape matters here; what operators and literals mean is left to the CEL library. Chains of one
precedence (`a + b + c`) are one node, and nesting is bounded, so that no walk over a tree can recurse deeply.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `kind` is the name of its CEL type."""

    start: int
    end: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Name:
    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`base.field`"""

    start: int
    end: int
    base: "Node"
    field: str


@dataclass(frozen=True, slots=True)
class Index:
    """`base[key]`"""

    start: int
    end: int
    base: "Node"
    key: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)` or `target.function(arguments)`; `name_at` is where the function's name stands."""

    start: int
    end: int
    function: str
    target: "Node | None"
    arguments: tuple["Node", ...]
    name_at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    start: int
    end: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    start: int
    end: int
    entries: tuple[tuple["Node", "Node"], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Operands of one precedence with the symbols between (or, for `!` and `-`, before) them."""

    start: int
    end: int
    operands: tuple["Node", ...]
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`condition ? then : otherwise`"""

    start: int
    end: int
    condition: "Node"
    then: "Node"
    otherwise: "Node"


Node: TypeAlias = Literal | Name | Select | Index | Call | ListOf | MapOf | Operation | Conditional


def children(node: Node) -> Iterator[Node]:
    """The direct parts of a node, in the order of the source."""
    match node:
        case Select():
            yield node.base
        case Index():
            yield from (node.base, node.key)
        case Call():
            if node.target is not None:
                yield node.target
            yield from node.arguments
        case ListOf():
            yield from node.items
        case MapOf():
            yield from chain.from_iterable(node.entries)
        case Operation():
            yield from node.operands
        case Conditional():
            yield from (node.condition, node.then, node.otherwise)
        case Literal() | Name():
            return
