"""Hints between processes: each `PostgresHints` here stands for one of them."""

import asyncio
import time
import uuid
from typing import Any

import asyncpg
import pytest

from millrace.dispatch.postgres import BETWEEN_SECONDS, HINTS, RUNS, PostgresHints
from millrace.ports.bus import ANY_RUN
from millrace.ports.dispatch import Hint
from tests.integration.dispatch.conftest import connected, cut, until

pytestmark = pytest.mark.service("postgres")

LONG = 60.0


def run_id() -> str:
    return str(uuid.uuid4())


async def waits(hints: PostgresHints, subject: str) -> "asyncio.Task[bool]":
    """Somebody who waits for a hint, and has begun to."""
    task = asyncio.create_task(hints.wait(subject, LONG))
    await asyncio.sleep(0)
    return task


async def test_a_follower_in_the_same_process_needs_no_server() -> None:
    hints = PostgresHints("postgresql://nobody@127.0.0.1:1/nowhere")
    one = run_id()
    follower, of_all, other = await waits(hints, one), await waits(hints, ANY_RUN), await waits(hints, run_id())
    hints.publish(one)
    await asyncio.sleep(0)
    assert follower.done()
    assert of_all.done()
    assert not other.done()
    other.cancel()


async def test_followers_in_other_processes_hear_of_a_run(url: str) -> None:
    one = run_id()
    async with connected(url) as here, connected(url) as there:
        follower, of_all = await waits(there, one), await waits(there, ANY_RUN)
        here.publish(one)
        assert await follower
        assert await of_all
        assert not await there.wait(run_id(), 0.05)


async def test_a_hint_reaches_the_others_with_its_subject_and_not_oneself(url: str) -> None:
    heard: list[tuple[str, str]] = []
    async with connected(url) as here, connected(url) as there, connected(url) as third:
        for name, hints in (("here", here), ("there", there), ("third", third)):
            hints.on(Hint.STOP, lambda subject, name=name: heard.append((name, subject)))  # type: ignore[misc]
            hints.on(Hint.WORK, lambda subject, name=name: heard.append((name, "work")))  # type: ignore[misc]
        here.tell(Hint.STOP, "r1")
        here.tell(Hint.STOP, "r1")
        here.tell(Hint.WORK)
        await until(lambda: len(heard) >= 4)
    assert sorted(heard) == [("there", "r1"), ("there", "work"), ("third", "r1"), ("third", "work")]


async def test_too_many_runs_for_one_notification_become_any(url: str) -> None:
    heard: list[str] = []
    async with connected(url) as here, connected(url) as there:
        there.on(Hint.STOP, heard.append)
        last = run_id()
        follower, of_all = await waits(there, last), await waits(there, ANY_RUN)
        for _ in range(500):
            here.publish(run_id())
            here.tell(Hint.STOP, run_id())
        assert await follower, "any run includes this one"
        assert await of_all
        await until(lambda: bool(heard))
    assert heard == ["*"]


async def test_however_much_is_published_notifications_keep_their_distance(url: str) -> None:
    told: list[str] = []
    listener = await asyncpg.connect(url)
    await listener.add_listener(RUNS, lambda *notice: told.append(str(notice[3])))
    ids = {run_id() for _ in range(150)}
    try:
        async with connected(url) as here:
            began = time.monotonic()
            for one in ids:
                here.publish(one)
                await asyncio.sleep(0)
            await until(lambda: {word for payload in told for word in payload.split()} >= ids)
            took = time.monotonic() - began
    finally:
        await listener.close()
    assert len(told) <= took / BETWEEN_SECONDS + 1
    assert max(len(payload.encode()) for payload in told) < 8_000


async def test_a_lost_connection_comes_back_and_everybody_looks_again(url: str) -> None:
    heard: list[str] = []
    async with connected(url) as here, connected(url) as there:
        there.on(Hint.STOP, heard.append)
        one = run_id()
        follower = await waits(there, one)
        await cut(url, "millrace hints")
        assert await follower, "what was told meanwhile is not known"
        await until(lambda: heard == ["*"])
        async with asyncio.timeout(LONG):
            await here.connected.wait()
            await there.connected.wait()
        follower = await waits(there, one)
        here.publish(one)
        here.tell(Hint.STOP, one)
        assert await follower
        await until(lambda: one in heard)


async def test_a_word_that_comes_with_the_end_of_the_connection_is_heard(url: str) -> None:
    """The driver hands it on in the next turn of the loop, when the connection may know nothing of itself any more."""
    async with connected(url) as here:
        follower = await waits(here, one := run_id())
        gone = await asyncpg.connect(url)
        gone.terminate()
        here._hear(gone, 0, RUNS, one)
        assert await follower


async def test_what_is_told_while_the_server_is_away_is_told_when_it_is_back(url: str) -> None:
    heard: list[str] = []
    async with connected(url) as there:
        there.on(Hint.STOP, heard.append)
        here = PostgresHints(url)
        here.tell(Hint.STOP, "r1")
        running = asyncio.create_task(here.run())
        await until(lambda: heard == ["r1"])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_hint_of_a_later_release_does_no_harm(url: str) -> None:
    heard: list[Any] = []
    stranger = await asyncpg.connect(url)
    async with connected(url) as here:
        here.on(Hint.STOP, heard.append)
        await stranger.execute("select pg_notify($1, 'unheard-of:x stop:r1')", HINTS)
        await until(lambda: heard == ["r1"])
    await stranger.close()
