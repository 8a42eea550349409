"""SIGTERM to each part of Millrace, in the middle of what it does: answers come, others go on, and nothing is torn.

What `millrace worker` does with its tasks then is in tests/acceptance/test_processes.py; here it hands over what it has
not begun.
"""

import asyncio
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.support.cluster import Cluster, database
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

pytestmark = pytest.mark.service("postgres")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with database() as url, Cluster(tmp_path, url) as opened:
        yield opened


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@contextmanager
def locked(cluster: Cluster, table: str) -> Iterator[None]:
    """Nobody else gets at the table while the block runs; what they do waits in the middle."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(cluster.url))
        try:
            runner.run(connection.execute("begin"))
            runner.run(connection.execute(f"lock table {table}"))
            yield
        finally:
            runner.run(connection.close())


def wait_until_blocked(cluster: Cluster, query: str) -> None:
    """Until a statement like this waits for the lock."""
    waiting = (
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' "
        "and application_name like 'millrace%' and query ilike $1"
    )
    until(lambda: cluster.ask(waiting, query))


def gated(client: httpx2.Client, name: str, gate: Path, **fields: Any) -> None:
    shell = {"command": 'until test -e "$GATE"; do sleep 0.05; done', "env": {"GATE": str(gate)}}
    create_workflow(client, {"name": name, "tasks": [{"id": "wait", "type": "shell", "config": shell}], **fields})


def started(client: httpx2.Client, name: str) -> str:
    response = client.post(f"/workflows/{name}/execute", json={})
    assert response.status_code == 202, response.text
    run_id: str = response.json()["id"]
    return run_id


def follow(process: MillraceProcess, run_id: str, heard: list[str]) -> None:
    """Read a stream to its end; a torn one raises."""
    with process.client() as client, client.stream("GET", f"/runs/{run_id}/events?follow=true") as stream:
        heard.extend(stream.iter_lines())


def in_good_order(process: MillraceProcess) -> None:
    log = process.log.read_text()
    for trace in ("Traceback", "ERROR", "graceful shutdown exceeded"):
        assert trace not in log, log


def test_an_api_that_stops_answers_those_who_wait_and_ends_streams(
    cluster: Cluster, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    api, other = cluster.start("api", "up")
    gate = tmp_path / "gate"
    with api.client() as client, other.client() as elsewhere:
        gated(client, "gated", gate)
        run_id = started(client, "gated")
        start = threads.submit(client.post, "/workflows/gated/execute", json={"wait": True})
        until(lambda: elsewhere.get("/runs", params={"status": "running"}).json()["items"][1:])
        waits: list[Future[httpx2.Response]] = [start]
        for table, path in (("records", "events?after=1000&wait_seconds=30"), ("logs", "logs?wait_seconds=30")):
            # It has begun to answer when it is found at the table.
            with locked(cluster, table):
                waits.append(threads.submit(client.get, f"/runs/{run_id}/{path}"))
                wait_until_blocked(cluster, f"%{table}%")
        heard: list[str] = []
        stream = threads.submit(follow, api, run_id, heard)
        until(lambda: any("task.started" in line for line in heard))
        assert api.stop() == 0
        run, events, logs = (waited.result() for waited in waits)
        assert (run.status_code, run.json()["status"]) == (202, "running"), run.text
        assert (events.status_code, events.json()["items"]) == (200, [])
        assert (logs.status_code, logs.json()["items"]) == (200, [])
        stream.result()
        in_good_order(api)
        gate.touch()
        for waited in (run_id, run.json()["id"]):
            assert wait_finished(elsewhere, waited)["status"] == "completed"


def test_a_request_under_way_is_answered_before_an_api_ends(cluster: Cluster, threads: ThreadPoolExecutor) -> None:
    (api,) = cluster.start("api")
    with api.client() as client:
        with locked(cluster, "workflows"):
            definition = {"name": "late", "tasks": [{"type": "noop"}]}
            answer = threads.submit(client.post, "/workflows", json=definition)
            wait_until_blocked(cluster, "%workflows%")
            api.signal(signal.SIGTERM)
            until(lambda: refuses(api))
        assert answer.result().status_code == 201
    assert api.wait() == 0
    in_good_order(api)
    assert len(cluster.ask("select name from workflows")) == 1


def refuses(process: MillraceProcess) -> bool:
    """Whether it takes no new connections any more."""
    try:
        httpx2.get(f"{process.url}/health", trust_env=False)
    except httpx2.ConnectError:
        return True
    return False


def test_a_second_signal_ends_an_api_without_waiting_for_requests(
    cluster: Cluster, threads: ThreadPoolExecutor
) -> None:
    (api,) = cluster.start("api")
    with api.client() as client, locked(cluster, "workflows"):
        definition = {"name": "torn", "tasks": [{"type": "noop"}]}
        answer = threads.submit(client.post, "/workflows", json=definition)
        wait_until_blocked(cluster, "%workflows%")
        api.signal(signal.SIGTERM)
        until(lambda: refuses(api))
        api.signal(signal.SIGTERM)
        assert api.wait() == 0
        with pytest.raises(httpx2.HTTPError):
            answer.result().raise_for_status()
    assert "asked to stop again" in api.log.read_text()
    assert "graceful shutdown exceeded" not in api.log.read_text()
    assert cluster.ask("select name from workflows") == []


def test_a_scheduler_stops_in_the_middle_of_a_round_and_another_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    api, _ = cluster.start("api", "worker")
    gate = tmp_path / "gate"
    with api.client() as client:
        gated(client, "limited", gate, max_concurrent_runs=1)
        (scheduler,) = cluster.start("scheduler")
        runs = [started(client, "limited") for _ in range(3)]
        with locked(cluster, "limits"):
            gate.touch()
            wait_until_blocked(cluster, "%")
            assert scheduler.stop() == 0
        in_good_order(scheduler)
        cluster.start("scheduler")
        for run_id in runs:
            assert wait_finished(client, run_id)["status"] == "completed"
        assert client.get("/doctor").json()["problems"] == []


def test_a_worker_that_stops_hands_over_what_it_has_not_begun(cluster: Cluster, tmp_path: Path) -> None:
    api, first = cluster.start("up", "worker --slots 2 --queue default", MILLRACE_WORKER_QUEUES="nothing")
    gate = tmp_path / "gate"
    with api.client() as client:
        gated(client, "many", gate)
        runs = [started(client, "many") for _ in range(6)]
        until(lambda: len(client.get("/runs", params={"status": "running"}).json()["items"]) >= 2)
        first.signal(signal.SIGTERM)
        until(lambda: "no new work" in first.log.read_text())
        cluster.start("worker --slots 2")
        gate.touch()
        assert first.wait() == 0
        for run_id in runs:
            assert wait_finished(client, run_id)["status"] == "completed"
            events = client.get(f"/runs/{run_id}/events").json()["items"]
            assert [event["type"] for event in events].count("task.started") == 1
    in_good_order(first)
