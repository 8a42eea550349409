"""From a statement with placeholders in any of four styles to one in its driver's style, with the values in order.

Values never become part of the text here: what leaves this module is text and, beside it, what to bind.
"""

from collections.abc import Callable
from dataclasses import dataclass

from millrace.core.values import JsonValue
from millrace.runners.sql.dialect import Dialect
from millrace.runners.sql.faults import SqlFault, invalid
from millrace.runners.sql.lexer import Kind, Token
from millrace.runners.sql.statements import Statement

Parameters = list[JsonValue] | dict[str, JsonValue]

POSITIONAL = (Kind.FORMAT, Kind.QMARK)
BY_NAME = (Kind.PYFORMAT, Kind.NAMED)
PERCENT_STYLES = (Kind.FORMAT, Kind.PYFORMAT)


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement in pieces: between piece n and n+1 stands `values[slots[n]]`. One name used twice is one value."""

    statement: Statement
    pieces: tuple[str, ...]
    slots: tuple[int, ...]
    values: tuple[JsonValue, ...]

    def text(self, marker: Callable[[int], str]) -> str:
        """The SQL with `marker(n)` where value n belongs, and a space behind it, so nothing can grow together."""
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += (marker(slot), " ", piece)
        return "".join(parts)


def bind(statements: tuple[Statement, ...], parameters: Parameters | None, dialect: Dialect) -> tuple[Bound, ...]:
    """Give every statement its values. Without `parameters` nothing is a placeholder and the SQL stays as written.

    From a mapping each statement takes the names it uses; a list is used up in order, across all statements.
    """
    if parameters is None:
        return tuple(Bound(statement, (statement.text,), (), ()) for statement in statements)
    return _Binder(parameters, dialect).bind(statements)


class _Binder:
    def __init__(self, parameters: Parameters, dialect: Dialect) -> None:
        self._parameters = parameters
        self._dialect = dialect
        self._used: set[str] = set()
        self._missing: list[str] = []
        self._taken = 0

    def bind(self, statements: tuple[Statement, ...]) -> tuple[Bound, ...]:
        bound = tuple(self._bound(statement) for statement in statements)
        self._check_all_used()
        return bound

    def _bound(self, statement: Statement) -> Bound:
        style = self._style(statement)
        pieces: list[str] = []
        slots: list[int] = []
        values: list[JsonValue] = []
        names: dict[str, int] = {}
        position = 0
        literal = ""
        for token in statement.tokens:
            literal_percent = token.kind is Kind.PERCENT and style in PERCENT_STYLES
            if token.kind is not style and not literal_percent:
                continue
            literal += statement.text[position : token.start]
            position = token.end
            if literal_percent:
                literal += "%"
                continue
            pieces.append(literal)
            literal = ""
            slots.append(self._slot(token, names, values))
        pieces.append(literal + statement.text[position:])
        return Bound(statement, tuple(pieces), tuple(slots), tuple(values))

    def _slot(self, token: Token, names: dict[str, int], values: list[JsonValue]) -> int:
        if token.name in names:
            return names[token.name]
        if isinstance(self._parameters, dict):
            self._used.add(token.name)
            names[token.name] = len(values)
            if token.name not in self._parameters:
                self._missing.append(f"{token.name!r}")
            values.append(self._parameters.get(token.name))
        else:
            values.append(self._parameters[self._taken] if self._taken < len(self._parameters) else None)
            self._taken += 1
        return len(values) - 1

    def _style(self, statement: Statement) -> Kind | None:
        """The one style of this statement, None if it has no placeholder."""
        found = {token.kind for token in statement.tokens if token.kind in (*POSITIONAL, *BY_NAME, Kind.OWN)}
        by_name = isinstance(self._parameters, dict)
        if self._dialect.question_operators and (by_name or Kind.FORMAT in found):
            found.discard(Kind.QMARK)
        if Kind.OWN in found:
            raise self._fault(statement, "has a placeholder of the database's own; write %s or ?, %(name)s or :name")
        right, wrong = (BY_NAME, POSITIONAL) if by_name else (POSITIONAL, BY_NAME)
        if strange := [kind for kind in wrong if kind in found]:
            given = "a mapping" if by_name else "a list"
            raise self._fault(
                statement,
                f"has the placeholder {strange[0]}, but `parameters` is {given}: use {right[0]} or {right[1]}",
            )
        if len(found) > 1:
            raise self._fault(statement, f"mixes {right[0]} and {right[1]}; use one of them")
        return found.pop() if found else None

    def _fault(self, statement: Statement, what: str) -> SqlFault:
        return invalid(f"sql: statement {statement.number} {what}")

    def _check_all_used(self) -> None:
        if isinstance(self._parameters, list):
            if self._taken != len(self._parameters):
                have = len(self._parameters)
                raise invalid(f"parameters: the SQL has {self._taken} placeholders, but the list has {have} values")
            return
        if self._missing:
            raise invalid(f"parameters: no value for {', '.join(dict.fromkeys(self._missing))}, which the SQL uses")
        if extra := [repr(name) for name in self._parameters if name not in self._used]:
            raise invalid(f"parameters: {', '.join(extra)} given, but the SQL does not use it as :name or %(name)s")
