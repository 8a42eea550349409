"""W4: which triggered starts a canary takes: about its share, always the same ones, and more for a larger one."""

import pytest

from millrace.app.canary.choosing import PLACES, LiveCanary, place_of

KEYS = [f"event:{number:05}" for number in range(20_000)]


def taken(share: int, canary: str = "c", trigger: str = "t") -> set[str]:
    live = LiveCanary(canary, 2, "v2", share)
    return {key for key in KEYS if live.takes(trigger, key)}


@pytest.mark.parametrize("share", [1, 50, 1_000, 3_333, 5_000, 9_999])
def test_it_takes_its_share_of_many_within_what_chance_allows(share: int) -> None:
    part = share / PLACES
    expected, deviation = len(KEYS) * part, (len(KEYS) * part * (1 - part)) ** 0.5
    assert abs(len(taken(share)) - expected) <= 4 * deviation + 1


def test_a_larger_share_takes_all_that_a_smaller_one_took() -> None:
    before: set[str] = set()
    for share in (1, 10, 100, 1_000, 2_500, 7_500, 9_999):
        now = taken(share)
        assert before <= now
        before = now


def test_another_canary_and_another_trigger_are_dealt_anew() -> None:
    half = taken(5_000)
    for other in (taken(5_000, canary="d"), taken(5_000, trigger="u")):
        assert 0.4 < len(half & other) / len(half) < 0.6


def test_the_places_are_those_of_earlier_releases() -> None:
    """A firing that is repeated after an upgrade is to meet the same version, and so are two releases side by side."""
    assert [place_of("c", "t", key) for key in ("event:1", "cron:2026-03-29", "")] == [867, 8720, 7875]
