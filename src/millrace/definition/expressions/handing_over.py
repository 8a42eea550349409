"""Which parts of an expression reach its value as they are, and of which something is computed.

A secret is masked wherever its value stands, whole. What is computed of it, a part, another case of letters, the answer
to a comparison, is masked by nobody, and would tell it bit by bit.
"""

from collections.abc import Iterator
from itertools import chain

from .syntax import Call, Conditional, Index, ListOf, MapOf, Name, Node, Operation, Select

PASSING_ON = frozenset({"default", "has", "string"})
"""Functions that answer a text as it is, or whether there is one."""


def handed_over(node: Node) -> Iterator[int]:
    """Where the paths begin whose values stand in the value of the expression unchanged."""
    match node:
        case Name():
            yield node.start
        case Select() | Index():
            yield from handed_over(node.base)
        case Operation() if len(node.operands) > 1 and set(node.symbols) == {"+"}:
            yield from _each(node.operands)
        case Conditional():
            yield from _each((node.then, node.otherwise))
        case ListOf():
            yield from _each(node.items)
        case MapOf():
            yield from _each(chain.from_iterable(node.entries))
        case Call() if node.target is None and node.function in PASSING_ON:
            yield from _each(node.arguments)


def _each(nodes: Iterator[Node] | tuple[Node, ...]) -> Iterator[int]:
    for node in nodes:
        yield from handed_over(node)
