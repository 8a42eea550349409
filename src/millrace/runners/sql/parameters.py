"""From a statement with placeholders in any of four styles to one in its driver's style, with the values in order.

Values never become part of the text here: what leaves this module is text and, beside it, what to bind. That also holds
for `in (:ids)` with a list: its values are bound one by one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from millrace.core.values import JsonValue
from millrace.runners.sql.dialect import Dialect
from millrace.runners.sql.faults import Misfit
from millrace.runners.sql.lexer import Kind, Token
from millrace.runners.sql.statements import ROUTINES, Statement

Parameters = list[JsonValue] | dict[str, JsonValue]

POSITIONAL = (Kind.FORMAT, Kind.QMARK)
BY_NAME = (Kind.PYFORMAT, Kind.NAMED)
PERCENT_STYLES = (Kind.FORMAT, Kind.PYFORMAT)

BEFORE_VALUES = frozenset(
    {
        *("ALL", "AND", "CASE", "DISTINCT", "ELSE", "HAVING", "ILIKE", "IN", "IS", "LIKE", "LIMIT", "NOT", "OFFSET"),
        *("ON", "OR", "RETURNING", "SELECT", "THEN", "WHEN", "WHERE"),
    }
)
"""Words that a value may follow and that PostgreSQL, where `key:value` may be written, takes for no column's name."""
VALUE_ENDS = frozenset("'\"`)]$_")
GEOMETRIC = frozenset("-|#")
"""What makes of a `?` before it an operator of PostgreSQL that may stand before its value: `?- line`, `?| line`."""

MOST_LISTED = 10_000
"""Values of one list in `in (…)`. PostgreSQL and SQLite bind no more than 32,766 in a statement."""


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


def bind(
    statements: Sequence[Statement], parameters: Parameters | None, dialect: Dialect
) -> tuple[tuple[Bound, ...], tuple[Misfit, ...]]:
    """Give every statement its values, and say what does not fit: with a misfit nothing may be run.

    Without `parameters` nothing is a placeholder and the SQL stays as written. From a mapping each statement takes the
    names it uses; a list is used up in order, across all statements.
    """
    if parameters is None:
        return tuple(Bound(statement, (statement.text,), (), ()) for statement in statements), ()
    return _Binder(parameters, dialect).bind(statements)


def forgotten(statements: Sequence[Statement], dialect: Dialect) -> tuple[Misfit, ...]:
    """Placeholders in SQL that has no `parameters`: those that no database can take for anything else."""
    return tuple(
        Misfit(
            "parameters",
            f"there are none, but statement {statement.number} has the placeholder {_written(statement, token)}",
            "give its value in `parameters`",
        )
        for statement in statements
        for token in [next(_surely_placeholders(statement, dialect), None)]
        if token is not None
    )


def _surely_placeholders(statement: Statement, dialect: Dialect) -> Iterator[Token]:
    """Not `%s` after a value, which is a remainder; not `:name` after one, which is a slice `a[1:n]`, a label or a part
    of `json_object('key':value)`; no operator `?-`. What stands in a routine or `prepare` is for later.

    A refusal that is wrong leaves no way out. What is not sure here is said by the database.
    """
    if statement.first_word == "PREPARE" or (statement.first_word == "CREATE" and ROUTINES & set(statement.words)):
        return
    brackets, before = 0, ""
    for token in statement.tokens:
        text = _written(statement, token)
        brackets += (text == "[") - (text == "]")
        operator = not before or before[-1] in "=<>(,"
        match token.kind:
            case Kind.NAMED if not brackets and not _is_value(before):
                yield token
            case Kind.PYFORMAT:
                yield token
            case Kind.OWN if statement.first_word != "EXPLAIN":
                yield token
            case Kind.QMARK if not dialect.question_operators:
                yield token
            case Kind.QMARK if operator and statement.text[token.end : token.end + 1] not in GEOMETRIC:
                yield token
            case Kind.FORMAT if operator:
                yield token
        before = text


def _is_value(text: str) -> bool:
    """Whether a token may be a value or a name, or the end of one."""
    return text[-1:] in VALUE_ENDS or (text[-1:].isalnum() and text.upper() not in BEFORE_VALUES)


def _written(statement: Statement, token: Token) -> str:
    return statement.text[token.start : token.end]


@dataclass(slots=True)
class _Draft:
    """A bound statement in the making: `position` is how far its text has been copied."""

    statement: Statement
    pieces: list[str] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    values: list[JsonValue] = field(default_factory=list)
    names: dict[tuple[str, bool], range] = field(default_factory=dict)
    """Where the values of a name are, as one value or as those of a list."""
    literal: str = ""
    position: int = 0

    def copy(self, until: int, resume: int) -> None:
        self.literal += self.statement.text[self.position : until]
        self.position = resume

    def put(self, slots: range) -> None:
        for count, slot in enumerate(slots):
            self.pieces.append(", " if count else self.literal)
            self.slots.append(slot)
        self.literal = ""

    def keep(self, values: Sequence[JsonValue]) -> range:
        self.values += values
        return range(len(self.values) - len(values), len(self.values))

    def bound(self) -> Bound:
        self.copy(len(self.statement.text), len(self.statement.text))
        return Bound(self.statement, (*self.pieces, self.literal), tuple(self.slots), tuple(self.values))


class _Binder:
    def __init__(self, parameters: Parameters, dialect: Dialect) -> None:
        self._parameters = parameters
        self._dialect = dialect
        self._used: set[str] = set()
        self._missing: list[str] = []
        self._taken = 0
        self._misfits: list[Misfit] = []

    def bind(self, statements: Sequence[Statement]) -> tuple[tuple[Bound, ...], tuple[Misfit, ...]]:
        bound = tuple(self._bound(statement) for statement in statements)
        if not any(misfit.field == "sql" for misfit in self._misfits):
            self._check_all_used()
        return bound, tuple(self._misfits)

    def _bound(self, statement: Statement) -> Bound:
        style = self._style(statement)
        draft = _Draft(statement)
        for number, token in enumerate(statement.tokens):
            if token.kind is Kind.PERCENT and style in PERCENT_STYLES:
                draft.copy(token.start, token.end)
                draft.literal += "%"
            elif token.kind is style:
                self._place(draft, number, token)
        return draft.bound()

    def _place(self, draft: _Draft, number: int, token: Token) -> None:
        """Put the value of a placeholder, or the values of a list, where the placeholder stands."""
        value, listed = self._value(token), _is_list_of_in(draft.statement, number)
        if isinstance(value, list) and listed:
            self._place_list(draft, number, token, value)
            return
        known = draft.names.get((token.name, False)) if token.name else None
        slots = known or draft.keep([value])
        draft.names[token.name, False] = slots
        draft.copy(token.start, token.end)
        draft.put(slots)

    def _place_list(self, draft: _Draft, number: int, token: Token, values: list[JsonValue]) -> None:
        tokens = draft.statement.tokens
        if not values:
            negated = number >= 3 and _is_word(tokens[number - 3], "NOT")
            draft.copy(tokens[number - 3 if negated else number - 2].start, tokens[number + 1].end)
            draft.literal += self._dialect.not_in_nothing if negated else self._dialect.in_nothing
            return
        if len(values) > MOST_LISTED:
            message = f"the list for {_written(draft.statement, token)} in `in (…)` has {len(values)} values"
            self._add("parameters", message, f"{MOST_LISTED} are the most; hand them over as JSON to join with")
        known = draft.names.get((token.name, True)) if token.name else None
        slots = known or draft.keep(values)
        draft.names[token.name, True] = slots
        draft.copy(token.start, token.end)
        draft.put(slots)

    def _value(self, token: Token) -> JsonValue:
        if isinstance(self._parameters, dict):
            self._used.add(token.name)
            if token.name not in self._parameters:
                self._missing.append(f"{token.name!r}")
            return self._parameters.get(token.name)
        self._taken += 1
        return self._parameters[self._taken - 1] if self._taken <= len(self._parameters) else None

    def _style(self, statement: Statement) -> Kind | None:
        """The one style of this statement, None if it has no placeholder, or none that fits."""
        found = {token.kind for token in statement.tokens if token.kind in (*POSITIONAL, *BY_NAME, Kind.OWN)}
        by_name = isinstance(self._parameters, dict)
        if self._dialect.question_operators and (by_name or Kind.FORMAT in found):
            found.discard(Kind.QMARK)
        which = f"statement {statement.number}"
        if Kind.OWN in found:
            message = f"{which} has a placeholder of the database's own"
            self._add("sql", message, "write %s or ?, %(name)s or :name")
            return None
        right, wrong = (BY_NAME, POSITIONAL) if by_name else (POSITIONAL, BY_NAME)
        if strange := [kind for kind in wrong if kind in found]:
            given = "a mapping" if by_name else "a list"
            message = f"{which} has the placeholder {strange[0]}, but `parameters` is {given}"
            self._add("sql", message, f"use {right[0]} or {right[1]}")
            return None
        if len(found) > 1:
            self._add("sql", f"{which} mixes {right[0]} and {right[1]}", "use one of them")
            return None
        return found.pop() if found else None

    def _add(self, where: str, message: str, remedy: str) -> None:
        self._misfits.append(Misfit(where, message, remedy))

    def _check_all_used(self) -> None:
        if isinstance(self._parameters, list):
            have = len(self._parameters)
            if self._taken != have:
                placeholders = f"{self._taken} placeholder{'' if self._taken == 1 else 's'}"
                message = f"the SQL has {placeholders}, but the list has {have} value{'' if have == 1 else 's'}"
                self._add("parameters", message, "give one value for each placeholder, in their order")
            return
        if self._missing:
            names = ", ".join(dict.fromkeys(self._missing))
            self._add("parameters", f"no value for {names}, which the SQL uses", "add it")
        if extra := [repr(name) for name in self._parameters if name not in self._used]:
            message = f"{', '.join(extra)} given, but the SQL does not use it as :name or %(name)s"
            self._add("parameters", message, "take it out, or use it in the SQL, outside quotes")


def _is_word(token: Token, word: str) -> bool:
    return token.kind is Kind.WORD and token.name == word


def _is_list_of_in(statement: Statement, number: int) -> bool:
    """Whether a placeholder is all that stands between the parentheses of `in (…)`."""
    tokens = statement.tokens
    return (
        2 <= number < len(tokens) - 1
        and _is_word(tokens[number - 2], "IN")
        and _written(statement, tokens[number - 1]) == "("
        and _written(statement, tokens[number + 1]) == ")"
    )
