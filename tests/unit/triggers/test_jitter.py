"""Jitter: the same for a trigger each time, and spread evenly over many."""

import pytest

from millrace.core.values import SECOND
from millrace.triggers import jitter_for

HOUR = 3600 * SECOND
IDS = [f"019e2f60-1b1b-7c3d-8e4f-{number:012x}" for number in range(6000)]


def test_it_is_the_same_each_time_and_everywhere() -> None:
    assert jitter_for("019e2f60-1b1b-7c3d-8e4f-5a6b7c8d9e0f", HOUR) == 784_193_278


@pytest.mark.parametrize("length", [0, 1, SECOND, HOUR, 24 * HOUR])
def test_it_is_at_least_nothing_and_less_than_the_whole(length: int) -> None:
    found = [jitter_for(one, length) for one in IDS]
    assert min(found) >= 0
    assert max(found) < max(length, 1)


def test_it_is_spread_evenly() -> None:
    counts = [0] * 60
    for one in IDS:
        counts[jitter_for(one, HOUR) * 60 // HOUR] += 1
    assert min(counts) > 60
    assert max(counts) < 150, "about a hundred in each minute"


def test_a_longer_jitter_keeps_the_order() -> None:
    by_minute = sorted(IDS[:200], key=lambda one: jitter_for(one, 60 * SECOND))
    assert by_minute == sorted(IDS[:200], key=lambda one: jitter_for(one, HOUR))
