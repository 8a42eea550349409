"""S5: a workflow is triggered by the end of another's runs; what causes itself comes to an end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from millrace.app.endings import repository
from millrace.app.endings.following import NAME, Endings
from millrace.app.endings.listeners import EndedRun
from millrace.app.endings.telling import RunEvents
from millrace.app.firing.occasions import MOST_CAUSES
from millrace.app.histories.repository import ends_of_changes
from millrace.app.housekeeping import OldChanges
from millrace.storage.tables import changes, events, followers
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import ECHO, create, start
from tests.support.installation import Installation, installation
from tests.support.routing_kit import FAILING, PATIENCE_SECONDS, Millrace, waiting_for


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self, *, listens: bool = True) -> None:
        self.ended: list[EndedRun] = []
        self.listening = listens

    def listens(self, _connection: Connection) -> bool:
        return self.listening

    async def runs_ended(self, ended: Sequence[EndedRun]) -> None:
        self.ended += ended


# --- the whole ----------------------------------------------------------------------------------------------------


async def test_the_end_of_a_run_starts_another_workflow(millrace: Millrace) -> None:
    upstream = await millrace.deploy("Load")
    await millrace.deploy("Broken", tasks=[FAILING])
    await millrace.deploy("After load", waiting_for("millrace.run.completed", source="workflows/load"))
    await millrace.deploy("After failure", waiting_for("millrace.run.failed"))
    await millrace.deploy("After everything of others", waiting_for("*"))
    run = await start(millrace.api, "load")
    (after,) = await millrace.until_runs("after-load", 1)
    event = await millrace.seen(after)
    assert (event["source"], event["subject"]) == ("workflows/load", f"runs/{run['id']}")
    assert event["data"] == {
        "run_id": run["id"],
        "status": "completed",
        "workflow": {"id": upstream["id"], "name": "Load"},
        "error": None,
    }
    failed = await start(millrace.api, "broken")
    (after,) = await millrace.until_runs("after-failure", 1)
    event = await millrace.seen(after)
    assert event["data"]["run_id"] == failed["id"]
    assert event["data"]["error"]["message"]
    assert await millrace.runs("after-everything-of-others") == []
    assert len(await millrace.runs("after-load")) == 1


async def test_a_cancelled_run_is_told_of_too(millrace: Millrace) -> None:
    await millrace.deploy("Slow", tasks=[{"id": "a", "type": "shell", "config": {"command": "sleep 60"}}])
    await millrace.deploy("After", waiting_for("millrace.run.cancelled"))
    run = await start(millrace.api, "slow")
    await millrace.post(f"/runs/{run['id']}/cancel")
    (after,) = await millrace.until_runs("after", 1)
    assert (await millrace.seen(after))["data"]["status"] == "cancelled"


async def test_a_workflow_that_its_own_end_triggers_stops_after_some_rounds(millrace: Millrace) -> None:
    await millrace.deploy("Again", waiting_for("millrace.run.completed", source="workflows/again"))
    await start(millrace.api, "again")
    runs = await millrace.until_runs("again", 1 + MOST_CAUSES)
    (refused,) = await refusals(millrace, "again")
    assert len(runs) == 1 + MOST_CAUSES
    assert refused["reason"].startswith("loop")


async def test_a_workflow_that_publishes_what_triggers_it_stops_after_some_rounds(millrace: Millrace) -> None:
    publish = {"id": "tell", "type": "publish_event", "config": {"type": "ping"}}
    await millrace.deploy("Again", waiting_for("ping"), tasks=[publish])
    await millrace.publish("ping")
    runs = await millrace.until_runs("again", 1 + MOST_CAUSES)
    (refused,) = await refusals(millrace, "again")
    assert len(runs) == 1 + MOST_CAUSES
    assert refused["reason"].startswith("loop")


async def refusals(millrace: Millrace, workflow: str) -> list[dict[str, Any]]:
    async def found() -> list[dict[str, Any]]:
        return [firing for firing in await millrace.firings(workflow) if firing["decision"] == "refused"]

    refused: list[dict[str, Any]] = await millrace.until(found)
    return refused


# --- the follower -------------------------------------------------------------------------------------------------


@pytest.fixture
async def there(tmp_path: Path, database_url: str | None) -> Any:
    """An installation in which nobody follows but the test."""
    async with installation(tmp_path / "home", database_url) as running:
        yield running


async def follow(there: Installation, *listeners: Heard | RunEvents) -> None:
    """Let a new process follow to the end."""
    await until_settled(there)
    await Endings(there.database, listeners).run_once()


async def until_settled(there: Installation) -> None:
    """Wait until what is written can be followed, which transactions of other databases of the server may put off."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await there.database.read(ends_of_changes)).unsettled:  # noqa: ASYNC110 - others end, and tell nobody
            await asyncio.sleep(0.01)


async def ran(there: Installation, count: int, name: str = "w") -> list[str]:
    async with there.client() as api:
        await create(api, {"name": name, "tasks": [ECHO]})
        return [(await start(api, name, wait=True))["id"] for _ in range(count)]


async def test_ends_are_told_in_order_and_once(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.app.endings.following.LINES", 3)
    heard = Heard()
    await follow(there, heard)
    runs = await ran(there, 5)
    await follow(there, heard)
    await follow(there, heard)
    assert [run.run_id for run in heard.ended] == runs
    first = heard.ended[0]
    assert (first.workflow_slug, first.workflow_name, first.status, first.outcome) == (
        "w",
        "w",
        "completed",
        "completed",
    )
    assert (first.trigger_type, first.causation_depth, first.error) == ("manual", 0, None)


async def test_what_ended_before_anybody_followed_is_the_past(there: Installation) -> None:
    await ran(there, 1)
    heard = Heard()
    await follow(there, heard)
    assert heard.ended == []


async def test_where_nobody_listens_the_position_moves_all_the_same(there: Installation) -> None:
    deaf = Heard(listens=False)
    await follow(there, deaf)
    await ran(there, 2)
    await follow(there, deaf)
    position = await there.database.read(lambda connection: repository.position_of(connection, NAME))
    newest = (await there.database.read(ends_of_changes)).newest
    assert position == newest
    deaf.listening = True
    await follow(there, deaf)
    assert deaf.ended == []


class Busy:
    """A database in which another run ends whenever something is written."""

    def __init__(self, there: Installation) -> None:
        self._there = there
        self.writes = 0

    @property
    def written(self) -> int | None:
        return self._there.database.written

    async def read_for_engine(self, work: Any) -> Any:
        return await self._there.database.read_for_engine(work)

    async def write(self, work: Any) -> Any:
        self.writes += 1
        answer = await self._there.database.write(work)
        async with self._there.client() as api:
            await start(api, "w", wait=True)
        return answer


async def test_where_nobody_listens_a_busy_installation_is_not_written_to_all_the_time(there: Installation) -> None:
    await follow(there, Heard(listens=False))
    await ran(there, 1)
    busy = Busy(there)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await Endings(busy, [Heard(listens=False)]).run_once()  # type: ignore[arg-type]
    assert busy.writes == 1


async def test_a_crash_before_the_position_moved_repeats_the_ends(there: Installation) -> None:
    class Crashing(Heard):
        async def runs_ended(self, ended: Sequence[EndedRun]) -> None:
            await super().runs_ended(ended)
            raise RuntimeError("the process dies here")

    crashing, heard = Crashing(), Heard()
    await follow(there, crashing)
    runs = await ran(there, 2)
    with pytest.raises(RuntimeError):
        await follow(there, crashing)
    await follow(there, heard)
    assert [run.run_id for run in heard.ended] == runs


async def test_ends_that_are_told_again_are_the_same_events(there: Installation) -> None:
    async with there.client() as api:
        await create(api, {"name": "after", "triggers": [waiting_for("millrace.run.*")], "tasks": [ECHO]})
    teller, heard = RunEvents(there.database, SystemClock(), Uuid7Ids()), Heard()
    assert await there.database.read(teller.listens)
    await follow(there, heard)
    await ran(there, 3)
    await follow(there, heard)
    await asyncio.gather(*(teller.runs_ended(heard.ended) for _ in range(4)))
    stored = await there.database.read(lambda connection: connection.execute(select(events.c.subject)).scalars().all())
    assert sorted(str(subject) for subject in stored) == sorted(f"runs/{run.run_id}" for run in heard.ended)


async def test_only_ends_that_a_trigger_waits_for_become_events(there: Installation) -> None:
    teller = RunEvents(there.database, SystemClock(), Uuid7Ids())
    async with there.client() as api:
        await create(api, {"name": "all", "triggers": [waiting_for("*")], "tasks": [ECHO]})
        assert not await there.database.read(teller.listens)
        await create(api, {"name": "bad", "triggers": [waiting_for("millrace.run.failed")], "tasks": [ECHO]})
    heard = Heard()
    await follow(there, heard)
    await ran(there, 1)
    await follow(there, heard)
    await teller.runs_ended(heard.ended)
    assert len(heard.ended) == 1
    assert await there.database.read(lambda connection: connection.execute(select(events.c.id)).all()) == []


async def test_changes_that_a_follower_has_not_read_are_kept_for_a_day(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.app.housekeeping.CHANGES_KEPT", 1)
    heard = Heard()
    await follow(there, heard)
    runs = await ran(there, 3)
    await OldChanges(there.database).run_once()
    await follow(there, heard)
    assert [run.run_id for run in heard.ended] == runs
    long_ago = update(followers).values(moved_at=1, position="0")
    await there.database.write(lambda connection: connection.execute(long_ago) and None)
    await OldChanges(there.database).run_once()
    left = await there.database.read(lambda connection: connection.execute(select(changes.c.position)).all())
    assert len(left) == 1


async def test_a_follower_that_comes_too_late_goes_on_with_what_is_left(there: Installation) -> None:
    heard = Heard()
    await follow(there, heard)
    runs = await ran(there, 2)

    def forget(connection: Connection) -> None:
        newest = ends_of_changes(connection).newest
        connection.execute(delete(changes).where(changes.c.position < newest))

    await until_settled(there)
    await there.database.write(forget)
    await follow(there, heard)
    assert [run.run_id for run in heard.ended] == runs[-1:]
