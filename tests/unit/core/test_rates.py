"""Rates as people write them."""

import pytest

from millrace.core.rates import Rate, parse_rate
from millrace.core.values import SECOND


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50/s", Rate(50, SECOND)),
        ("300/min", Rate(300, 60 * SECOND)),
        ("100000/h", Rate(100_000, 3_600 * SECOND)),
        ("off", None),
    ],
)
def test_a_rate_is_a_number_in_a_period(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate


def test_spread_evenly_they_fill_the_period() -> None:
    assert Rate(300, 60 * SECOND).interval == SECOND / 5


@pytest.mark.parametrize(
    "text", ["", "0/s", "-1/s", "5", "5/d", "5/minute", "5 /s", "\u0665/s", "9999999999/s", "OFF", "5/s "]
)
def test_what_is_no_rate_is_told_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"50/s, 300/min"):
        parse_rate(text)
