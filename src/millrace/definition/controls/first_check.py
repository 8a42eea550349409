"""Whether the condition of a `while` can have a value when it is asked for the first time.

Then `index` is 0, `previous` is null, and no task of the loop has run. A condition that is told here has no value for
any run at all: whatever else it reads may be anything, and a part of it that may have a value counts as having one.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import reduce
from typing import Final, TypeAlias

from millrace.definition.expressions.building import static_key
from millrace.definition.expressions.loops import LOOPS
from millrace.definition.expressions.parsing import parse
from millrace.definition.expressions.paths import Key, path_text
from millrace.definition.expressions.syntax import (
    Call,
    Conditional,
    Index,
    Literal,
    Name,
    Node,
    Operation,
    Select,
    children,
)

AT_FIRST: Final = {"index": 0, "previous": None}
"""The names of a loop that are known before its first iteration."""

WORDS: Final = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class _Absent:
    """There is nothing at this path yet."""

    path: str


@dataclass(frozen=True, slots=True)
class _Unknown:
    """There may be a value, and which is not known before a run."""


_Value: TypeAlias = bool | int | _Absent | _Unknown | None

COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": int.__eq__,
    "!=": int.__ne__,
    "<": int.__lt__,
    "<=": int.__le__,
    ">": int.__gt__,
    ">=": int.__ge__,
}


def absent_at_first(source: str, inner: Set[str]) -> str | None:
    """The path for whose sake a condition has no value at its first check; `None` if it may have one.

    `inner`: the ids of the tasks in the loop. Raises `ExpressionFault` for what is no expression.
    """
    found = _value(parse(source), inner)
    return found.path if isinstance(found, _Absent) else None


def _value(node: Node, inner: Set[str]) -> _Value:
    match node:
        case Literal():
            return _literal(node)
        case Name() | Select() | Index():
            return _path(node, inner)
        case Conditional():
            return _conditional(node, inner)
        case Operation(symbols=("||", *_)):
            return _joined([_value(one, inner) for one in node.operands], True)
        case Operation(symbols=("&&", *_)):
            return _joined([_value(one, inner) for one in node.operands], False)
        case Operation():
            return _operation(node, inner)
        case Call(function="has", arguments=(path,)):
            return False if isinstance(_value(path, inner), _Absent) else _Unknown()
        case Call(function="default", arguments=(path, other)):
            return _value(other, inner) if isinstance(_value(path, inner), _Absent) else _Unknown()
        case Call(target=target) if node.function in LOOPS and target is not None:
            return _strict([_value(target, inner)])
        case _:
            return _strict([_value(one, inner) for one in children(node)])


def _literal(node: Literal) -> _Value:
    if node.text in WORDS:
        return WORDS[node.text]
    return int(node.text) if node.kind == "int" and node.text.isdigit() else _Unknown()


def _path(node: Node, inner: Set[str]) -> _Value:
    keys: list[Key | None] = []
    computed: list[_Value] = []
    while isinstance(node, Select | Index):
        key = node.field if isinstance(node, Select) else static_key(node.key)
        if key is None and isinstance(node, Index):
            computed.append(_value(node.key, inner))
        keys.insert(0, key)
        node = node.base
    if not isinstance(node, Name):
        return _strict([*computed, _value(node, inner)])
    if not keys and node.name in AT_FIRST:
        return AT_FIRST[node.name]
    known = [key for key in keys if key is not None]
    if keys and (node.name == "previous" or (node.name == "tasks" and keys[0] in inner)):
        return _Absent(path_text(node.name, known if len(known) == len(keys) else known[:1]))
    return _strict(computed)


def _conditional(node: Conditional, inner: Set[str]) -> _Value:
    condition = _value(node.condition, inner)
    if isinstance(condition, _Absent):
        return condition
    then, otherwise = _value(node.then, inner), _value(node.otherwise, inner)
    if isinstance(condition, bool):
        return then if condition else otherwise
    return then if isinstance(then, _Absent) and isinstance(otherwise, _Absent) else _Unknown()


def _joined(values: list[_Value], decisive: bool) -> _Value:
    """`||` and `&&`: one operand that is decisive makes up for others that have no value."""
    if any(value is decisive for value in values):
        return decisive
    absent = [value for value in values if isinstance(value, _Absent)]
    rest = [value for value in values if not isinstance(value, _Absent)]
    if any(not isinstance(value, bool) for value in rest):
        return _Unknown()
    return absent[0] if absent else not decisive


def _operation(node: Operation, inner: Set[str]) -> _Value:
    values = [_value(one, inner) for one in node.operands]
    match values, node.symbols:
        case [bool(value)], symbols if set(symbols) == {"!"}:
            return reduce(lambda so_far, _: not so_far, symbols, value)
        case [int(left), int(right)], (symbol,) if symbol in COMPARISONS and type(left) is type(right):
            return COMPARISONS[symbol](left, right)
        case [None, None], ("==" | "!=" as symbol,):
            return symbol == "=="
    return _strict(values)


def _strict(values: list[_Value]) -> _Value:
    """What needs all of its parts."""
    return next((value for value in values if isinstance(value, _Absent)), _Unknown())
