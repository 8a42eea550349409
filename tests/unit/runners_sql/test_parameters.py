"""Placeholders in four styles become one, values stay beside the text, and what does not fit is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.core.values import JsonValue
from millrace.runners.sql.dialect import MYSQL, POSTGRES, SQLITE, Dialect
from millrace.runners.sql.faults import SqlFault, unfit
from millrace.runners.sql.mysql_text import literal
from millrace.runners.sql.parameters import Parameters, bind
from millrace.runners.sql.statements import statements_of


def bound(
    sql: str, parameters: Parameters | None, dialect: Dialect = POSTGRES
) -> list[tuple[str, tuple[JsonValue, ...]]]:
    found, misfits = bind(statements_of(sql, dialect), parameters, dialect)
    if misfits:
        raise unfit(misfits)
    return [(each.text(lambda slot: f"${slot + 1}"), each.values) for each in found]


@pytest.mark.parametrize(
    ("sql", "parameters", "text", "values"),
    [
        ("select %s, %s", [1, "b"], "select $1 , $2 ", (1, "b")),
        ("select ?, ?", [1, None], "select $1 , $2 ", (1, None)),
        ("select :a, :b, :a", {"a": 1, "b": 2}, "select $1 , $2 , $1 ", (1, 2)),
        ("select %(a)s::int", {"a": 1}, "select $1 ::int", (1,)),
        ("select %s, 5 %% 2, '%%'", [1], "select $1 , 5 % 2, '%%'", (1,)),
        ("select ?, 5 %% 2", [1], "select $1 , 5 %% 2", (1,)),
        ("select ':no %s ?', :a", {"a": 1}, "select ':no %s ?', $1 ", (1,)),
        ("select a ? 'k', %s", [1], "select a ? 'k', $1 ", (1,)),
        ("select a ?| b, :a", {"a": 1}, "select a ?| b, $1 ", (1,)),
        ("select ?5", [1], "select $1 5", (1,)),
    ],
)
def test_placeholders_become_the_drivers(
    sql: str, parameters: Parameters, text: str, values: tuple[JsonValue, ...]
) -> None:
    assert bound(sql, parameters) == [(text, values)]


@pytest.mark.parametrize("sql", ["select %s, ?, :a, %(b)s, 5 %% 2", "select a ? 'b'", "select $1"])
def test_without_parameters_the_sql_stays_as_written(sql: str) -> None:
    assert bound(sql, None) == [(sql, ())]


def test_each_statement_takes_its_names_and_a_list_is_used_up_in_order() -> None:
    assert [values for _, values in bound("select :a; select :b, :a", {"a": 1, "b": 2})] == [(1,), (2, 1)]
    assert [values for _, values in bound("select ?; select 0; select %s, %s", [1, 2, 3])] == [(1,), (), (2, 3)]


@pytest.mark.parametrize(
    ("dialect", "sql", "parameters", "message"),
    [
        (POSTGRES, "select :a, :b, :c", {"a": 1}, "no value for 'b', 'c'"),
        (POSTGRES, "select :a", {"a": 1, "other": 2}, "'other' given"),
        (POSTGRES, "select 1", {"a": 1}, "'a' given"),
        (POSTGRES, "select ?", [1, 2], "1 placeholder, but the list has 2 values"),
        (POSTGRES, "select %s, %s", [1], "2 placeholders, but the list has 1 value;"),
        (POSTGRES, "select :a, %(a)s", {"a": 1}, "mixes"),
        (SQLITE, "select ?, %s", [1, 2], "mixes"),
        (SQLITE, "select 1; select :a", [1], "statement 2 has the placeholder :name, but `parameters` is a list"),
        (SQLITE, "select ?", {"a": 1}, "a mapping; use"),
        (MYSQL, "select %s", {"a": 1}, "a mapping; use"),
        (SQLITE, "select ?1", [1], "database's own"),
        (SQLITE, "select @a, :a", {"a": 1}, "database's own"),
        (POSTGRES, "select $1, %s", [1], "database's own"),
    ],
)
def test_parameters_that_do_not_fit_are_named(dialect: Dialect, sql: str, parameters: Parameters, message: str) -> None:
    with pytest.raises(SqlFault, match=message) as caught:
        bound(sql, parameters, dialect)
    assert caught.value.kind == "invalid_input"


@pytest.mark.parametrize(
    ("sql", "parameters", "text", "values"),
    [
        ("select 1 where a in (:ids)", {"ids": [1, 2]}, "select 1 where a in ($1 , $2 )", (1, 2)),
        ("select 1 where a IN( ? ) and b = ?", [[1, 2], 3], "select 1 where a IN( $1 , $2  ) and b = $3 ", (1, 2, 3)),
        ("select 1 where a in (%(x)s)", {"x": ["a'); drop"]}, "select 1 where a in ($1 )", ("a'); drop",)),
        (
            "select :x, 1 where a in (:x) or b not in (:x)", {"x": [1, 2]},
            "select $1 , 1 where a in ($2 , $3 ) or b not in ($2 , $3 )", ([1, 2], 1, 2),
        ),
        ("select 1 where a in (:x)", {"x": 5}, "select 1 where a in ($1 )", (5,)),
        ("select 1 where a in (:x, :y)", {"x": [1], "y": 2}, "select 1 where a in ($1 , $2 )", ([1], 2)),
        ("select 1 where a = any(:x)", {"x": [1, 2]}, "select 1 where a = any($1 )", ([1, 2],)),
        ("select :not in (:x)", {"not": 1, "x": []}, "select $1  = any('{}')", (1,)),
        ("select 1 where a not in (:x) -- in\n", {"x": []}, "select 1 where a <> all('{}') -- in\n", ()),
    ],
)  # fmt: skip
def test_a_list_in_the_parentheses_of_in_stands_for_its_values(
    sql: str, parameters: Parameters, text: str, values: tuple[JsonValue, ...]
) -> None:
    assert bound(sql, parameters) == [(text, values)]


def test_a_list_that_no_statement_takes_is_refused_with_another_way() -> None:
    with pytest.raises(SqlFault, match=r"the list for :x in `in \(…\)` has 10001 values; 10000 are the most"):
        bound("select 1 where a in (:x)", {"x": [0] * 10_001})


def test_all_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(SqlFault, match=r"no value for 'a', which.*; parameters: 'b' given, but the SQL"):
        bound("select :a, ':b'", {"b": 1})


@given(st.lists(st.text(max_size=20), max_size=6))
def test_no_value_ever_enters_the_text(values: list[str]) -> None:
    sql = "select " + ", ".join(["?"] * len(values)) if values else "select 1"
    expected = "select " + ", ".join(f"${number + 1} " for number in range(len(values))) if values else "select 1"

    assert bound(sql, list(values)) == [(expected, tuple(values))]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_mysql_literal_has_no_character_that_could_end_a_quote_or_comment(value: JsonValue) -> None:
    text = literal(value)
    assert text == "''" or not set(text) - set("0123456789abcdefghijklmnopqrstuvwxyz_ -+.")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_mysql_literal_of_a_float_is_that_float(number: float) -> None:
    assert float(literal(number)) == number
    assert "e" in literal(number), "without an exponent MySQL would take it as a decimal"
