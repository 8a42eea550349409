"""A script as a list of statements: cut at semicolons that are code, not text and not inside a routine's body."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from millrace.runners.sql.dialect import Dialect
from millrace.runners.sql.lexer import Kind, Token, tokens

ROUTINES = frozenset({"TRIGGER", "FUNCTION", "PROCEDURE", "EVENT"})
"""`create …` of one of these may hold statements between `begin` and `end`."""

OTHER_OBJECTS = frozenset(
    {"TABLE", "VIEW", "INDEX", "SCHEMA", "DATABASE", "TYPE", "DOMAIN", "SEQUENCE", "ROLE", "USER"}
)

BLOCKS = frozenset({"IF", "LOOP", "WHILE", "REPEAT"})
"""MySQL closes these with `end if` and so on; their beginning is not counted, so neither is their end."""

TRANSACTION_WORDS = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "END", "ABORT"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as written, without its semicolon; its tokens' positions are positions in `text`."""

    number: int
    text: str
    tokens: tuple[Token, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(token.name for token in self.tokens if token.kind is Kind.WORD)

    @property
    def first_word(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def controls_transaction(self) -> bool:
        """`rollback to savepoint` does neither."""
        return self.first_word in TRANSACTION_WORDS and "TO" not in self.words[:4]


def statements_of(sql: str, dialect: Dialect) -> tuple[Statement, ...]:
    """The statements of a script. Pieces of nothing but spaces and comments are left out."""
    found: list[Statement] = []
    for start, end, inside in _pieces(sql, dialect):
        if inside:
            moved = tuple(replace(token, start=token.start - start, end=token.end - start) for token in inside)
            found.append(Statement(len(found) + 1, sql[start:end], moved))
    return tuple(found)


def _pieces(sql: str, dialect: Dialect) -> Iterator[tuple[int, int, list[Token]]]:
    start = 0
    inside: list[Token] = []
    body = _Body()
    for token in tokens(sql, dialect):
        if token.kind is Kind.END and not body.is_open:
            yield start, token.start, inside
            start, inside, body = token.end, [], _Body()
            continue
        inside.append(token)
        if token.kind is Kind.WORD:
            body.read(token.name)
        elif token.kind is Kind.END:
            body.read(";")
    yield start, len(sql), inside


class _Body:
    """Follows `create trigger … begin …; case … end; end`: how many `end` are still to come."""

    def __init__(self) -> None:
        self._previous = ""
        self._creates = False
        self._routine: bool | None = None
        self._depth = 0

    @property
    def is_open(self) -> bool:
        return self._depth > 0

    def read(self, word: str) -> None:
        if not self._previous:
            self._creates = word == "CREATE"
        if self._routine is None and word in ROUTINES | OTHER_OBJECTS:
            self._routine = self._creates and word in ROUTINES
        if self._routine:
            self._depth += self._step(word)
        self._previous = word

    def _step(self, word: str) -> int:
        if word == "END":
            return -1
        if self._previous == "END":
            return 1 if word in BLOCKS else 0
        if word == "BEGIN":
            return 1
        return 1 if word == "CASE" and self._depth else 0
