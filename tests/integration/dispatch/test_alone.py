"""A process that is alone on its database tells nobody anything, and does so again as soon as somebody is there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from millrace.dispatch import postgres
from millrace.dispatch.postgres import RUNS, PostgresHints
from millrace.dispatch.turns import PostgresTurns
from millrace.ports.dispatch import Hint
from tests.integration.dispatch.conftest import connected, cut, until

pytestmark = pytest.mark.service("postgres")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOOK_AROUND_SECONDS", 0.02)


@asynccontextmanager
async def process(url: str) -> AsyncIterator[PostgresHints]:
    turns = PostgresTurns(url)
    await turns.join()
    try:
        async with connected(url, turns.others) as hints:
            yield hints
    finally:
        await turns.close()


@asynccontextmanager
async def told_runs(url: str) -> AsyncIterator[list[str]]:
    """The runs that anybody is told of."""
    told: list[str] = []
    listener = await asyncpg.connect(url)
    await listener.add_listener(RUNS, lambda *notice: told.extend(str(notice[3]).split()))
    try:
        yield told
    finally:
        await listener.close()


async def test_who_is_alone_tells_nothing_until_somebody_comes(url: str) -> None:
    async with told_runs(url) as told, process(url) as here:
        await until(lambda: here.alone)
        here.publish("first")
        async with process(url) as there:
            await until(lambda: not here.alone)
            here.publish("second")
            await until(lambda: "second" in told)
            assert not there.alone
        await until(lambda: here.alone)
        here.publish("third")
        async with process(url):
            await until(lambda: not here.alone)
            here.publish("fourth")
            await until(lambda: "fourth" in told)
    assert told == ["second", "fourth"]


async def test_two_processes_stay_in_each_others_company(url: str) -> None:
    heard: list[str] = []
    async with process(url) as here:
        await until(lambda: here.alone)
        async with process(url) as there:
            there.on(Hint.STOP, heard.append)
            await until(lambda: not here.alone)
            for number in range(20):
                here.tell(Hint.STOP, str(number))
                await until(lambda: str(number) in heard)  # noqa: B023  awaited at once


async def test_who_was_not_to_be_seen_for_a_moment_is_told_again(url: str) -> None:
    """The lock that shows it goes with its connection, and comes with the next one."""
    heard: list[str] = []

    async with process(url) as here, process(url) as there:
        there.on(Hint.STOP, heard.append)
        await cut(url, "millrace turns")

        def told() -> bool:
            here.tell(Hint.STOP, "run")
            return "run" in heard

        await until(told)
