"""A placeholder is one only in code. By table for each dialect's quotes, and by generated SQL that knows its answer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.runners.sql.dialect import MYSQL, POSTGRES, SQLITE, Dialect
from millrace.runners.sql.lexer import Kind, tokens

ALL = (SQLITE, POSTGRES, MYSQL)
PLACEHOLDERS = {Kind.FORMAT, Kind.PYFORMAT, Kind.QMARK, Kind.NAMED}


def placeholders(sql: str, dialect: Dialect) -> list[str]:
    return [sql[token.start : token.end] for token in tokens(sql, dialect) if token.kind in PLACEHOLDERS]


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select ?, %s, :a, %(b)s", ["?", "%s", ":a", "%(b)s"]),
        ("select '? %s :a %(b)s', ?", ["?"]),
        ("select 'it''s :a', :b", [":b"]),
        ('select "a "" :no", :b', [":b"]),
        ("select 1 -- :no ?\n, :b", [":b"]),
        ("select 1 /* :no ' */, :b", [":b"]),
        ("select 1 /* never closed :no", []),
        ("select 'never closed :no", []),
        ("select :a::int", [":a"]),
        ("select a::text", []),
        ("select 5 %size, 6 % s", []),
        ("select '10:30', :a", [":a"]),
        ("select (:a),:b;", [":a", ":b"]),
        ("", []),
    ],
)
def test_quotes_and_comments_of_every_dialect_hide_placeholders(sql: str, found: list[str], dialect: Dialect) -> None:
    assert placeholders(sql, dialect) == found


@pytest.mark.parametrize(
    ("dialect", "sql", "found"),
    [
        (SQLITE, "select [a:b ?], `:c`, :d", [":d"]),
        (SQLITE, r"select 'a\', :b", [":b"]),
        (SQLITE, "select /* /* :no */ :yes", [":yes"]),
        (SQLITE, "select 1 # :a", [":a"]),
        (POSTGRES, r"select E'a\' :no', e'\\', :b", [":b"]),
        (POSTGRES, r"select 'a\', :b", [":b"]),
        (POSTGRES, "select typeE':no', :b", [":b"]),
        (POSTGRES, "select $$ :no ' $$, $x$ ? $$ ; $x$, :b", [":b"]),
        (POSTGRES, "select a$b, :c, d$b", [":c"]),
        (POSTGRES, "select /* /* :no */ :no */ :yes", [":yes"]),
        (POSTGRES, "select a[1:2], b[:n]", [":n"]),
        (POSTGRES, "select j #>> '{a}', :b", [":b"]),
        (MYSQL, r"select 'a\' :no', :b", [":b"]),
        (MYSQL, r'select "a\" :no", :b', [":b"]),
        (MYSQL, "select `:no`, :b # :no\n, :c", [":b", ":c"]),
        (MYSQL, "select 5--:a", [":a"]),
        (MYSQL, "set @x := :a", [":a"]),
    ],
)
def test_quotes_of_one_dialect_hide_placeholders_only_there(dialect: Dialect, sql: str, found: list[str]) -> None:
    assert placeholders(sql, dialect) == found


HIDDEN = st.text(alphabet='ab :?;%s(n)\n"`$#-/é', max_size=12)


def hiding(dialect: Dialect) -> st.SearchStrategy[str]:
    """Pieces of SQL that hold no placeholder, whatever stands in them."""
    plain = HIDDEN.map(lambda text: text.replace("'", "").replace("\\", ""))
    kinds = [
        plain.map(lambda text: f"'{text}'"),
        plain.map(lambda text: '"' + text.replace('"', '""') + '"'),
        plain.map(lambda text: "-- " + text.replace("\n", "") + "\n"),
        plain.map(lambda text: "/*" + text.replace("/", "") + "*/"),
        st.sampled_from(["a::b", "x", " 12 ", "(1)", "''", "+"]),
    ]
    if dialect.backtick_names:
        kinds.append(plain.map(lambda text: "`" + text.replace("`", "``") + "`"))
    if dialect.backslash_escapes:
        kinds.append(plain.map(lambda text: f"'\\'{text}\\\\'"))
    if dialect.escape_strings:
        kinds.append(plain.map(lambda text: f"E'\\'{text}\\\\'"))
    if dialect.dollar_quotes:
        kinds.append(plain.map(lambda text: "$q$" + text.replace("$", "") + "$q$"))
    return st.one_of(kinds)


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@given(data=st.data())
def test_only_placeholders_in_code_are_found(dialect: Dialect, data: st.DataObject) -> None:
    marks = st.sampled_from([":name", "%s", "%(name)s", "?"])
    pieces = data.draw(st.lists(st.one_of(hiding(dialect), marks), max_size=12))
    sql = " ".join(pieces)

    assert placeholders(sql, dialect) == [piece for piece in pieces if piece in (":name", "%s", "%(name)s", "?")]


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@given(sql=st.text(max_size=60))
def test_any_text_is_read_to_its_end_without_overlaps(dialect: Dialect, sql: str) -> None:
    found = list(tokens(sql, dialect))

    assert all(token.start < token.end <= len(sql) for token in found)
    assert all(first.end <= second.start for first, second in pairwise(found))
