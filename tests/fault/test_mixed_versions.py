"""Processes of two releases on one PostgreSQL database, as during an upgrade: under load nothing is lost or done twice.

The next release is a copy of this one with one more migration, which adds as migrations do: a column that may be empty,
a table, a function. `MILLRACE_MIXED_SECONDS` makes both work side by side for longer.
"""

import itertools
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import millrace
from millrace.storage.schema import HEAD
from tests.support.cluster import Cluster
from tests.support.own_server import own_server
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

pytestmark = [pytest.mark.service("postgres"), pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("MILLRACE_MIXED_SECONDS", "6"))
NEXT = f"{int(HEAD) + 1:04d}"
MIGRATION = f'''"""What the next release needs more."""

from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table runs add column hue text")
    op.execute("alter table task_runs add column hue text")
    op.execute("create table hues (name text primary key)")
    op.execute("create function hue_of(run runs) returns text language sql stable as 'select run.hue'")


def downgrade() -> None:
    op.execute("drop function hue_of(runs)")
'''
LEDGER_LINE = 'printf "%s %s\\n" "$RUN" "$MILLRACE_ATTEMPT" >> "$LEDGER"'


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """On a server of its own: so many processes take too many connections of the one that all tests share."""
    with own_server() as server, Cluster(tmp_path, server.url) as opened:
        yield opened


@pytest.fixture
def next_release(tmp_path: Path) -> dict[str, str]:
    """The settings of a process that runs the next release."""
    package = tmp_path / "next" / "millrace"
    shutil.copytree(Path(millrace.__file__).parent, package)
    schema = package / "storage" / "schema.py"
    schema.write_text(schema.read_text().replace(f'HEAD = "{HEAD}"', f'HEAD = "{NEXT}"'))
    (package / "storage" / "migrations" / "postgres" / f"{NEXT}_hues.py").write_text(MIGRATION)
    return {"PYTHONPATH": str(package.parent)}


class Load:
    """Starts runs at one API after the other, each under a key of its own; one that does not answer is passed over."""

    def __init__(self, *apis: MillraceProcess) -> None:
        self.apis = list(apis)
        self.accepted: set[str] = set()
        self._keys = itertools.count()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._start_runs, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _start_runs(self) -> None:
        while not self._ended.is_set():
            key = f"key-{next(self._keys)}"
            until(lambda key=key: any(self._started(api, key) for api in list(self.apis)), within=60)
            self.apis.append(self.apis.pop(0))

    def _started(self, api: MillraceProcess, key: str) -> bool:
        try:
            with api.client() as client:
                response = client.post("/workflows/counted/execute", json={}, headers={"Idempotency-Key": key})
        except httpx2.TransportError:
            return False
        if response.status_code == 503:
            return False
        assert response.status_code in (200, 202), response.text
        self.accepted.add(response.json()["id"])
        return True


def definition(ledger: Path) -> dict[str, Any]:
    counted = {"command": LEDGER_LINE, "env": {"RUN": "{{ run.id }}", "LEDGER": str(ledger)}}
    tick = {"id": "tick", "type": "cron", "config": {"expression": "* * * * * *", "catch_up": "all"}}
    tasks = [
        {"id": "before", "type": "noop"},
        {"id": "count", "type": "shell", "config": counted},
        {"id": "after", "type": "noop"},
    ]
    return {"name": "counted", "tasks": tasks, "triggers": [tick]}


def side_by_side(old: MillraceProcess) -> None:
    """For so long both releases work; the old one answers all the time."""
    ends = time.monotonic() + SECONDS
    with old.client() as client:
        until(lambda: client.get("/runs").status_code != 200 or time.monotonic() > ends, within=SECONDS + 30)
        assert client.get("/runs").status_code == 200


def test_two_releases_side_by_side_lose_nothing_and_do_nothing_twice(
    cluster: Cluster, next_release: dict[str, str], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    old, old_worker = cluster.start("up", "worker")
    with old.client() as client:
        create_workflow(client, definition(ledger))
    load = Load(old)
    new, new_worker = cluster.start("up", "worker", **next_release)
    assert schema_of(cluster) == NEXT
    load.apis.append(new)
    side_by_side(old)
    load.apis.remove(old)
    assert [process.stop() for process in (old_worker, old)] == [0, 0]
    load.end()
    with new.client() as client:
        runs = load.accepted | {row["id"] for row in cluster.ask("select id from runs")}
        assert len(runs) > len(load.accepted) > 10, "nothing was fired, or too little was started to mean anything"
        for run_id in runs:
            assert wait_finished(client, run_id)["status"] == "completed"
        assert client.get("/doctor").json()["problems"] == []
    executed = Counter(line.split()[0] for line in ledger.read_text().splitlines())
    assert executed.keys() >= runs
    assert set(executed.values()) == {1}, "a run was done twice, though nobody was killed"
    assert both_worked(cluster, {old.pid, old_worker.pid}, {new.pid, new_worker.pid})
    assert doubled_firings(cluster) == []


def schema_of(cluster: Cluster) -> str:
    found: str = cluster.ask("select version_num from alembic_version")[0][0]
    return found


def both_worked(cluster: Cluster, *groups: set[int]) -> bool:
    query = "select distinct pid from attempts join incarnations on incarnations.id = attempts.incarnation_id"
    pids = {row["pid"] for row in cluster.ask(query)}
    return all(pids & group for group in groups)


def doubled_firings(cluster: Cluster) -> list[Any]:
    return cluster.ask("select due_at from firings where run_id is not null group by due_at having count(*) > 1")


def test_an_old_process_that_starts_after_the_upgrade_is_refused_and_told_why(
    cluster: Cluster, next_release: dict[str, str]
) -> None:
    (new,) = cluster.start("api", **next_release)
    late = cluster.process(["api"])
    assert late.spawn().wait(timeout=30) == 1
    assert f"the database has the schema {NEXT}, and this release knows only up to {HEAD}" in late.log.read_text()
    with new.client() as client:
        assert client.get("/workflows").status_code == 200
