"""Turns: each `PostgresTurns` here stands for a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from millrace.dispatch.turns import PostgresTurns
from millrace.engine.service import Service
from millrace.ports.store import StoreUnavailable
from tests.integration.dispatch.conftest import cut, until

pytestmark = pytest.mark.service("postgres")


@asynccontextmanager
async def process(url: str) -> AsyncIterator[PostgresTurns]:
    turns = PostgresTurns(url)
    yield turns
    await turns.close()


async def test_one_process_has_a_turn_at_a_time(url: str) -> None:
    async with process(url) as here, process(url) as there:
        async with here.turn("sweep") as mine:
            assert mine
            async with there.turn("sweep") as theirs, there.turn("count") as other:
                assert not theirs
                assert other
            async with here.turn("sweep") as again:
                assert not again, "a process has a turn once"
        async with there.turn("sweep") as theirs:
            assert theirs


async def test_a_turn_is_waited_for(url: str) -> None:
    order: list[str] = []

    async def second(turns: PostgresTurns) -> None:
        async with turns.waited_turn("start"):
            order.append("second")

    async with process(url) as here, process(url) as there:
        async with here.waited_turn("start"):
            waiting = asyncio.create_task(second(there))
            await asyncio.sleep(0.1)
            order.append("first")
        await waiting
    assert order == ["first", "second"]


async def test_a_turn_goes_with_the_connection_of_its_process(url: str) -> None:
    async with process(url) as here, process(url) as there:
        async with here.turn("sweep") as mine:
            assert mine
            await cut(url, "millrace turns")
            async with there.turn("sweep") as theirs:
                assert theirs
        async with here.turn("count") as mine:
            assert mine, "it connects again"


async def test_processes_are_counted_once_they_have_joined(url: str) -> None:
    async with process(url) as here:
        async with process(url) as there:
            assert not await here.others()
            await there.join()
            assert await here.others()
            await here.join()
            assert await here.others()
        async with asyncio.timeout(60):
            while await here.others():  # noqa: ASYNC110  the server tells nobody
                await asyncio.sleep(0.01)


async def test_a_server_that_is_away_is_said_to_be() -> None:
    async with process("postgresql://nobody@127.0.0.1:1/nowhere") as turns:
        with pytest.raises(StoreUnavailable):
            async with turns.turn("sweep"):
                raise AssertionError("there is no turn without a server")


class Sweep(Service):
    interval = 0.01

    def __init__(self, log: list[str], name: str) -> None:
        super().__init__()
        self._log, self._name = log, name

    async def run_once(self) -> float | None:
        self._log.append(f"{self._name} begins")
        await asyncio.sleep(0.02)
        self._log.append(f"{self._name} ends")
        return None


async def test_a_service_does_its_rounds_in_turn(url: str) -> None:
    log: list[str] = []
    async with process(url) as here, process(url) as there:
        sweeps = {"here": (Sweep(log, "here"), here), "there": (Sweep(log, "there"), there)}
        for sweep, turns in sweeps.values():
            sweep.turn = lambda turns=turns: turns.turn("Sweep")  # type: ignore[misc]
        tasks = [asyncio.create_task(sweep.run()) for sweep, _ in sweeps.values()]
        await until(lambda: {"here ends", "there ends"} <= set(log) and len(log) > 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    rounds = [entry.split()[0] for entry in log]
    assert all(begin == end for begin, end in zip(rounds[::2], rounds[1::2], strict=False)), log
