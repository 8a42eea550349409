"""The databases a task can speak to, and how their SQL is written. Only what the lexer must know to skip quotes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    backslash_escapes: bool = False
    """A backslash in '…' and "…" escapes the next character, in every string."""
    escape_strings: bool = False
    """E'…' strings, in which a backslash escapes."""
    dollar_quotes: bool = False
    bracket_names: bool = False
    """[name] is a quoted name."""
    backtick_names: bool = False
    hash_comments: bool = False
    nested_comments: bool = False
    dash_comment_needs_space: bool = False
    question_operators: bool = False
    """`?`, `?|` and `?&` are operators, so a `?` is a placeholder only where nothing else can be."""
    own_placeholder: str = ""
    """A regular expression of the driver's own placeholders, which may not be mixed with parameters."""
    in_nothing: str = "in ()"
    """What is true of no value, whatever the type, for `in (:list)` with an empty list."""
    not_in_nothing: str = "not in ()"


SQLITE = Dialect(
    "SQLite",
    bracket_names=True,
    backtick_names=True,
    own_placeholder=r"\?\d+|[@$][A-Za-z_]\w*",
)
POSTGRES = Dialect(
    "PostgreSQL",
    escape_strings=True,
    dollar_quotes=True,
    nested_comments=True,
    question_operators=True,
    own_placeholder=r"\$\d+",
    in_nothing="= any('{}')",
    not_in_nothing="<> all('{}')",
)
MYSQL = Dialect(
    "MySQL",
    backslash_escapes=True,
    backtick_names=True,
    hash_comments=True,
    dash_comment_needs_space=True,
    in_nothing="in (select null from dual where false)",
    not_in_nothing="not in (select null from dual where false)",
)
