"""One tokenizer for three dialects: where SQL is code, and where it is text in quotes or a comment.

Everything that reads a user's SQL (splitting statements, finding placeholders) goes through `tokens`, so both see the
same quotes. It knows no grammar; what it does not recognize is plain SQL.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from millrace.runners.sql.dialect import Dialect


class Kind(StrEnum):
    WORD = "word"
    END = ";"
    FORMAT = "%s"
    PYFORMAT = "%(name)s"
    QMARK = "?"
    NAMED = ":name"
    PERCENT = "%%"
    OWN = "a placeholder of the database's driver"
    OTHER = "quoted text, an operator, a number: code without a meaning here"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL that is no comment and no space. `name` is the parameter's name, or the word in capitals."""

    kind: Kind
    start: int
    end: int
    name: str = ""


PLACEHOLDERS = (
    (Kind.PYFORMAT, r"%\((?P<pyformat>[A-Za-z_]\w*)\)s(?!\w)"),
    (Kind.PERCENT, r"%%"),
    (Kind.FORMAT, r"%s(?!\w)"),
    (Kind.NAMED, r":(?P<named>[A-Za-z_]\w*)"),
    (Kind.QMARK, r"\?"),
)


def tokens(sql: str, dialect: Dialect) -> Iterator[Token]:
    """The tokens of `sql` in order. An unclosed quote or comment reaches to the end: the database will say so."""
    pattern = _pattern(dialect)
    position = 0
    while position < len(sql):
        match = pattern.match(sql, position)
        if match is None or match.end() == position:
            raise AssertionError(f"the lexer stands still at {position}")
        group = match.lastgroup or ""
        end = match.end()
        if group == "nested":
            end = _after_nested_comment(sql, position)
        elif group == "dollar":
            end = _after(sql, match.group(), end)
            yield Token(Kind.OTHER, position, end)
        elif group == "rest":
            yield Token(Kind.OTHER, position, end)
        elif group in Kind.__members__:
            yield Token(Kind[group], position, end, _name(match))
        position = end


def _name(match: re.Match[str]) -> str:
    if match.lastgroup == Kind.WORD.name:
        return match.group().upper()
    return match.group("pyformat") or match.group("named") or ""


def _after(sql: str, closing: str, start: int) -> int:
    found = sql.find(closing, start)
    return len(sql) if found < 0 else found + len(closing)


def _after_nested_comment(sql: str, start: int) -> int:
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(sql, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)


@cache
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    """Alternatives in order of precedence: a group named like a `Kind` is that token, one without a name is skipped."""
    quoted = f"(?P<{Kind.OTHER.name}>{'|'.join(_quoted(dialect))})"
    return re.compile("|".join([r"\s+", *_comments(dialect), quoted, *_code(dialect)]), re.DOTALL)


def _comments(dialect: Dialect) -> Iterator[str]:
    yield r"--(?=\s|\Z)[^\n]*" if dialect.dash_comment_needs_space else r"--[^\n]*"
    if dialect.hash_comments:
        yield r"#[^\n]*"
    yield r"(?P<nested>/\*)" if dialect.nested_comments else r"/\*(?:.*?\*/|.*)"


def _quoted(dialect: Dialect) -> Iterator[str]:
    if dialect.escape_strings:
        yield r"[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)"
    if dialect.backslash_escapes:
        yield r"'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)"
        yield r'"(?:[^"\\]|\\.|"")*(?:"|\\?\Z)'
    yield r"'(?:[^']|'')*(?:'|\Z)"
    yield r'"(?:[^"]|"")*(?:"|\Z)'
    if dialect.backtick_names:
        yield r"`(?:[^`]|``)*(?:`|\Z)"
    if dialect.bracket_names:
        yield r"\[[^\]]*(?:\]|\Z)"
    yield r"::"


def _code(dialect: Dialect) -> Iterator[str]:
    if dialect.dollar_quotes:
        yield r"(?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)"
    if dialect.own_placeholder:
        yield f"(?P<{Kind.OWN.name}>{dialect.own_placeholder})"
    for kind, placeholder in PLACEHOLDERS:
        yield f"(?P<{kind.name}>{placeholder})"
    yield f"(?P<{Kind.WORD.name}>" + r"[A-Za-z_\x80-\U0010ffff][\w$]*)"
    yield f"(?P<{Kind.END.name}>;)"
    yield r"(?P<rest>\d\w*|.)"
