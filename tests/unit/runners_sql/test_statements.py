"""A script is cut only where its database would end a statement."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.runners.sql.dialect import MYSQL, POSTGRES, SQLITE, Dialect
from millrace.runners.sql.faults import SqlFault
from millrace.runners.sql.plan import script_of
from millrace.runners.sql.results import Demand
from millrace.runners.sql.statements import statements_of

TRIGGER = "create trigger t after insert on a begin update b set n = case when 1 then 2 else 3 end; delete from c; end"


@pytest.mark.parametrize(
    ("dialect", "sql", "cut"),
    [
        (SQLITE, "select 1", ["select 1"]),
        (SQLITE, "select 1; select 2;", ["select 1", "select 2"]),
        (SQLITE, " ; -- nothing\n ;; /* no */ ", []),
        (SQLITE, "select ';'; select \";\" -- ;\n", ["select ';'", 'select ";" -- ;']),
        (SQLITE, f"{TRIGGER}; select 1", [TRIGGER, "select 1"]),
        (SQLITE, "create table trigger_log (a); select 1", ["create table trigger_log (a)", "select 1"]),
        (SQLITE, "create table t (event, begin); select 1", ["create table t (event, begin)", "select 1"]),
        (SQLITE, "select case when 1 then 2 end; select 2", ["select case when 1 then 2 end", "select 2"]),
        (POSTGRES, "do $$ begin a; b; end $$; select 1", ["do $$ begin a; b; end $$", "select 1"]),
        (
            POSTGRES,
            "create or replace function f() returns int begin atomic select 1; select 2; end; select 3",
            ["create or replace function f() returns int begin atomic select 1; select 2; end", "select 3"],
        ),
        (
            MYSQL,
            "create procedure p() begin if 1 then select 1; end if; while 0 do select 2; end while; end; select 3",
            ["create procedure p() begin if 1 then select 1; end if; while 0 do select 2; end while; end", "select 3"],
        ),
        (MYSQL, r"select 'a\';'; select 2", [r"select 'a\';'", "select 2"]),
    ],
)
def test_a_script_is_cut_at_semicolons_that_are_code(dialect: Dialect, sql: str, cut: list[str]) -> None:
    assert [statement.text.strip() for statement in statements_of(sql, dialect)] == cut


@given(
    st.lists(
        st.sampled_from(
            [
                "select 1",
                "select ';'",
                "select /* ; */ 2",
                "select [;]",
                TRIGGER,
                "select -- ;\n 3",
                "insert into t values (';''')",
            ]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_piece_is_complete_for_sqlite_itself(parts: list[str]) -> None:
    found = statements_of("; ".join(parts), SQLITE)

    assert len(found) == len(parts)
    assert all(sqlite3.complete_statement(statement.text + "\n;") for statement in found)


@pytest.mark.parametrize("sql", ["begin", "select 1; commit", "START TRANSACTION", "rollback", "/* x */ end"])
def test_a_transaction_inside_the_transaction_is_refused(sql: str) -> None:
    with pytest.raises(SqlFault, match="transaction: false"):
        script_of(sql, None, SQLITE, demand=Demand(1), transaction=True, read_only=False)

    assert script_of(sql, None, SQLITE, demand=Demand(1), transaction=False, read_only=False).statements


def test_savepoints_are_allowed_inside_the_transaction() -> None:
    sql = "savepoint a; rollback to savepoint a; release a"
    assert len(script_of(sql, None, SQLITE, demand=Demand(1), transaction=True, read_only=False).statements) == 3


@pytest.mark.parametrize("sql", [" ", "-- nothing", ";;", "select '\0'"])
def test_sql_without_a_statement_or_with_nul_is_refused(sql: str) -> None:
    with pytest.raises(SqlFault, match=r"^sql: "):
        script_of(sql, None, SQLITE, demand=Demand(1), transaction=True, read_only=False)
