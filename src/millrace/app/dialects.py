"""What the repositories say of which SQLite and PostgreSQL have different words: one construct for each difference.

JSON is text on both, so that what reads it says how it is to be taken.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import BigInteger, Boolean, ColumnElement, Select, Text, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class JsonItems(FunctionElement[Any]):
    """The items of a JSON list as rows, each as text, in a column `value`: by `.table_valued("value")`."""

    name = "json_items"
    inherit_cache = True


@compiles(JsonItems, "sqlite")
def _items_of_sqlite(element: JsonItems, compiler: SQLCompiler, **words: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **words)})"


@compiles(JsonItems, "postgresql")
def _items_of_postgres(element: JsonItems, compiler: SQLCompiler, **words: Any) -> str:
    return f"json_array_elements_text(cast({compiler.process(element.clauses, **words)} as json))"


def items_of(name: str) -> Select[Any]:
    """The texts in the list that a parameter gives, as `json_list` writes it: one statement for lists of any length."""
    given = JsonItems(bindparam(name, type_=Text())).table_valued("value", name=f"of_{name}")
    return select(given.c.value)


def json_list(texts: Iterable[str]) -> str:
    return orjson.dumps(list(texts)).decode()


class JsonItem(FunctionElement[str]):
    """`JsonItem(list, 2)`: the third item of a JSON list, as text."""

    type = Text()
    inherit_cache = True


@compiles(JsonItem, "sqlite")
def _item_of_sqlite(element: JsonItem, compiler: SQLCompiler, **words: Any) -> str:
    items, place = (compiler.process(clause, **words) for clause in element.clauses)
    return f"json_extract({items}, '$[' || {place} || ']')"


@compiles(JsonItem, "postgresql")
def _item_of_postgres(element: JsonItem, compiler: SQLCompiler, **words: Any) -> str:
    items, place = (compiler.process(clause, **words) for clause in element.clauses)
    return f"(cast({items} as json) ->> {place})"


class JsonField(FunctionElement[str]):
    """`JsonField(object, "retention")`: an object in a JSON object, as JSON. Null where there is none."""

    type = Text()
    inherit_cache = True


@compiles(JsonField, "sqlite")
def _field_of_sqlite(element: JsonField, compiler: SQLCompiler, **words: Any) -> str:
    whole, name = (compiler.process(clause, **words) for clause in element.clauses)
    return f"json_extract({whole}, '$.' || {name})"


@compiles(JsonField, "postgresql")
def _field_of_postgres(element: JsonField, compiler: SQLCompiler, **words: Any) -> str:
    whole, name = (compiler.process(clause, **words) for clause in element.clauses)
    return f"nullif(cast(cast({whole} as json) -> {name} as text), 'null')"


class JsonHas(FunctionElement[bool]):
    """`JsonHas(object, key, text)`: whether a JSON object has this text under the key, which may hold anything."""

    type = Boolean()
    inherit_cache = True


@compiles(JsonHas, "sqlite")
def _has_of_sqlite(element: JsonHas, compiler: SQLCompiler, **words: Any) -> str:
    whole, key, text = (compiler.process(clause, **words) for clause in element.clauses)
    return f"exists (select 1 from json_each({whole}) as field where field.key = {key} and field.value = {text})"  # noqa: S608


@compiles(JsonHas, "postgresql")
def _has_of_postgres(element: JsonHas, compiler: SQLCompiler, **words: Any) -> str:
    whole, key, text = (compiler.process(clause, **words) for clause in element.clauses)
    return f"coalesce(cast({whole} as json) ->> {key} = {text}, false)"


class Unsettled(ColumnElement[int]):
    """The first position in the line of changes below which something may still appear.

    Commits are serial on SQLite. On PostgreSQL a position begins with the id of its transaction, so whatever is at or
    above the oldest transaction under way may come in any order.
    """

    type = BigInteger()
    inherit_cache = True


@compiles(Unsettled, "sqlite")
def _unsettled_of_sqlite(_element: Unsettled, _compiler: SQLCompiler, **_words: Any) -> str:
    return str(2**63 - 1)


@compiles(Unsettled, "postgresql")
def _unsettled_of_postgres(_element: Unsettled, _compiler: SQLCompiler, **_words: Any) -> str:
    return "first_unsettled()"
