"""On PostgreSQL admission goes on beside commits: it asks no run to give way that was asked meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace.ports.store import WhenFull
from millrace.storage import tables
from millrace.storage.postgres.database import PostgresDatabase
from tests.conformance import kits
from tests.conformance.builders import EVERYTHING, ONE, Owner
from tests.conformance.kits import Kit
from tests.conformance.test_when_full import begin, give_way, told_to_cancel

pytestmark = pytest.mark.service("postgres")


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with kits.postgres(tmp_path) as opened:
        yield opened


async def in_the_way(kit: Kit, when_full: WhenFull) -> Owner:
    """A run that has begun, and one that waits for its end."""

    def limited() -> Owner:
        return Owner(kit.store, kit.clock, ONE, admission_key="orders", admission_limit=1, when_full=when_full)

    first = await limited().start()
    await kit.store.admit(EVERYTHING)
    await begin(kit, first)
    await limited().start()
    return first


@pytest.mark.parametrize("when_full", [WhenFull.CANCEL_OLDEST, WhenFull.CANCEL_NEWEST])
async def test_a_run_that_a_commit_holds_is_asked_at_the_next_round(kit: Kit, when_full: WhenFull) -> None:
    """A cancel that is being folded is not to be seen yet, and a second one would skip the handlers."""
    first = await in_the_way(kit, when_full)
    assert isinstance(kit.database, PostgresDatabase)

    async with kit.database.engine_pool.acquire() as other, other.transaction():
        await other.execute("select from runs where id = $1 for update", first.run_id)
        await kit.store.admit(EVERYTHING)
    assert await told_to_cancel(kit) == []

    await kit.store.admit(EVERYTHING)
    assert await told_to_cancel(kit) == [first.run_id]
    await give_way(kit, first)
    assert (await kit.row(tables.runs, id=first.run_id))["status"] == "cancelled"
