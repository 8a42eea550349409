"""One workflow with every construct of the definition language is killed ten times on its way, and ends right.

The kills fall after so many further records of its history, or where nothing goes on while it waits, by seed:
`MILLRACE_SCENARIO_SEED` replays them. Between them somebody outside publishes an event, sends signals and decides,
until it is acknowledged. What the runs do is counted outside of Millrace, under the path of the task run: once, and
once more for each attempt that was lost.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Timer
from typing import Any

import asyncpg
import httpx2
import pytest
import yaml

from tests.support.postgres import bare_database
from tests.support.server import FINISHED, MillraceProcess, create_workflow, until, wait_finished
from tests.support.telling import Teller

SEED = int(os.environ.get("MILLRACE_SCENARIO_SEED", "20260601"))
KILLS = 10
LEASE = "5"
"""Seconds. On PostgreSQL it is what a kill costs."""
STANDSTILL = 3.0
"""Seconds without enough further records after which it is killed all the same."""
TOLD_AFTER = {"paid": 2, "released": 5, "publish": 8}
"""The tasks that wait for somebody outside, in their order, and how many kills they are to outlive."""
SCENARIO = Path(__file__).parent / "scenario"
WORKFLOWS = ("part", "listener", "sleeper", "every-construct", "failing-twin")
ROWS_OF_WAITING = ("waits", "inbox", "timers")

REGIONS = [
    {"name": "eu", "size": "large", "weight": 1},
    {"name": "us", "size": "small", "weight": 10},
    {"name": "ap", "size": "large", "weight": 100},
]
OUTPUT = {
    "regions": [
        {"region": "eu", "came_to": 10, "part": 2},
        {"region": "us", "came_to": 10, "part": 20},
        {"region": "ap", "came_to": 1000, "part": 200},
    ],
    "total": 12,
    "copies": 2,
    "never": True,
    "usual": True,
    "forgiven": "error",
}
PAGES = [f"regions[{region}].pages[{page}]" for region in (0, 2) for page in (1, 3)]
EFFECTS = {
    "every-construct": {
        "begin", "regions[1].booked", "note_paid", "note_released", "print[0].copy", "print[1].copy", "gave_up",
        "tidied", *(f"{page}.lines[{line}].line" for page in PAGES for line in (0, 1, 2)),
    },
    "failing-twin": {
        "reserve", "left", "broken[0].divided", "broken[2].divided", "tell", "unbook[0].undo", "unbook[1].undo",
        "release", "sweep[0].swept", "sweep[1].swept",
    },
    "part": {"count"},
    "listener": {"noted"},
    "sleeper": set(),
}  # fmt: skip
ENDS = Counter(
    {
        ("every-construct", "completed"): 1,
        ("failing-twin", "failed"): 1,
        ("part", "completed"): 4,
        ("listener", "completed"): 1,
        ("sleeper", "cancelled"): 1,
    }
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service("postgres"))])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The address of a PostgreSQL database; `None` for the SQLite that a server makes itself."""
    if request.param == "sqlite":
        yield None
        return
    with asyncio.Runner() as runner:
        made = bare_database()
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@pytest.mark.timeout(600)
def test_a_workflow_with_every_construct_is_killed_ten_times_and_ends_right(
    tmp_path: Path, database: str | None
) -> None:
    ledger = tmp_path / "ledger.db"
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("create table effects (run_id text not null, path text not null)")
    settings = {
        "MILLRACE_APPLY_EXAMPLES": "false",
        "MILLRACE_SQLITE_ALLOWED_DIRS": str(tmp_path),
        "MILLRACE_WORKER_LEASE_SECONDS": LEASE,
        **({} if database is None else {"MILLRACE_DATABASE_URL": database}),
    }
    server = MillraceProcess(tmp_path / "home", **settings)
    with server:
        with server.client() as client:
            for name in WORKFLOWS:
                create_workflow(client, yaml.safe_load((SCENARIO / f"{name}.yaml").read_text("utf-8")))
            variables = {"ledger": f"sqlite:///{ledger}"}
            started = {"input": {"order": "A7", "regions": REGIONS}, "variables": {**variables, "marks": str(tmp_path)}}
            main: str = client.post("/workflows/every-construct/execute", json=started).json()["id"]
            twin: str = client.post("/workflows/failing-twin/execute", json={"variables": variables}).json()["id"]
        kill_ten_times(server, [main, twin], Outside(server, Teller(server), main))
        with server.client() as client:
            assert wait_finished(client, main, within=120)["output"] == OUTPUT
            runs = until(lambda: all_finished(client), within=120)
            told = {run["id"]: (run["workflow"]["name"], records_of(client, run["id"])) for run in runs}
            assert Counter((run["workflow"]["name"], run["status"]) for run in runs) == ENDS
        assert "no problems" in server.millrace("doctor").stdout
        until(lambda: not any(rows(server, database, table) for table in ROWS_OF_WAITING), within=30)
    assert_effects_agree(ledger, told)


def kill_ten_times(server: MillraceProcess, runs: Sequence[str], outside: "Outside") -> None:
    moments = random.Random(SEED)
    for number in range(KILLS):
        with server.client() as client:
            assert client.get(f"/runs/{runs[0]}").json()["status"] not in FINISHED, f"it ended after {number} kills"
            goal = written(client, runs) + moments.randint(2, 8)
            ends = time.monotonic() + moments.uniform(1.0, STANDSTILL)
            while written(client, runs) < goal and time.monotonic() < ends:
                outside.go_on(number)
        killing = Timer(moments.uniform(0.0, 0.1), server.kill)
        killing.start()
        outside.go_on_until_killed(number, killing)
        server.start()
    outside.finish()


def written(client: httpx2.Client, runs: Sequence[str]) -> int:
    """How many records there are."""
    return sum(len(records_of(client, run)) for run in runs)


def records_of(client: httpx2.Client, run_id: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = client.get(f"/runs/{run_id}/events", params={"limit": 1000}).json()["items"]
    return records


class Outside:
    """Who tells the run what it waits for; what is not acknowledged is told again."""

    def __init__(self, server: MillraceProcess, teller: Teller, run_id: str) -> None:
        self._server = server
        self._teller = teller
        self._run_id = run_id
        self._open = dict(TOLD_AFTER)

    def go_on(self, kills: int) -> None:
        """Look at the task that comes next, and tell what it waits for, if it has outlived enough kills."""
        path, after = next(iter(self._open.items()), (None, 0))
        if path is None or kills < after:
            return
        with self._server.client() as client:
            found = client.get(f"/runs/{self._run_id}/tasks/{path}")
        status = found.json()["status"] if found.status_code == 200 else None
        if status == "waiting":
            self._tell(path)
        elif status in ("running", "completed"):
            del self._open[path]

    def go_on_until_killed(self, kills: int, killing: Timer) -> None:
        while killing.is_alive():
            with suppress(httpx2.HTTPError):
                self.go_on(kills)
        killing.join()

    def finish(self) -> None:
        def done() -> bool:
            self.go_on(KILLS)
            return not self._open

        until(done, within=180, pause=0.1)

    def _tell(self, path: str) -> None:
        match path:
            case "paid":
                for number, total in enumerate((5, 12)):
                    event = {"type": "scenario.paid", "id": f"paid-{number}", "subject": "A7", "data": {"total": total}}
                    self._teller.publish(event)
            case "released":
                for step in (2, 1):
                    self._teller.signal(self._run_id, "release", {"step": step}, key=f"release-{step}")
            case _:
                self._teller.decide(self._run_id, path, "approve", form={"copies": 2}, key="decision")


def all_finished(client: httpx2.Client) -> list[dict[str, Any]] | None:
    """The runs of the scenario, those that it started included, if they all have."""
    runs = [run for run in client.get("/runs", params={"limit": 200}).json()["items"]]
    own = [run for run in runs if run["workflow"]["name"] in WORKFLOWS]
    return own if all(run["status"] in FINISHED for run in own) else None


def rows(server: MillraceProcess, database: str | None, table: str) -> int:
    count = f"select count(*) from {table}"  # noqa: S608 - one of three names
    if database is None:
        with closing(sqlite3.connect(server.home / "millrace.db", timeout=30)) as connection:
            found: int = connection.execute(count).fetchone()[0]
            return found
    return asyncio.run(_asked(database, count))


async def _asked(database: str, question: str) -> int:
    connection = await asyncpg.connect(database)
    try:
        found: int = await connection.fetchval(question)
    finally:
        await connection.close()
    return found


def assert_effects_agree(ledger: Path, told: dict[str, tuple[str, list[dict[str, Any]]]]) -> None:
    """Everything was done, nothing else was, and nothing again but by an attempt whose predecessor was lost."""
    with closing(sqlite3.connect(ledger)) as connection:
        done = Counter(connection.execute("select run_id, path from effects").fetchall())
    for run_id, (workflow, records) in told.items():
        assert [record["seq"] for record in records] == list(range(1, len(records) + 1)), f"a gap in {workflow}"
        assert {path for run, path in done if run == run_id} == EFFECTS[workflow], workflow
        lost = Counter(record["path"] for record in records if record["type"] == "task.lost")
        ended = Counter(record["path"] for record in records if record["type"] == "task.completed")
        for path in EFFECTS[workflow]:
            assert 1 <= done[run_id, path] <= 1 + lost[path], (workflow, path, done[run_id, path], lost[path])
            assert ended[path] == 1, (workflow, path, ended[path])
    assert {run for run, _ in done} <= told.keys()
