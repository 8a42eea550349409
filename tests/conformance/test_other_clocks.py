"""Where the clock of the store is not that of its callers: delays and limits are as long as they were meant."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND, Duration
from millrace.storage import tables
from tests.conformance import kits
from tests.conformance.builders import Owner, claim, plan_of, registered, task
from tests.conformance.kits import Kit
from tests.support.clock import FakeClock

pytestmark = pytest.mark.service("postgres")

HOUR = 3600 * SECOND


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    """On SQLite there is one clock: that of the process."""
    async with kits.postgres(tmp_path) as opened:
        yield opened


def off_by(kit: Kit, difference: Duration) -> FakeClock:
    clock = FakeClock()
    clock.advance(kit.clock.now() + difference - clock.now())
    return clock


@pytest.mark.parametrize("difference", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_a_retry_comes_after_its_delay(kit: Kit, difference: Duration) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", retry=RetryPlan(2, delay=10 * SECOND)))
    run = await Owner(kit.store, off_by(kit, difference), plan).start()
    assert len(await claim(kit.store, worker)) == 1
    await run.fold(run.fails("a"))

    assert await kit.store.next_wake() == 10 * SECOND
    kit.clock.advance(10 * SECOND - 1)
    assert await claim(kit.store, worker) == ()
    kit.clock.advance(1)
    assert len(await claim(kit.store, worker)) == 1


@pytest.mark.parametrize("difference", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_limits_are_counted_from_the_stores_time(kit: Kit, difference: Duration) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", timeout=60 * SECOND, total_timeout=20 * SECOND, queue_timeout=5 * SECOND))
    await Owner(kit.store, off_by(kit, difference), plan).start()
    start = kit.clock.now()
    row = await kit.row(tables.attempts)
    assert (row["available_at"], row["queue_until"], row["expires_at"]) == (
        start,
        start + 5 * SECOND,
        start + 20 * SECOND,
    )

    kit.clock.advance(3 * SECOND)
    (claimed,) = await claim(kit.store, worker)

    assert claimed.time_left == 17 * SECOND


async def test_an_attempt_claimed_in_the_commit_that_makes_it_is_as_one_from_the_queue(kit: Kit) -> None:
    worker = await registered(kit.store)
    plan = plan_of(task("a", timeout=60 * SECOND))
    owner = Owner(kit.store, off_by(kit, HOUR), plan)

    await owner.commit(owner.starts(claimed_by=worker))

    row = await kit.row(tables.attempts)
    assert (row["started_at"], row["deadline_at"]) == (kit.clock.now(), kit.clock.now() + 60 * SECOND)
