"""Rate limits: how many runs of a key are admitted at once, how soon the next, and that nobody waits for another's."""

import pytest

from millrace.core.values import SECOND
from millrace.ports.store import RateLimit
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, ONE, Owner
from tests.conformance.kits import Kit

PERIOD = 10 * SECOND


def rated(kit: Kit, limit: int = 2, *, key: str = "rate", **fields: object) -> Owner:
    known = {"admission_key": "orders", "admission_limit": EVERYTHING, **fields}
    return Owner(kit.store, kit.clock, ONE, rate_limit=RateLimit(key, limit, PERIOD), **known)


async def waiting(kit: Kit, count: int, limit: int = 2, **fields: object) -> list[str]:
    return [(await rated(kit, limit, **fields).start()).run_id for _ in range(count)]


async def test_as_many_as_the_limit_are_admitted_at_once_and_then_one_for_each_share_of_the_period(kit: Kit) -> None:
    runs = await waiting(kit, 5)
    assert await kit.store.admit(EVERYTHING) == runs[:2]
    assert await kit.store.admit(EVERYTHING) == []

    for run_id in runs[2:]:
        kit.clock.advance(PERIOD // 2 - 1)
        assert await kit.store.admit(EVERYTHING) == []
        kit.clock.advance(1)
        assert await kit.store.admit(EVERYTHING) == [run_id]


async def test_after_a_quiet_period_the_whole_limit_is_there_again_and_no_more(kit: Kit) -> None:
    runs = await waiting(kit, 2)
    await kit.store.admit(EVERYTHING)
    kit.clock.advance(100 * PERIOD)
    runs = await waiting(kit, 5)

    assert await kit.store.admit(EVERYTHING) == runs[:2]


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_in_the_long_run_no_more_are_admitted_than_the_limit_in_each_period(kit: Kit, limit: int) -> None:
    runs = await waiting(kit, 5 * limit, limit)
    admitted: list[str] = []
    for _ in range(30):
        admitted += await kit.store.admit(EVERYTHING)
        kit.clock.advance(PERIOD // 10)

    # A burst of the limit at the beginning, and the limit again in each of the three periods.
    assert admitted == runs[: len(admitted)]
    assert 4 * limit - 1 <= len(admitted) <= 4 * limit


async def test_the_rate_is_taken_when_a_run_is_admitted_and_not_before(kit: Kit) -> None:
    """What waits for a place under its limit does not use up the rate."""
    runs = await waiting(kit, 3, 1, admission_limit=1)
    assert await kit.store.admit(EVERYTHING) == runs[:1]
    (row,) = await kit.rows(tables.limits, key="rate")

    kit.clock.advance(PERIOD)
    assert await kit.store.admit(EVERYTHING) == []
    assert await kit.rows(tables.limits, key="rate") == [row]


async def test_keys_do_not_take_each_others_rate(kit: Kit) -> None:
    one = await waiting(kit, 2, 1, key="one")
    two = await waiting(kit, 2, 1, key="two")

    assert await kit.store.admit(EVERYTHING) == [one[0], two[0]]


@pytest.mark.parametrize("limit", [1, EVERYTHING])
async def test_those_who_wait_for_their_rate_do_not_stand_in_the_way(kit: Kit, limit: int) -> None:
    blocked = await waiting(kit, 20, 1, key="one", priority=5)
    assert await kit.store.admit(limit) == blocked[:1]
    free = await waiting(kit, 1, 1, key="two")

    assert await kit.store.admit(limit) == free


async def test_a_run_without_a_rate_goes_by(kit: Kit) -> None:
    await waiting(kit, 3, 1)
    await kit.store.admit(EVERYTHING)
    free = Owner(kit.store, kit.clock, ONE, admission_key="orders", admission_limit=EVERYTHING)
    await free.start()

    assert await kit.store.admit(EVERYTHING) == [free.run_id]
