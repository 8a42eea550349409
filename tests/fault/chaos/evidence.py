"""The evidence: what the database, the ledger, the other database and a sampler have to say when all is over."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import orjson

BETWEEN_SAMPLES = 0.2
"""Seconds."""

LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises when the server goes away; the last one at an awkward moment."""

Task = tuple[str, str]
"""Run and path."""


class Line(NamedTuple):
    """Of the ledger."""

    at: int
    """Nanoseconds of the wall clock."""
    what: str
    task: Task
    incarnation: str
    token: str


@dataclass
class Life:
    """An attempt as seen from outside: its process, from the first to the last that was heard of it."""

    lines: list[Line] = field(default_factory=list)

    @property
    def began(self) -> int:
        return self.lines[0].at

    @property
    def last(self) -> int:
        return self.lines[-1].at

    @property
    def token(self) -> str:
        return self.lines[0].token

    def count(self, what: str) -> int:
        return sum(line.what == what for line in self.lines)


@dataclass(frozen=True)
class Evidence:
    runs: dict[str, asyncpg.Record]
    tasks: dict[Task, asyncpg.Record]
    attempts: list[asyncpg.Record]
    records: dict[str, list[asyncpg.Record]]
    """By run, in order."""
    keys: dict[str, str]
    """Runs by the key of their caller."""
    firings: list[asyncpg.Record]
    pids: dict[str, int]
    """By incarnation."""
    lives: dict[str, Life]
    """By token."""
    effects: dict[Task, int]

    def of_task(self, task: Task, kind: str) -> int:
        """How many records of this kind the task has."""
        return sum(record["type"] == kind and record["path"] == task[1] for record in self.records[task[0]])


def gather(url: str, outside: str, ledger: Path) -> Evidence:
    return asyncio.run(_gathered(url, outside, _lives(ledger.read_text().splitlines())))


async def _gathered(url: str, outside: str, lives: dict[str, Life]) -> Evidence:
    connection = await asyncpg.connect(url)
    try:
        runs = await connection.fetch("select r.*, w.name from runs r join workflows w on w.id = r.workflow_id")
        records = await connection.fetch("select * from records order by run_id, seq")
        return Evidence(
            runs={row["id"]: row for row in runs},
            tasks={(row["run_id"], row["path"]): row for row in await connection.fetch("select * from task_runs")},
            attempts=await connection.fetch("select * from attempts order by run_id, path, number"),
            records=_grouped(records, lambda row: str(row["run_id"])),
            keys=dict(await connection.fetch("select key, run_id from start_keys where namespace = 'caller'")),
            firings=await connection.fetch("select * from firings order by due_at"),
            pids=dict(await connection.fetch("select id, pid from incarnations")),
            lives=lives,
            effects=await _effects(outside),
        )
    finally:
        await connection.close()


def _grouped(rows: Iterable[asyncpg.Record], key: Callable[[asyncpg.Record], str]) -> dict[str, list[asyncpg.Record]]:
    groups: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _lives(lines: Iterable[str]) -> dict[str, Life]:
    lives: dict[str, Life] = defaultdict(Life)
    for line in lines:
        at, what, run_id, path, mark = line.split()
        _, incarnation, token = mark.split(":")
        lives[token].lines.append(Line(int(at), what, (run_id, path), incarnation, token))
    return lives


async def _effects(outside: str) -> dict[Task, int]:
    connection = await asyncpg.connect(outside)
    try:
        found = await connection.fetch("select key, count(*) from effects group by key")
    finally:
        await connection.close()
    return {(key.partition("/")[0], key.partition("/")[2]): count for key, count in found}


def detail(record: asyncpg.Record) -> dict[str, Any]:
    """What a record of the history says beyond its kind."""
    found: dict[str, Any] = orjson.loads(record["data"] or "{}")
    return found


SAMPLES: Sequence[tuple[str, str]] = (
    ("runs admitted above the limit", """select admission_key, count(*) from runs
        where admission_key is not null and admitted_at is not null and finished_at is null
        group by admission_key having count(*) > max(admission_limit)"""),
    ("attempts of one task alive together", """select run_id, path from attempts where finished_at is null
        group by run_id, path having count(*) > 1"""),
    ("attempts above their limit", """select limit_key, count(*) from attempts
        where limit_key is not null and status = 'running' and finished_at is null
        group by limit_key having count(*) > max(limit_size)"""),
)  # fmt: skip


class Sampler(threading.Thread):
    """Looks at the database again and again for what may never be, not even for a moment."""

    def __init__(self, url: str) -> None:
        super().__init__(name="sampler", daemon=True)
        self.over = threading.Event()
        self.found: list[str] = []
        self.samples = 0
        self._url = url

    def run(self) -> None:
        asyncio.run(self._look_all_the_time())

    async def _look_all_the_time(self) -> None:
        while not self.over.is_set():
            try:
                connection = await asyncpg.connect(self._url, timeout=5, command_timeout=5)
            except LOST:
                await asyncio.sleep(BETWEEN_SAMPLES)
                continue
            try:
                await self._look(connection)
            except LOST:
                continue
            finally:
                connection.terminate()

    async def _look(self, connection: asyncpg.Connection) -> None:
        while not self.over.is_set():
            for what, query in SAMPLES:
                self.found += [f"{what}: {tuple(row)}" for row in await connection.fetch(query)]
            self.samples += 1
            await asyncio.sleep(BETWEEN_SAMPLES)
