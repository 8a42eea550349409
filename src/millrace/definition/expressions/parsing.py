"""The parser: from tokens to the tree of `syntax.py`, by recursive descent.

It accepts CEL without message literals. What the library would refuse beyond that is found when the parts are
compiled; nesting is bounded here, so that neither parser can be driven deep.
"""

import re

from .faults import ExpressionFault
from .syntax import Call, Conditional, Index, ListOf, Literal, MapOf, Name, Node, Operation, Select
from .tokens import RESERVED, Kind, Token, tokenize

MAX_NESTING = 32


def parse(source: str) -> Node:
    """The tree of `source`. Raises `ExpressionFault`."""
    return _path(source) or _Parser(source).whole()


_PLAIN = re.compile(r"[ \t\n\r\f]*([A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)[ \t\n\r\f]*")


def _path(source: str) -> Node | None:
    """The tree of names with dots between them, which most expressions are: read in one look, a fifth of the time."""
    found = _PLAIN.fullmatch(source)
    if found is None or found[1] in RESERVED:
        return None
    start, end = found.span(1)
    node: Node = Name(start, end, found[1])
    for field in found[2].split(".")[1:]:
        end += 1 + len(field)
        node = Select(start, end, node, field)
    return node


_PRECEDENCE: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"<", "<=", ">", ">=", "==", "!=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_LITERALS = frozenset({Kind.STRING, Kind.BYTES, Kind.DOUBLE, Kind.UINT, Kind.INT})
_WORDS = {"true": "bool", "false": "bool", "null": "null_type"}


WORDS = {
    "and": "write && for and",
    "or": "write || for or",
    "not": "write ! for not: !(input.a == 1), !(x in list)",
    "is": "write == to compare",
    "if": "write condition ? value : other value",
    "else": "write condition ? value : other value",
}
"""What other languages write, and what is written here."""


class _Parser:
    """Recursive descent over the tokens; `_depth` counts open brackets, signs and conditionals."""

    def __init__(self, source: str) -> None:
        self._tokens = tokenize(source)
        self._position = 0
        self._depth = 0

    def whole(self) -> Node:
        if len(self._tokens) == 1:
            raise ExpressionFault("the expression is empty", 0, "write one, such as input.name")
        node = self._expression()
        if self._token.kind is not Kind.END:
            raise self._unexpected("an operator or the end")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    @property
    def _end(self) -> int:
        return self._tokens[self._position - 1].end

    def _next(self) -> Token:
        token = self._token
        self._position += 1
        return token

    def _at(self, symbol: str) -> bool:
        return self._token.text == symbol and self._token.kind is Kind.SYMBOL

    def _accept(self, symbol: str) -> bool:
        if self._at(symbol):
            self._position += 1
            return True
        return False

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._unexpected(f"'{symbol}'")

    def _unexpected(self, wanted: str) -> ExpressionFault:
        token = self._token
        found = f"'{token.text[:20]}'" if token.text else "the end"
        before = self._tokens[self._position - 1].text if self._position else ""
        remedy = WORDS.get(token.text) or WORDS.get(before) or "see the CEL syntax"
        return ExpressionFault(f"{found} stands where {wanted} is expected", token.start, remedy)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise ExpressionFault(
                f"the expression is nested deeper than {MAX_NESTING} levels", self._token.start, "split it into tasks"
            )

    def _expression(self) -> Node:
        self._deeper()
        start = self._token.start
        node = self._chain(0)
        if self._accept("?"):
            then = self._chain(0)
            self._expect(":")
            otherwise = self._expression()
            node = Conditional(start, self._end, node, then, otherwise)
        self._depth -= 1
        return node

    def _chain(self, level: int) -> Node:
        if level == len(_PRECEDENCE):
            return self._unary()
        start = self._token.start
        operands = [self._chain(level + 1)]
        symbols: list[str] = []
        while self._token.text in _PRECEDENCE[level] and self._token.kind in (Kind.SYMBOL, Kind.NAME):
            symbols.append(self._next().text)
            operands.append(self._chain(level + 1))
        if not symbols:
            return operands[0]
        return Operation(start, self._end, tuple(operands), tuple(symbols))

    def _unary(self) -> Node:
        if not (self._at("!") or self._at("-")):
            return self._member()
        self._deeper()
        start = self._token.start
        symbol = self._next().text
        operand = self._unary()
        self._depth -= 1
        return Operation(start, self._end, (operand,), (symbol,))

    def _member(self) -> Node:
        start = self._token.start
        node = self._primary()
        while True:
            if self._accept("."):
                node = self._dotted(start, node)
            elif self._accept("["):
                key = self._expression()
                self._expect("]")
                node = Index(start, self._end, node, key)
            else:
                return node

    def _dotted(self, start: int, base: Node) -> Node:
        token = self._token
        if token.kind is not Kind.NAME:
            raise self._unexpected("a name after '.'")
        self._next()
        if self._accept("("):
            arguments = self._list(")")
            return Call(start, self._end, token.text, base, arguments, token.start)
        return Select(start, token.end, base, token.text)

    def _primary(self) -> Node:
        token = self._token
        if token.kind in _LITERALS:
            self._next()
            return Literal(token.start, token.end, token.kind.value, token.text)
        if token.kind is Kind.NAME:
            return self._named()
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._accept("["):
            items = self._list("]")
            return ListOf(token.start, self._end, items)
        if self._accept("{"):
            entries = self._entries()
            return MapOf(token.start, self._end, entries)
        raise self._unexpected("a value")

    def _named(self) -> Node:
        token = self._next()
        if token.text in _WORDS:
            return Literal(token.start, token.end, _WORDS[token.text], token.text)
        if token.text in RESERVED:
            raise ExpressionFault(f"'{token.text}' is a reserved word", token.start, "use another name")
        if self._accept("("):
            arguments = self._list(")")
            return Call(token.start, self._end, token.text, None, arguments, token.start)
        return Name(token.start, token.end, token.text)

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._accept(closing):
            items.append(self._expression())
            if not self._at(closing):
                self._expect(",")
        return tuple(items)

    def _entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self._accept("}"):
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression()))
            if not self._at("}"):
                self._expect(",")
        return tuple(entries)
