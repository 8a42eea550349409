"""What all tables are made with: the one MetaData, and the kinds of columns and constraints.

Instants are BIGINT microseconds since the Unix epoch (UTC), ids UUIDv7 in text form, JSON is text written by
`storage.mapping` alone: the same on both databases, cheap on the hot path, ordered by creation.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, MetaData, String, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: Iterable[str]) -> str:
    """Spelled out, for SQLite builds a temporary table for each longer `in (…)`, at every row a CHECK looks at."""
    return "(" + " or ".join(f"{column} = '{value}'" for value in sorted(values)) + ")"


def finished_exactly_when(finished: Iterable[StrEnum]) -> str:
    return f"(finished_at is not null) = ({one_of('status', finished)})"


def possible(function: str, columns: str, **conditions: str) -> tuple[CheckConstraint, ...]:
    """The conditions, each a CHECK of this name. On PostgreSQL one function holds all of them against the row.

    There the text of a CHECK is parsed anew for each statement that writes to its table, which took a sixth of the
    server's time. The functions are in `migrations/postgres/first/states.sql`.
    """
    checks = [CheckConstraint(text, name=name).ddl_if(dialect="sqlite") for name, text in conditions.items()]
    return *checks, CheckConstraint(f"{function}({columns})", name="possible").ddl_if(dialect="postgresql")


def short(length: int) -> String:
    """Text of at most so many characters, compared byte by byte: by the languages of a server's locale, ids would be
    compared ten times slower, and in an order that changes with the operating system."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def where(condition: str) -> dict[str, Any]:
    """Makes an index partial, on both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def only_on_postgres(*indexes: Index) -> tuple[Index, ...]:
    for index in indexes:
        index.info["dialect"] = "postgresql"
        index.ddl_if(dialect="postgresql")
    return indexes


def identifier(name: str = "id", *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, short(36), primary_key=primary_key, nullable=nullable and not primary_key)


def instant(name: str, *, nullable: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)
