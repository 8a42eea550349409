"""What is to be done on a database, whichever it is: checked statements with their values, and how to run them."""

from dataclasses import dataclass

from millrace.runners.sql.dialect import Dialect
from millrace.runners.sql.faults import invalid
from millrace.runners.sql.parameters import Bound, Parameters, bind
from millrace.runners.sql.results import Demand
from millrace.runners.sql.statements import statements_of


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
    if "\0" in sql:
        raise invalid("sql: must not contain the NUL character")
    statements = statements_of(sql, dialect)
    if not statements:
        raise invalid("sql: holds no statement")
    if transaction:
        for statement in statements:
            if statement.controls_transaction:
                raise invalid(
                    f"sql: statement {statement.number} ({statement.first_word.lower()}) begins or ends a transaction, "
                    "but the script already is one; leave it out, or set `transaction: false`"
                )
    return Script(bind(statements, parameters, dialect), demand, transaction, read_only)
