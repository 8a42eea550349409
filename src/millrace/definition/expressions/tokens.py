"""CEL's tokens, found by our own linear scanner.

The library shows no syntax tree, so everything that must be known about an expression before it runs (its
paths, its comprehensions, where it ends inside a template) rests on these tokens.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from .faults import ExpressionFault

RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
"""Words that are no names."""


class Kind(StrEnum):
    STRING = "string"
    BYTES = "bytes"
    DOUBLE = "double"
    UINT = "uint"
    INT = "int"
    NAME = "name"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is exactly what stands at `start` up to `end`."""

    kind: Kind
    text: str
    start: int
    end: int


_RAW_TEXT = r"""'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|"[^"\n]*\""""
_TEXT = r"""'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""
_TOKEN = re.compile(
    rf"""
    (?P<skip>\s+|//[^\n]*)
  | (?P<bytes>(?:[bB][rR]|[rR][bB])(?:{_RAW_TEXT})|[bB](?:{_TEXT}))
  | (?P<string>[rR](?:{_RAW_TEXT})|(?:{_TEXT}))
  | (?P<double>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
  | (?P<uint>(?:0[xX][0-9a-fA-F]+|[0-9]+)[uU])
  | (?P<int>0[xX][0-9a-fA-F]+|[0-9]+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{{}}])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


SIGNS = {
    "|": "there are no filters: write upper(x), default(x, 5); || is or",
    "=": "write == to compare",
    "&": "write && for and",
    "$": "names stand as they are: input.name",
}
"""What other languages write, and what is written here."""


def match_at(text: str, position: int) -> re.Match[str] | None:
    """The token, blank or comment that starts at `position`; its name is `lastgroup`."""
    return _TOKEN.match(text, position)


def unreadable(text: str, position: int) -> ExpressionFault:
    """The fault for a place where no token starts."""
    character = text[position]
    if character in "'\"":
        return ExpressionFault("text in quotes is never closed", position, f"end it with {character}")
    remedy = SIGNS.get(character, "remove it, or put text in quotes")
    return ExpressionFault(f"{character!r} has no meaning here", position, remedy)


def tokenize(source: str) -> list[Token]:
    """All tokens of `source`, ended by one of kind END. Raises `ExpressionFault`."""
    tokens: list[Token] = []
    position = 0
    while position < len(source):
        match = match_at(source, position)
        if match is None:
            raise unreadable(source, position)
        if match.lastgroup != "skip":
            tokens.append(Token(Kind(match.lastgroup or ""), match.group(), position, match.end()))
        position = match.end()
    tokens.append(Token(Kind.END, "", len(source), len(source)))
    return tokens
