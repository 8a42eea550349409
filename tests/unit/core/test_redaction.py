"""What is not kept, place by place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.core.redaction import EVERY, NOTHING, REDACTED, Redaction, StartRedaction, Steps, redacted
from millrace.core.values import JsonValue

VALUE: JsonValue = {"card": "4111", "items": [{"n": 1, "k": "a"}, {"n": 2, "k": "b"}], "no": None, "deep": {"x": 1}}


@pytest.mark.parametrize(
    ("steps", "path", "expected"),
    [
        (("card",), ("card",), REDACTED),
        (("no",), ("no",), REDACTED),
        (("deep",), ("deep",), REDACTED),
        (("items", 1, "n"), ("items", 1), {"n": REDACTED, "k": "b"}),
        (("items", EVERY, "k"), ("items",), [{"n": 1, "k": REDACTED}, {"n": 2, "k": REDACTED}]),
        (("items", EVERY, EVERY), ("items", 0), {"n": REDACTED, "k": REDACTED}),
        (("deep", EVERY), ("deep",), {"x": REDACTED}),
    ],
)
def test_it_stands_in_place_of_the_value(steps: Steps, path: tuple[str | int, ...], expected: JsonValue) -> None:
    found = redacted(VALUE, [steps])
    for step in path:
        found = found[step]  # type: ignore[call-overload, index]
    assert found == expected


@pytest.mark.parametrize(
    "steps",
    [("other",), ("items", 2), ("items", "n"), ("card", "x"), ("card", EVERY), (0,), ("deep", 0), ("no", EVERY, "x")],
)
def test_a_place_that_is_not_there_changes_nothing(steps: Steps) -> None:
    assert redacted(VALUE, [steps]) == VALUE


def test_all_of_it() -> None:
    assert redacted(VALUE, [()]) == REDACTED


def test_what_is_given_stays_as_it_is() -> None:
    before = {"a": [{"b": 1}]}
    assert redacted(before, [("a", 0, "b")]) == {"a": [{"b": REDACTED}]}
    assert before == {"a": [{"b": 1}]}


def test_of_a_task() -> None:
    redaction = Redaction(StartRedaction(), (("a", ("x",)), ("b", ()), ("a", ("y",))))
    assert redaction.of_task("a") == (("x",), ("y",))
    assert redaction.of_task("c") == ()
    assert NOTHING.of_task("a") == ()


STEPS = st.lists(st.sampled_from(["a", "b", 0, 1, EVERY]), max_size=4).map(tuple)
VALUES = st.recursive(
    st.sampled_from([None, 1, "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.lists(STEPS, max_size=4))
def test_twice_is_as_once(value: JsonValue, places: list[Steps]) -> None:
    once = redacted(value, places)
    assert redacted(once, places) == once
