"""The one check of values from outside, and how instants are shown."""

import math
from collections import OrderedDict
from decimal import Decimal
from types import MappingProxyType

import pytest

from millrace.core.values import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, InvalidValue, check_value, to_iso


def nested(levels: int) -> object:
    value: object = "core"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        MIN_INTEGER,
        MAX_INTEGER,
        -0.0,
        5e-324,
        1.7e308,
        "",
        "plain",
        "Grüße, 世界, \U0001f680",
        "line\nbreak\ttab\x7f",
        [],
        {},
        [1, (2, 3), {"": [None]}],
        OrderedDict(a=1),
        nested(MAX_DEPTH),
    ],
)
def test_json_that_can_be_stored_passes(value: object) -> None:
    check_value(value)


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (math.nan, "", "NaN"),
        (math.inf, "", "finite"),
        ({"a": [0, -math.inf]}, "a[1]", "finite"),
        (MAX_INTEGER + 1, "", "64 bits"),
        ({"n": MIN_INTEGER - 1}, "n", "64 bits"),
        ("a\0b", "", "NUL"),
        ("ä\0b", "", "NUL"),
        ({"rows": [{"name": "\ud800"}]}, "rows[0].name", "lone surrogate stands at 0"),
        ({"a": {"k\0": 1}}, "a", "NUL"),
        ({"a": {"\udfff": 1}}, "a", "surrogate"),
        ({"a": {1: "x"}}, "a", "keys must be text, not int"),
        (MappingProxyType({"a": 2**64}), "a", "64 bits"),
        ({"a": {1, 2}}, "a", "set is not a JSON value"),
        (b"bytes", "", "bytes is not a JSON value"),
        ([Decimal("1.5")], "[0]", "Decimal is not a JSON value"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(value: object, path: str, reason: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        check_value(value)
    assert refusal.value.path == path
    assert reason in refusal.value.reason
    assert str(refusal.value) == (f"{path}: {refusal.value.reason}" if path else refusal.value.reason)


def test_nesting_is_bounded() -> None:
    with pytest.raises(InvalidValue, match=f"deeper than {MAX_DEPTH} levels"):
        check_value(nested(MAX_DEPTH + 1))


def test_a_value_that_contains_itself_is_refused_like_any_other_depth() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidValue, match="deeper"):
        check_value(endless)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_774_746_000_000_001, "2026-03-29T01:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_instants_are_shown_in_utc_with_microseconds(instant: int, text: str) -> None:
    assert to_iso(instant) == text
