"""The clock that all processes on one PostgreSQL share: that of the server, whatever their machines' clocks say."""

import pytest
from sqlalchemy import text

from millrace.core.values import SECOND, Instant
from millrace.storage.opening import open_postgres
from millrace.storage.postgres.clock import ServerClock
from tests.support.clock import FakeClock
from tests.support.postgres import fresh_database

HOUR = 3600 * SECOND


class Server:
    """Tells a time of its own; an answer takes `slowness` on the steady clock of who asks."""

    def __init__(self, asking: FakeClock) -> None:
        self.ahead = HOUR
        self.slowness = 0
        self._asking = asking

    async def time(self) -> Instant:
        self._asking.advance(self.slowness // 2)
        told = self._asking.now() + self.ahead
        self._asking.advance(self.slowness - self.slowness // 2)
        return told


async def test_it_tells_the_servers_time_and_goes_on_by_itself() -> None:
    machine = FakeClock()
    clock = await ServerClock.started(Server(machine).time, machine)
    assert clock.now() == machine.now() + HOUR
    machine.advance(30 * SECOND)
    assert clock.now() == machine.now() + HOUR
    assert clock.monotonic() == machine.monotonic()


async def test_a_jump_of_the_machines_clock_is_not_noticed() -> None:
    machine = FakeClock()
    clock = await ServerClock.started(Server(machine).time, machine)
    before = clock.now()
    machine.jump(-HOUR)
    machine.advance(SECOND)
    assert clock.now() == before + SECOND


async def test_it_follows_a_server_whose_clock_is_set() -> None:
    machine = FakeClock()
    server = Server(machine)
    clock = await ServerClock.started(server.time, machine)
    server.ahead = 2 * HOUR
    await clock.keep()
    assert clock.now() == machine.now() + 2 * HOUR


async def test_a_slow_answer_moves_it_only_by_what_is_certain() -> None:
    machine = FakeClock()
    server = Server(machine)
    clock = await ServerClock.started(server.time, machine)
    server.slowness = 4 * SECOND
    server.ahead = HOUR + SECOND
    await clock.keep()
    assert clock.now() == machine.now() + HOUR, "the answer may be two seconds old, or new"
    server.ahead = HOUR + 3 * SECOND
    await clock.keep()
    assert clock.now() == machine.now() + HOUR + 3 * SECOND


@pytest.mark.service("postgres")
async def test_an_open_database_brings_the_clock_of_its_server() -> None:
    machine = FakeClock()
    async with fresh_database(clock=False) as url:
        storage = await open_postgres(url, machine)
        asked = [
            await storage.database.read(
                lambda connection: int(connection.execute(text("select now_us()")).scalar_one())
            )
            for _ in range(2)
        ]
        assert storage.keep_clock is not None
        before = storage.clock.now()
        await storage.keep_clock()
        assert before <= asked[0] <= asked[1] <= storage.clock.now(), "the machine's steady clock stands still"
        await storage.close()
