"""What is to be done on a database, whichever it is: checked statements with their values, and how to run them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from millrace.runners.sql.dialect import Dialect
from millrace.runners.sql.faults import Misfit, unfit
from millrace.runners.sql.parameters import Bound, Parameters, bind, forgotten
from millrace.runners.sql.results import Demand
from millrace.runners.sql.statements import Statement, statements_of


@dataclass(frozen=True, slots=True)
class Script:
    statements: tuple[Bound, ...]
    demand: Demand
    transaction: bool
    """All statements in one transaction, or each in its own."""
    read_only: bool


def script_of(
    sql: str, parameters: Parameters | None, dialect: Dialect, *, demand: Demand, transaction: bool, read_only: bool
) -> Script:
    """Cut, check and bind. Raises `SqlFault` before anything touches a database."""
    bound, misfits = examined(sql, parameters, dialect, transaction=transaction)
    if misfits:
        raise unfit(misfits)
    return Script(bound, demand, transaction, read_only)


def examined(
    sql: str, parameters: Parameters | None, dialect: Dialect, *, transaction: bool
) -> tuple[tuple[Bound, ...], tuple[Misfit, ...]]:
    """The statements with their values, and everything for which they cannot be run."""
    if "\0" in sql:
        return (), (Misfit("sql", "must not contain the NUL character", "take it out"),)
    statements = statements_of(sql, dialect)
    if not statements:
        return (), (Misfit("sql", "holds no statement", "write at least one"),)
    controlling = tuple(_controlling(statements)) if transaction else ()
    bound, misfits = bind(statements, parameters, dialect)
    missing = forgotten(statements, dialect) if parameters is None else ()
    return bound, (*controlling, *misfits, *missing)


def _controlling(statements: Iterable[Statement]) -> Iterator[Misfit]:
    for statement in statements:
        if statement.controls_transaction:
            yield Misfit(
                "sql",
                f"statement {statement.number} ({statement.first_word.lower()}) begins or ends a transaction, but the "
                "script already is one",
                "leave it out, or set `transaction: false`",
            )
