"""The database of a simulation: SQLite in memory, which every process reaches over a line that may fail it.

The statements are the real ones, and so are transactions. What a process asks is carried out at one moment, whole or
not at all; between the question, that moment and the answer any time may pass, and the process may be gone by then.
What is committed outlives every process.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Connection, Select, create_engine
from sqlalchemy.pool import StaticPool

from millrace.core.values import SECOND, Duration
from millrace.ports.store import StoreUnavailable
from millrace.storage.schema import migrate
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from tests.simulation.process import Process

T = TypeVar("T")

TABLES = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"


class MemoryDatabase:
    """One for each process of the machine, emptied for each seed: to empty it costs less than to make it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=512)
        self.raw.create_function("now_us", 0, lambda: self.clock.now())
        migrate(self.raw)
        names = [row[0] for row in self.raw.execute(TABLES).fetchall()]
        filled = {name for name in names if self.raw.execute(f"select 1 from {name}").fetchall()}  # noqa: S608
        self._emptying = [f"delete from {name}" for name in names if name not in filled]  # noqa: S608
        self.writes = 0
        self.raw.execute("pragma foreign_keys = on")
        self.connection: Connection = create_engine(
            "sqlite://", creator=lambda: self.raw, poolclass=StaticPool, pool_reset_on_return=None
        ).connect()

    def empty(self, clock: FakeClock) -> None:
        if self.raw.in_transaction:
            self.raw.rollback()
        self.clock = clock
        # To load an empty database in its place crashes SQLite 3.40, once a statement has used `json_each`.
        self.raw.execute("pragma foreign_keys = off")
        for statement in self._emptying:
            self.raw.execute(statement)
        self.raw.execute("pragma foreign_keys = on")


@cache
def memory_database() -> MemoryDatabase:
    return MemoryDatabase()


class FailsMidway:
    """The writing connection, with a disk that is full after some statements."""

    def __init__(self, raw: sqlite3.Connection, statements: int) -> None:
        self._raw = raw
        self._left = statements

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return self._raw.execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return self._raw.executemany(*arguments)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise sqlite3.OperationalError("database or disk is full")


class Carrier(Protocol):
    """The world, as a line sees it."""

    database: MemoryDatabase
    chance: random.Random

    def later(self, delay: Duration, act: Callable[[], None]) -> None: ...

    def fate_of(self, process: "Process", question: str, *, writes: bool) -> str: ...

    def latency(self) -> Duration: ...

    def written(self, process: "Process", question: str) -> None: ...

    def told(self, *words: object) -> None: ...


class Line:
    """A process's way to the database; stands where the store expects its `SqliteDatabase`."""

    def __init__(self, world: Carrier, process: "Process") -> None:
        self._world = world
        self._process = process

    @property
    def written(self) -> int | None:
        return self._world.database.writes if self._process.embedded else None

    async def submit(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._asked(job, _named(job), writes=True)

    async def read_for_engine(self, work: Callable[[Connection], T]) -> T:
        connection = self._world.database.connection
        return await self._asked(lambda _: work(connection), _named(work), writes=False)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self.read_for_engine(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        connection = self._world.database.connection

        def job(raw: sqlite3.Connection) -> T:
            raw.execute("begin immediate")
            answer = work(connection)
            raw.execute("commit")
            return answer

        return await self._asked(job, "write", writes=True)

    async def ask(self, question: Select[Any], values: Mapping[str, object]) -> Any:
        return await self.read_for_engine(lambda connection: connection.execute(question, values).mappings().all())

    async def _asked(self, job: Callable[[sqlite3.Connection], T], question: str, *, writes: bool) -> T:
        world = self._world
        answer: asyncio.Future[T] = self._process.loop.create_future()
        fate = world.fate_of(self._process, question, writes=writes)
        delay = world.latency()
        if fate == "slow":
            delay += world.chance.randint(1, 30_000) * SECOND // 1_000
        if fate in ("away", "carried out late"):
            self._answer(answer, StoreUnavailable(f"{fate}, says the simulation"))
        if fate == "carried out late":
            delay += world.chance.randint(1, 8_000) * SECOND // 1_000
        if fate != "away":
            world.later(delay, lambda: self._carry_out(job, question, fate, answer, writes=writes))
        return await answer

    def _carry_out(
        self,
        job: Callable[[Any], T],
        question: str,
        fate: str,
        answer: "asyncio.Future[T]",
        *,
        writes: bool,
    ) -> None:
        process, world = self._process, self._world
        if fate == "crash before":
            process.die("before", question)
        if not process.alive and process.embedded:
            return
        raw = world.database.raw
        before = raw.total_changes
        outcome: Any
        try:
            outcome = job(raw if fate != "fails midway" else FailsMidway(raw, world.chance.randint(0, 25)))
        except Exception as error:
            if raw.in_transaction:
                raw.rollback()
            full = isinstance(error, sqlite3.OperationalError) and "full" in str(error)
            outcome = StoreUnavailable("the disk is full, says the simulation") if full else error
        if raw.total_changes != before:
            world.database.writes += 1
            world.written(process, question)
        if fate == "crash after":
            process.die("after", question)
        if fate == "answer lost":
            outcome = StoreUnavailable("the answer was lost, says the simulation")
        if writes:
            world.told(process.name, question, fate, type(outcome).__name__)
        self._answer(answer, outcome)

    def _answer(self, answer: "asyncio.Future[Any]", outcome: Any) -> None:
        def arrive() -> None:
            if not self._process.alive or answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self._world.later(self._world.latency(), arrive)


def _named(work: Callable[..., object]) -> str:
    """The method that makes a function on the spot, or the function itself, for the story to tell."""
    if isinstance(work, partial):
        return _named(work.func)
    first, *inner = work.__qualname__.split(".")
    return inner[0] if inner else first
