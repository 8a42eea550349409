"""Which events a trigger waits for: by type, source and subject; under which keys it is found; and why it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from millrace.triggers.event import Event, EventConfig, keys_of, refusals, types_in
from millrace.triggers.globs import fits


def event(type_: str = "orders.imported", source: str = "shop", subject: str | None = "order/17") -> Event:
    return Event("1", type_, source, subject, None, 0)


def refused(given: Event, **config: object) -> list[str]:
    return [one.message for one in refusals(EventConfig.model_validate(config), given)]


@pytest.mark.parametrize(
    ("pattern", "text", "fit"),
    [
        ("order/17", "order/17", True),
        ("order/17", "Order/17", False),
        ("order/*", "order/17", True),
        ("order/*", "order/", True),
        ("order/*", "order", False),
        ("*", "", True),
        ("*/17", "order/17", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),
        ("a**b", "ab", True),
        ("[o]?der", "order", False),
        ("a.c", "abc", False),
        ("è*", "école", False),
        ("é*", "école", True),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_has_a_meaning(pattern: str, text: str, fit: bool) -> None:
    assert fits(pattern, text) is fit


@given(st.lists(st.text(alphabet="ab*", max_size=6), min_size=1), st.lists(st.text(alphabet="ab", max_size=4)))
def test_any_text_may_stand_for_a_star(parts: list[str], fillings: list[str]) -> None:
    pattern = "".join(parts)
    text = pattern
    for filling in fillings:
        text = text.replace("*", filling, 1)
    text = text.replace("*", "")
    assert fits(pattern, text)


def test_the_longest_pattern_takes_one_pass() -> None:
    assert not fits("a*" * 127 + "b", "a" * 255)


def test_an_event_is_found_by_its_type_and_by_every_beginning_of_it() -> None:
    assert keys_of("a.b.c") == ("a.b.c", "a.b.*", "a.*", "*")
    assert keys_of("deployed") == ("deployed", "*")


def test_what_millrace_tells_of_runs_must_be_asked_for() -> None:
    assert keys_of("millrace.run.failed") == ("millrace.run.failed", "millrace.run.*", "millrace.*")
    (told,) = refused(event("millrace.run.failed"), event_type="*")
    assert "name this one" in told
    assert refused(event("millrace.run.failed"), event_type="millrace.run.*") == []


@pytest.mark.parametrize("type_", ["*", "orders.*", "orders.imported", ["stock.low", "orders.*"]])
def test_a_type_may_be_named_in_several_ways(type_: object) -> None:
    assert refused(event(), event_type=type_) == []


def test_every_filter_that_refuses_says_what_it_wants_and_what_it_got() -> None:
    assert refused(event(), event_type=["order.*", "orders"], source="shops/*", subject=["a", "b"]) == [
        "the type must be one of 'order.*', 'orders'; that of the event is 'orders.imported'",
        "the source must be 'shops/*'; that of the event is 'shop'",
        "the subject must be one of 'a', 'b'; that of the event is 'order/17'",
    ]
    (told,) = refused(event(subject=None), event_type="*", subject="*")
    assert told == "the subject must be '*'; the event has none"


def test_the_most_particular_type_counts() -> None:
    config = EventConfig(event_type=["*", "orders.*", "orders.imported", "orders.*"])
    assert config.types == ("*", "orders.*", "orders.imported")
    assert [config.key_for(type_) for type_ in ("orders.imported", "orders.lost", "stock")] == [
        "orders.imported",
        "orders.*",
        "*",
    ]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"event_type": ""},
        {"event_type": []},
        {"event_type": "a*"},
        {"event_type": "*.b"},
        {"event_type": "a.*.b"},
        {"event_type": ".*"},
        {"event_type": " a"},
        {"event_type": "a\nb"},
        {"event_type": "a" * 256},
        {"event_type": 1},
        {"event_type": "a", "source": ""},
        {"event_type": "a", "subject": ["b\x00"]},
        {"event_type": "a", "filters": {}},
    ],
)
def test_what_is_no_config(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EventConfig.model_validate(config)
    assert types_in(config) == ()  # type: ignore[arg-type]


def test_what_a_trigger_sees_of_an_event() -> None:
    given = Event("1", "a", "s", None, {"n": 1}, 1_000_000, external_id="x", extensions={"tenant": "t"})
    assert given.shown() == {
        "id": "1",
        "external_id": "x",
        "type": "a",
        "source": "s",
        "subject": None,
        "time": "1970-01-01T00:00:01.000000Z",
        "data": {"n": 1},
        "extensions": {"tenant": "t"},
    }
