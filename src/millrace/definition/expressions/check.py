"""What an expression must look like before it may run: its names, functions, loops and size.

Used when a definition is validated. Whether the paths it reads exist in that definition (a task's id, a
variable) is the validator's question; `CheckedExpression.reads` gives it what it needs.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from millrace.core.values import JsonValue
from millrace.definition.words import hint

from .building import build, static_key
from .faults import ExpressionFault, UnknownName, shortened
from .functions import LIBRARY_FUNCTIONS, LIBRARY_METHODS, OURS, TYPE_NAMES
from .handing_over import handed_over
from .limits import MAX_COMPREHENSIONS, MAX_SOURCE
from .literals import check_literals
from .loops import LOOPS
from .parsing import parse
from .paths import MAY_BE_BOUND, ROOTS, Key, PathRead
from .steps import PathStep, Step
from .syntax import Call, Index, Name, Node, Select, children
from .templates import parse_template, templates_in

REMEMBERED = 1_024
"""Expressions: what is checked is compiled right after, and a definition that is saved again says nearly the same."""

SECRETS = "secrets"
_SPECIAL = {"has": (1, "has(PATH)"), "default": (2, "default(PATH, value)")}


@dataclass(frozen=True, slots=True)
class CheckedExpression:
    """An acceptable expression. `is_plain_path` tells that it is one path and nothing else."""

    source: str
    reads: tuple[PathRead, ...]
    is_plain_path: bool

    @property
    def roots(self) -> frozenset[str]:
        return frozenset(read.root for read in self.reads)


@lru_cache(maxsize=REMEMBERED)
def check_expression(source: str) -> CheckedExpression:
    """Read and check an expression without braces, as its author should have written it. Raises `ExpressionFault`."""
    node, checked, _ = _compiled(source)
    check_literals(node)
    return checked


def compile_expression(source: str) -> tuple[CheckedExpression, Step]:
    """Check an expression and build what evaluates it. Raises `ExpressionFault`."""
    return _compiled(source)[1:]


@lru_cache(maxsize=REMEMBERED)
def _compiled(source: str) -> tuple[Node, CheckedExpression, Step]:
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE:
        raise ExpressionFault(
            f"the expression is longer than {MAX_SOURCE} bytes", 0, "split it into several transform tasks"
        )
    node = parse(source)
    reads = tuple(_Check().visit(node, frozenset(), 0, False))
    if any(read.root == SECRETS for read in reads):
        whole = frozenset(handed_over(node))
        reads = tuple(replace(read, computed=read.root == SECRETS and read.offset not in whole) for read in reads)
    step = build(source, node)
    return node, CheckedExpression(source, reads, isinstance(step, PathStep)), step


def check_templates(value: JsonValue, place: str = "") -> Iterator[tuple[str, CheckedExpression | ExpressionFault]]:
    """Every expression in the strings of `value` with its place, or what is wrong with it (offset: in the string)."""
    for where, text in templates_in(value, place):
        try:
            embedded = parse_template(text).expressions
        except ExpressionFault as fault:
            yield where, fault
            continue
        for found in embedded:
            try:
                yield where, check_expression(found.source)
            except ExpressionFault as fault:
                yield where, fault.moved(found.offset)


def readable_expressions(text: str) -> Iterator[CheckedExpression]:
    """The expressions of a text that can be evaluated, whatever is said against them when a definition is saved.

    For what is stored: a release may judge more than the one that accepted a definition, and what it reads stays what
    it was. A text that is no template, such as SQL with `{{` in it, has none.
    """
    with suppress(ExpressionFault):
        for found in parse_template(text).expressions:
            with suppress(ExpressionFault):
                yield compile_expression(found.source)[0]


class _Check:
    """Walks the tree; gives the paths it reads and raises at the first thing that is not allowed."""

    def visit(self, node: Node, bound: frozenset[str], loops: int, optional: bool) -> Iterator[PathRead]:
        match node:
            case Name() | Select() | Index():
                yield from self._path(node, bound, loops, optional)
            case Call() if node.target is not None and node.function in LOOPS:
                yield from self._loop(node, node.target, bound, loops)
            case Call() if node.target is None and node.function in _SPECIAL:
                yield from self._special(node, bound, loops)
            case Call():
                _check_call(node)
                yield from self._parts(node, bound, loops)
            case _:
                yield from self._parts(node, bound, loops)

    def _parts(self, node: Node, bound: frozenset[str], loops: int) -> Iterator[PathRead]:
        for part in children(node):
            yield from self.visit(part, bound, loops, False)

    def _path(self, node: Node, bound: frozenset[str], loops: int, optional: bool) -> Iterator[PathRead]:
        """The longest part of a path that is known beforehand, and what its computed keys read."""
        keys: list[Key] = []
        known = True
        chain: list[Select | Index] = []
        while isinstance(node, Select | Index):
            chain.append(node)
            node = node.base
        for link in reversed(chain):
            key = link.field if isinstance(link, Select) else static_key(link.key)
            if key is None and isinstance(link, Index):
                known = False
                yield from self.visit(link.key, bound, loops, False)
            elif known and key is not None:
                keys.append(key)
        if not isinstance(node, Name):
            yield from self.visit(node, bound, loops, False)
        elif node.name not in bound and not (node.name in TYPE_NAMES and not chain):
            if node.name not in ROOTS:
                raise _unknown_name(node, bound)
            yield PathRead(node.name, tuple(keys), node.start, optional)

    def _loop(self, node: Call, target: Node, bound: frozenset[str], loops: int) -> Iterator[PathRead]:
        most = 3 if node.function == "map" else 2
        variable = node.arguments[0] if node.arguments else None
        if not isinstance(variable, Name) or not 2 <= len(node.arguments) <= most:
            raise ExpressionFault(
                f"{node.function}() takes a name and an expression", node.name_at, f"write list.{node.function}(x, …)"
            )
        taken = variable.name in ROOTS and variable.name not in MAY_BE_BOUND
        if taken or variable.name in bound or variable.name in TYPE_NAMES:
            raise ExpressionFault(f"'{variable.name}' already has a meaning", variable.start, "choose another name")
        if loops == MAX_COMPREHENSIONS:
            raise ExpressionFault(
                f"{node.function}() stands in more than {MAX_COMPREHENSIONS - 1} other loops",
                node.name_at,
                f"loops may be nested {MAX_COMPREHENSIONS} deep; compute the inner one in a transform task",
            )
        yield from self.visit(target, bound, loops, False)
        for argument in node.arguments[1:]:
            yield from self.visit(argument, bound | {variable.name}, loops + 1, False)

    def _special(self, node: Call, bound: frozenset[str], loops: int) -> Iterator[PathRead]:
        count, form = _SPECIAL[node.function]
        if len(node.arguments) != count or not isinstance(node.arguments[0], Name | Select | Index):
            raise ExpressionFault(
                f"{node.function}() takes a path such as input.day first", node.name_at, f"write {form}"
            )
        yield from self.visit(node.arguments[0], bound, loops, True)
        for argument in node.arguments[1:]:
            yield from self.visit(argument, bound, loops, False)


def _check_call(node: Call) -> None:
    count = len(node.arguments) + (node.target is not None)
    ours = OURS.get(node.function)
    if ours is not None:
        if not ours.fewest <= count <= ours.most:
            raise ExpressionFault(
                f"{node.function}() takes {ours.fewest} value{'' if ours.fewest == 1 else 's'}, not {count}"
                if ours.fewest == ours.most
                else f"{node.function}() takes {ours.fewest} to {ours.most} values, not {count}",
                node.name_at,
                "see the table of functions",
            )
        return
    allowed = LIBRARY_FUNCTIONS if node.target is None else LIBRARY_METHODS
    if node.function not in allowed:
        raise _unknown_function(node)
    if node.function == "matches" and count != 2:
        raise ExpressionFault("matches() takes one pattern", node.name_at, "write text.matches('^a')")


def _unknown_function(node: Call) -> ExpressionFault:
    if node.target is None and node.function in LOOPS | LIBRARY_METHODS:
        return ExpressionFault(
            f"{node.function}() is written after a value", node.name_at, f"write x.{node.function}(…)"
        )
    if node.target is not None and node.function in LIBRARY_FUNCTIONS | set(_SPECIAL):
        return ExpressionFault(
            f"{node.function}() is not written after a value", node.name_at, f"write {node.function}(…)"
        )
    known = {*OURS, *LIBRARY_FUNCTIONS, *LIBRARY_METHODS, *LOOPS, *_SPECIAL}
    message = f"there is no function {shortened(node.function)}(){hint(node.function, known)}"
    return ExpressionFault(message, node.name_at, "see the table of functions")


def _unknown_name(node: Name, bound: frozenset[str]) -> UnknownName:
    return UnknownName(node.name, (*ROOTS, *sorted(bound)), node.start)
