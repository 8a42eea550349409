"""X1: control tasks go on where they were when a process dies, and take each fact once, however often it is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.core.events import TimerKind
from millrace.ports.store import InboxItem
from millrace.system import Uuid7Ids
from tests.support.api import create, start
from tests.support.installation import Installation, installation

pytestmark = pytest.mark.both_databases

URL = "/api/v1"
ASK = {"id": "ask", "type": "approval", "config": {"message": "Item {{ item }}?"}}
LOAD = {"id": "load", "type": "echo", "config": {"value": "{{ item }}"}}


def loop(concurrency: int) -> dict[str, Any]:
    config = {"items": "{{ ['a', 'b', 'c', 'd'] }}", "concurrency": concurrency, "output": "{{ tasks.load.output }}"}
    return {"id": "each", "type": "foreach", "config": config, "tasks": [LOAD, ASK]}


@dataclass
class Here:
    """One life of a process."""

    millrace: Installation
    api: httpx2.AsyncClient

    async def decide(self, run: str, path: str, *, approved: bool = True) -> None:
        """A decision that is delivered twice, as two facts."""
        data = {"path": path, "approved": approved, "by": None, "comment": None, "form": None}
        items = [InboxItem(Uuid7Ids().new(), run, "decision", data) for _ in range(2)]
        await self.millrace.store.post(items)
        self.millrace.container.workflow_writer.hand_over(items)

    async def waiting(self, run: str, *paths: str) -> None:
        """Until exactly these tasks wait."""
        found: list[str] = []
        while sorted(found) != sorted(paths):
            shown = (await self.api.get(f"{URL}/runs/{run}")).json()
            found = [wait["task"] for wait in shown["waiting_for"]]

    async def finished(self, run: str) -> dict[str, Any]:
        while (shown := (await self.api.get(f"{URL}/runs/{run}")).json())["status"] in ("running", "waiting"):
            await self.api.get(f"{URL}/runs/{run}/events", params={"after": 10_000, "wait_seconds": 0.1})
        ended: dict[str, Any] = shown
        return ended

    async def records(self, run: str, kind: str) -> list[str]:
        items = (await self.api.get(f"{URL}/runs/{run}/events", params={"limit": 1000})).json()["items"]
        return [item["path"] for item in items if item["type"] == kind]

    async def task(self, run: str, path: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get(f"{URL}/runs/{run}/tasks/{path}")).json()
        return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@asynccontextmanager
async def life(home: Path, url: str | None) -> AsyncIterator[Here]:
    async with installation(home, url) as millrace, millrace.client() as api:
        yield Here(millrace, api)


async def test_a_loop_that_is_half_done_goes_on_in_the_next_process(home: Path, database_url: str | None) -> None:
    async with life(home, database_url) as first:
        await create(first.api, {"name": "asking", "tasks": [loop(2)]})
        run = (await start(first.api, "asking"))["id"]
        await first.waiting(run, "each[0].ask", "each[1].ask")
        await first.decide(run, "each[1].ask")
        await first.waiting(run, "each[0].ask", "each[2].ask")
    async with life(home, database_url) as second:
        await second.decide(run, "each[2].ask")
        await second.waiting(run, "each[0].ask", "each[3].ask")
        for index in (3, 0):
            await second.decide(run, f"each[{index}].ask")
        ended = await second.finished(run)
        assert ended["status"] == "completed", ended["error"]
        assert (await second.task(run, "each"))["output"]["results"] == ["a", "b", "c", "d"]
        assert await second.records(run, "task.decided") == [f"each[{index}].ask" for index in (1, 2, 3, 0)]


async def test_a_loop_that_was_taken_over_in_part_goes_on_in_the_next_process(
    home: Path, database_url: str | None
) -> None:
    async with life(home, database_url) as first:
        await create(first.api, {"name": "asking", "tasks": [loop(4)]})
        failed = (await start(first.api, "asking"))["id"]
        await first.waiting(failed, *(f"each[{index}].ask" for index in range(4)))
        for index in range(4):
            await first.decide(failed, f"each[{index}].ask", approved=index in (0, 2))
        assert (await first.finished(failed))["status"] == "failed"
        await first.api.put(
            f"{URL}/workflows/asking", json={"name": "asking", "tasks": [loop(4)], "labels": {"a": "b"}}
        )
        run = (await first.api.post(f"{URL}/runs/{failed}/retry", json={"version": "newest"})).json()["id"]
        await first.waiting(run, "each[1].ask", "each[3].ask")
        await first.decide(run, "each[3].ask")
        await first.waiting(run, "each[1].ask")
    async with life(home, database_url) as second:
        await second.decide(run, "each[1].ask")
        ended = await second.finished(run)
        assert ended["status"] == "completed", ended["error"]
        assert (await second.task(run, "each"))["output"]["results"] == ["a", "b", "c", "d"]
        adopted = {path: (await second.task(run, path))["adopted_from"] for path in ("each[1].load", "each[2].ask")}
        assert set(adopted.values()) == {failed}
        assert await second.records(run, "task.decided") == ["each[3].ask", "each[1].ask"]


async def test_iterations_that_are_to_come_are_not_lost_with_a_process(home: Path, database_url: str | None) -> None:
    """What was taken over of later iterations does not make the next process think that they have begun."""
    async with life(home, database_url) as first:
        await create(first.api, {"name": "asking", "tasks": [loop(1)]})
        failed = (await start(first.api, "asking"))["id"]
        for index in range(4):
            await first.waiting(failed, f"each[{index}].ask")
            await first.decide(failed, f"each[{index}].ask", approved=index in (1, 3))
        assert (await first.finished(failed))["status"] == "failed"
        run = (await first.api.post(f"{URL}/runs/{failed}/retry", json={})).json()["id"]
        await first.waiting(run, "each[0].ask")
    async with life(home, database_url) as second:
        await second.decide(run, "each[0].ask")
        await second.waiting(run, "each[2].ask")
        await second.decide(run, "each[2].ask")
        assert (await second.finished(run))["status"] == "completed"
        assert await second.records(run, "task.decided") == ["each[0].ask", "each[2].ask"]


async def test_a_timer_of_a_task_that_fires_late_and_twice_ends_its_wait_once(
    home: Path, database_url: str | None
) -> None:
    async with life(home, database_url) as here:
        nap = {"id": "nap", "type": "sleep", "config": {"duration": "1ms"}}
        await create(here.api, {"name": "napping", "tasks": [nap]})
        run = (await start(here.api, "napping"))["id"]
        while not (due := await here.millrace.store.due_timers(10)):
            continue
        assert [(one.run_id, one.path) for one in due] == [(run, "nap")]
        engine = here.millrace.engine
        for _ in range(2):
            engine.fire(run, TimerKind.TASK, "nap")
        assert (await here.finished(run))["status"] == "completed"
        engine.fire(run, TimerKind.TASK, "nap")
        await engine.settle()
        assert await here.records(run, "task.completed") == ["nap"]
        assert await here.millrace.store.due_timers(10) == []
