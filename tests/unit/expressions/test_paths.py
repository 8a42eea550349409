"""Plain paths: our walk agrees with CEL on every JSON value, and its errors name what is missing."""

import asyncio
import string
from collections.abc import Iterator

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.core.values import MAX_INTEGER, MIN_INTEGER, JsonValue
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.definition.expressions.paths import path_text
from millrace.ports.evaluator import ExpressionError, Scope


def value_of(source: str, scope: Scope, *, place: str) -> JsonValue:
    return asyncio.run(CelEvaluator().evaluate(source, scope, place=place))


NAMES = st.sampled_from(["a", "b", "id", "total", "odd name", "x-y", "1", "", "ä", "quote\"'"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(MIN_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(string.printable, max_size=8)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
KEYS = st.lists(NAMES | st.integers(0, 4), max_size=4)
MISSING = object()


def source_of(keys: list[str | int]) -> str:
    """The path with every name in brackets where it must be, in CEL's own spelling."""
    parts = ["input"]
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif key.isidentifier() and key.isascii():
            parts.append(f".{key}")
        else:
            escaped = key.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{escaped}"]')
    return "".join(parts)


def by_cel(source: str, value: JsonValue) -> object:
    try:
        return cel.compile(source).execute({"input": value})
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError):
        return MISSING


@given(VALUES, KEYS)
def test_walk_equals_cel(value: JsonValue, keys: list[str | int]) -> None:
    source = source_of(keys)
    expected = by_cel(source, value)
    try:
        found: object = value_of(source, Scope(input=value), place="")  # type: ignore[arg-type]
    except ExpressionError:
        found = MISSING
    assert found is expected if expected is MISSING else (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("tasks.fetch.output.body.ordrs", "tasks.fetch.output.body.ordrs is not defined; the value has: orders, total"),
        ("tasks.fetch.output.body.ordrs", "did you mean 'orders'?"),
        ("tasks.fetch.output.body.ORDERS", "; did you mean 'orders'?"),
        ("tasks.fetch.output.body.ordrs", "write default(PATH, value) or has(PATH)"),
        ("tasks.fetch.outptu.body", "tasks.fetch.outptu is not defined; the value has: output"),
        ("tasks.later.output", "tasks.later is not defined; the value has: fetch"),
        ("tasks.fetch.output.body.orders[2]", "tasks.fetch.output.body.orders[2] is not defined; the list"),
        ("tasks.fetch.output.body.orders[2]", "has 2 items, counted from 0"),
        ("tasks.fetch.output.body.orders.id", "tasks.fetch.output.body.orders is a list; write"),
        ("tasks.fetch.output.body.total.x", "tasks.fetch.output.body.total is int, which has no parts"),
        ("tasks['fetch'].output['odd name']", "tasks.fetch.output['odd name'] is not defined"),
        ("item.id", "item is not defined; item, index and previous exist only in loops"),
    ],
)
def test_errors_name_what_is_missing(source: str, said: str) -> None:
    scope = Scope(tasks={"fetch": {"output": {"body": {"orders": [1, 2], "total": 5}}}})
    with pytest.raises(ExpressionError) as caught:
        value_of(source, scope, place="output.count")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"output.count: '{source}': ")


def test_many_names_are_shortened() -> None:
    scope = Scope(input={f"field_{number}": number for number in range(100)})
    with pytest.raises(ExpressionError, match=r"field_7, … \(100 in all\)"):
        value_of("input.zzz", scope, place="")


def test_absence_is_cheap_where_nobody_reads_the_words() -> None:
    """Names are looked up only for a message; a large map must not be searched for similar ones at each item."""
    data = UnlistedMap({"a": 1})
    scope = Scope(input={"map": data, "items": [1, 2, 3]})
    found = asyncio.run(CelEvaluator().evaluate("input.items.filter(x, has(input.map.b) || true)", scope, place=""))
    assert found == [1, 2, 3]
    assert asyncio.run(CelEvaluator().evaluate("input.map.b || true", scope, place="")) is True


class UnlistedMap(dict[str, JsonValue]):
    """A map whose names must not be listed."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the names were listed")


def test_a_path_refers_to_the_data_without_copying() -> None:
    rows: list[JsonValue] = [{"id": 1}] * 100_000
    assert value_of("input.rows", Scope(input={"rows": rows}), place="") is rows


def test_path_text_is_what_one_would_write() -> None:
    assert path_text("tasks", ("fetch", "rows", 0, "odd name", "in")) == "tasks.fetch.rows[0]['odd name']['in']"
