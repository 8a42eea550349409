"""Where the database has a clock of its own, it alone tells when leases are over; the reaper judges its jumps."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace.core.values import SECOND
from millrace.engine.reaper import Reaper
from tests.integration.engine.rules.rules_kit import LEASE, Kit, engine_kit
from tests.support.clock import FakeClock

pytestmark = pytest.mark.service("postgres")

HOUR = 3600 * SECOND


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with engine_kit("postgres", tmp_path) as made:
        yield made


def jump_of_this_process(kit: Kit, by: int) -> None:
    """Its wall clock is set; that of the database is written by `advance` and `jump` alone."""
    FakeClock.jump(kit.clock, by)


def jump_of_the_database(kit: Kit, by: int) -> None:
    kit.clock.jump(by)
    jump_of_this_process(kit, -by)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_after_a_jump_of_the_servers_clock_nobody_is_declared_lost_for_one_lease(kit: Kit, jump: int) -> None:
    quiet = await kit.process(attached=False)
    await kit.here.reaper.run_once()
    jump_of_the_database(kit, jump)
    await kit.here.reaper.run_once()
    assert await kit.store.live_incarnations() == {kit.worker.incarnation_id, quiet.worker.incarnation_id}
    jump_of_this_process(kit, jump)
    for _ in range(7):
        kit.clock.advance(2 * SECOND)
        await kit.here.heartbeat.run_once()
        await kit.here.reaper.run_once()
    assert quiet.worker.incarnation_id in await kit.store.live_incarnations()
    kit.clock.advance(2 * SECOND)
    await kit.here.reaper.run_once()
    assert quiet.worker.incarnation_id not in await kit.store.live_incarnations(), "also if the clock was set back"
    assert kit.worker.incarnation_id in await kit.store.live_incarnations()


async def test_a_process_that_begins_after_a_jump_declares_nobody_lost_for_one_lease(kit: Kit) -> None:
    quiet = await kit.process(attached=False)
    jump_of_the_database(kit, HOUR)
    newcomer = Reaper(kit.store, kit.here.engine, kit.clock, LEASE, beside_others=True)
    await newcomer.run_once()
    jump_of_this_process(kit, HOUR)
    for _ in range(7):
        kit.clock.advance(2 * SECOND)
        await kit.here.heartbeat.run_once()
        await newcomer.run_once()
    assert await kit.store.live_incarnations() == {kit.worker.incarnation_id, quiet.worker.incarnation_id}
    kit.clock.advance(2 * SECOND)
    await newcomer.run_once()
    assert await kit.store.live_incarnations() == {kit.worker.incarnation_id}


async def test_a_jump_of_this_processs_clock_keeps_nobody_alive(kit: Kit) -> None:
    await kit.process(attached=False)
    for _ in range(7):
        kit.clock.advance(2 * SECOND)
        await kit.here.heartbeat.run_once()
        await kit.here.reaper.run_once()
    kit.clock.advance(2 * SECOND)
    jump_of_this_process(kit, HOUR)
    await kit.here.reaper.run_once()
    assert await kit.store.live_incarnations() == {kit.worker.incarnation_id}, "the other one's lease is over"
