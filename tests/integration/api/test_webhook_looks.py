"""Webhooks that come at the same time are looked up together; each as its trigger is after it came."""

import asyncio
from typing import Any

import httpx2
import pytest

from millrace.app.webhooks.finding import WebhookFinder
from millrace.ports.store import StoreUnavailable
from tests.support.installation import Installation
from tests.support.webhooks import hooked, trigger_of


class Held:
    """A database whose answers a test holds back."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.go = asyncio.Event()
        self.asked = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def read(self, work: Any) -> Any:
        self.asked.release()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return await self._database.read(work)

    async def until_asked(self) -> None:
        async with asyncio.timeout(30):
            await self.asked.acquire()


@pytest.fixture
def held(millrace: Installation) -> Held:
    return Held(millrace.database)


async def test_requests_that_come_during_a_look_share_the_next(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = (await hooked(api)).removeprefix("/webhook/")
    finder, before = WebhookFinder(millrace.database), millrace.database.reads
    found = await asyncio.gather(*(finder.find(asked) for asked in [path] * 20 + ["nothing"]))
    assert millrace.database.reads - before == 2
    assert [row is None for row in found] == [False] * 20 + [True]
    assert len({row.id for row in found if row is not None}) == 1


async def test_a_look_begins_after_all_that_it_is_for(api: httpx2.AsyncClient, held: Held) -> None:
    path = (await hooked(api)).removeprefix("/webhook/")
    finder = WebhookFinder(held)  # type: ignore[arg-type]
    earlier = asyncio.create_task(finder.find(path))
    await held.until_asked()
    trigger = await trigger_of(api)
    response = await api.post(f"/api/v1/triggers/{trigger['id']}/disable")
    assert response.status_code == 200, response.text
    later = asyncio.create_task(finder.find(path))
    held.go.set()
    await earlier
    row = await later
    assert row is not None
    assert not row.active


async def test_whoever_gives_up_leaves_the_look_to_the_others(api: httpx2.AsyncClient, held: Held) -> None:
    path = (await hooked(api)).removeprefix("/webhook/")
    finder = WebhookFinder(held)  # type: ignore[arg-type]
    callers = [asyncio.create_task(finder.find(path)) for _ in range(3)]
    for caller in callers[:2]:
        await held.until_asked()
        caller.cancel()
    await held.until_asked()
    held.go.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(answer) for answer in answers[:2]] == [asyncio.CancelledError] * 2
    assert getattr(answers[2], "type", answers[2]) == "webhook"


async def test_an_error_is_told_to_each_and_to_nobody_after_them(api: httpx2.AsyncClient, held: Held) -> None:
    path = (await hooked(api)).removeprefix("/webhook/")
    finder = WebhookFinder(held)  # type: ignore[arg-type]
    held.error = StoreUnavailable("away")
    held.go.set()
    answers = await asyncio.gather(*(finder.find(path) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
    held.error = None
    assert await finder.find(path) is not None
