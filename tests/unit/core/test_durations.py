"""Lengths of time, as people write them."""

import pytest

from millrace.core.durations import LONGEST, duration_text, parse_duration, parse_period
from millrace.core.values import SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5), ("30s", 30), ("1.5s", 1.5), ("5m", 300), ("1h30m", 5400), ("1d", 86_400), ("0s", 0),
        ("PT5M", 300), ("P1D", 86_400), ("P1W", 604_800), ("P1DT1H", 90_000), ("PT1.5S", 1.5),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == round(seconds * SECOND)


@pytest.mark.parametrize(
    "text", ["", "5", "5x", "s", "-5s", "P", "PT", "P1M", "1h 30m", "5S", "9" * 100 + "s", "366d1s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than 366 days"):
        parse_duration(text)


@pytest.mark.parametrize(("value", "text"), [("5m", "5m"), (30, "30s"), (0.5, "500ms"), (1.5, "1500ms")])
def test_a_number_is_a_number_of_seconds(value: object, text: str) -> None:
    assert duration_text(value) == text


@pytest.mark.parametrize("value", [True, None, [], -1, LONGEST / SECOND + 1, float("nan"), "soon"])
def test_other_values_are_no_durations(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|not between"):
        duration_text(value)


def test_a_period_is_long_or_without_end() -> None:
    assert parse_period("never") is None
    assert parse_period("400d") == 400 * 86_400 * SECOND
    with pytest.raises(ValueError, match="for no time"):
        parse_period("0s")
