"""Millrace as several processes on one PostgreSQL database: who does what, and what becomes of it when one is lost."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.app.histories.following import POLL_SECONDS
from tests.support.cluster import Cluster, database
from tests.support.own_server import own_server
from tests.support.server import PATIENCE, MillraceProcess, create_workflow, until, wait_finished

pytestmark = pytest.mark.service("postgres")

LISTENING = (
    "select pid from pg_stat_activity where datname = current_database() and application_name = 'millrace hints'"
)
LEASE = 5.0
"""Seconds after which a worker that was killed is taken for lost."""


@dataclass(frozen=True)
class Five:
    """One process of each role but two schedulers and two workers, for all tests that end none of them."""

    cluster: Cluster
    api: MillraceProcess
    workers: tuple[MillraceProcess, MillraceProcess]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Five]:
    # Their connections would be half of those that the server has which all tests share.
    with own_server() as server, Cluster(tmp_path_factory.mktemp("five"), server.url) as opened:
        worker = "worker --slots 4"
        api, _, _, first, second = opened.start("api", "scheduler", "scheduler", worker, worker)
        yield Five(opened, api, (first, second))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with database() as url, Cluster(tmp_path, url) as opened:
        yield opened


def shell(id_: str, command: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "shell", "config": {"command": command}, **fields}


def start(client: httpx2.Client, name: str, *tasks: dict[str, Any], **fields: Any) -> str:
    free = [{"depends_on": [], **task} for task in tasks]
    create_workflow(client, {"name": name, "tasks": free, **fields})
    return start_again(client, name)


def start_again(client: httpx2.Client, name: str, **body: Any) -> str:
    response = client.post(f"/workflows/{name}/execute", json=body)
    assert response.status_code in (200, 202), response.text
    run_id: str = response.json()["id"]
    return run_id


def status_of(client: httpx2.Client, run_id: str) -> str:
    status: str = client.get(f"/runs/{run_id}").json()["status"]
    return status


def workers(client: httpx2.Client) -> dict[int, str]:
    """Incarnations that live, by process."""
    return {item["pid"]: item["id"] for item in client.get("/workers").json()["items"]}


def test_a_queue_is_served_by_its_worker(cluster: Cluster) -> None:
    api, _, gpu, _ = cluster.start("api", "scheduler", "worker --queue gpu", "worker --queue default")
    with api.client() as client:
        run_id = start(
            client, "queues", {"id": "train", "type": "noop", "queue": "gpu"}, {"id": "tell", "type": "noop"}
        )
        assert wait_finished(client, run_id)["status"] == "completed"
        events = client.get(f"/runs/{run_id}/events").json()["items"]
        by_pid = workers(client)
    ran = {event["path"]: event["data"]["worker"] for event in events if event["type"] == "task.started"}
    assert ran["train"] == by_pid[gpu.pid]
    assert ran["tell"] != ran["train"]


def test_a_killed_worker_is_replaced_after_its_lease(cluster: Cluster, tmp_path: Path) -> None:
    roles = ("api", "scheduler", "scheduler", "worker", "worker")
    api, scheduler, spare, first, second = cluster.start(*roles, MILLRACE_WORKER_LEASE_SECONDS=str(LEASE))
    done = tmp_path / "done"
    with api.client() as client:
        run_id = start(client, "killed", shell("work", f"test -e {done} || sleep 600"))
        until(lambda: client.get(f"/runs/{run_id}/tasks/work").json()["status"] == "running")
        by_id = {id_: pid for pid, id_ in workers(client).items()}
        events = client.get(f"/runs/{run_id}/events").json()["items"]
        held_by = by_id[next(event["data"]["worker"] for event in events if event["type"] == "task.started")]
        scheduler.kill()
        done.touch()
        next(worker for worker in (first, second) if worker.pid == held_by).kill()
        run = wait_finished(client, run_id, within=LEASE + 60)
        events = client.get(f"/runs/{run_id}/events").json()["items"]
    assert run["status"] == "completed", run
    assert [event["type"] for event in events].count("task.lost") == 1
    assert spare.log.read_text().count("is lost: its lease is over") == 1


def test_two_schedulers_fire_each_second_once(cluster: Cluster) -> None:
    api, scheduler, _, _ = cluster.start("api", "scheduler", "scheduler", "worker")
    trigger = {"id": "tick", "type": "cron", "config": {"expression": "* * * * * *", "catch_up": "all"}}
    with api.client() as client:
        create_workflow(client, {"name": "ticking", "tasks": [{"id": "tick", "type": "noop"}], "triggers": [trigger]})
        until(lambda: len(due_times(cluster)) >= 3)
        scheduler.kill()
        seen = len(due_times(cluster))
        until(lambda: len(due_times(cluster)) >= seen + 4)
        runs = client.get("/runs", params={"workflow": "ticking", "limit": 100}).json()["items"]
    times = due_times(cluster)
    assert len(set(times)) == len(times), "a second was fired twice"
    assert [b - a for a, b in pairwise(times)] == [1_000_000] * (len(times) - 1)
    assert len(runs) <= len(due_times(cluster))


def due_times(cluster: Cluster) -> list[int]:
    return [row["due_at"] for row in cluster.ask("select due_at from firings where run_id is not null order by due_at")]


def test_everything_goes_on_when_all_connections_are_cut(cluster: Cluster, tmp_path: Path) -> None:
    api, _, _, _ = cluster.start("api", "scheduler", "worker", "worker")
    gate = tmp_path / "gate"
    with api.client() as client:
        run_id = start(client, "cut", *(shell(f"t{n}", f"until test -e {gate}; do sleep 0.01; done") for n in range(4)))
        until(lambda: client.get(f"/runs/{run_id}/tasks/t3").json()["status"] == "running")
        cut = []
        for _ in range(3):
            cut += cluster.ask(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name like 'millrace%'"
            )
        assert len(cut) >= 8, "each of four processes has two at least: for its work, and for hints"
        until(lambda: len(cluster.ask(LISTENING)) == 4)
        gate.touch()
        assert wait_finished(client, run_id)["status"] == "completed"
        # A connection that lay idle while it was cut is found out by its next use.
        after = {"name": "after-the-cut", "tasks": [shell("sleep", "sleep 600")]}
        until(lambda: client.post("/workflows", json=after).status_code == 201)
        long = start_again(client, "after-the-cut")
        until(lambda: client.get(f"/runs/{long}/tasks/sleep").json()["status"] == "running")
        client.post(f"/runs/{long}/cancel", json={})
        assert wait_finished(client, long)["status"] == "cancelled"
        events = client.get(f"/runs/{run_id}/events", params={"limit": 100}).json()["items"]
    assert "task.lost" not in [event["type"] for event in events]


def test_a_stopping_worker_drains_and_a_second_signal_ends_it(cluster: Cluster, tmp_path: Path) -> None:
    api, _, first = cluster.start("api", "scheduler", "worker")
    gate = tmp_path / "gate"
    with api.client() as client:
        run_id = start(
            client,
            "draining",
            shell("slow", f"until test -e {gate}; do sleep 0.01; done"),
            {"id": "then", "type": "noop", "depends_on": ["slow"]},
        )
        until(lambda: client.get(f"/runs/{run_id}/tasks/slow").json()["status"] == "running")
        first.signal(signal.SIGTERM)
        until(lambda: "no new work" in first.log.read_text())
        gate.touch()
        assert first.wait() == 0
        assert client.get(f"/runs/{run_id}/tasks/slow").json()["status"] == "completed"
        assert client.get(f"/runs/{run_id}/tasks/then").json()["status"] == "ready"
        (second,) = cluster.start("worker")
        assert wait_finished(client, run_id)["status"] == "completed"
        long = start(client, "ended", shell("sleep", "sleep 600"))
        until(lambda: client.get(f"/runs/{long}/tasks/sleep").json()["status"] == "running")
        second.signal(signal.SIGTERM)
        until(lambda: "no new work" in second.log.read_text())
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
        until(lambda: "task.stopped" in client.get(f"/runs/{long}/events").text)
        assert client.get(f"/runs/{long}/tasks/sleep").json()["status"] == "ready"


def test_two_ups_start_an_installation_together(cluster: Cluster) -> None:
    first, second = cluster.start("up", "up")
    assert len(cluster.ask("select id from users")) == 1
    assert len(cluster.ask("select id from installation")) == 1
    assert len(cluster.ask("select id from incarnations where lost_at is null")) == 2
    with first.client() as one, second.client() as other:
        run_id = start(one, "shared", shell("say", "echo hi"))
        assert wait_finished(other, run_id)["status"] == "completed"
    noted = json.loads((first.home / "server.json").read_text())["pid"]
    earlier, later = sorted((first, second), key=lambda process: process.pid == noted)
    assert earlier.stop() == 0
    assert json.loads((first.home / "server.json").read_text())["pid"] == later.pid
    assert later.stop() == 0
    assert not (first.home / "server.json").exists()


def test_a_worker_that_starts_leaves_the_children_of_others_alone(cluster: Cluster, tmp_path: Path) -> None:
    api, _, _ = cluster.start("api", "scheduler", "worker")
    gate = tmp_path / "gate"
    with api.client() as client:
        run_id = start(client, "children", shell("wait", f"until test -e {gate}; do sleep 0.01; done"))
        until(lambda: client.get(f"/runs/{run_id}/tasks/wait").json()["status"] == "running")
        cluster.start("worker", "up")
        gate.touch()
        run = wait_finished(client, run_id)
        events = client.get(f"/runs/{run_id}/events").json()["items"]
    assert run["status"] == "completed", run
    assert [event["type"] for event in events].count("task.started") == 1


def test_a_process_with_another_encryption_key_is_refused(cluster: Cluster) -> None:
    cluster.start("api", "scheduler")
    stranger = cluster.process(["worker"], home="elsewhere")
    assert stranger.spawn().wait(timeout=PATIENCE) == 1
    told = stranger.log.read_text()
    assert "the other processes on this database use the encryption key" in told
    assert "MILLRACE_ENCRYPTION_KEY" in told
    assert not (stranger.home / "encryption-key").exists()


def test_a_new_home_may_have_a_new_key_while_nothing_is_sealed(cluster: Cluster) -> None:
    (api,) = cluster.start("api")
    assert api.stop() == 0
    (anew,) = cluster.start("api", home="elsewhere")
    assert anew.stop() == 0


def test_the_roles_are_refused_on_sqlite(tmp_path: Path) -> None:
    for role in ("api", "scheduler", "worker"):
        process = MillraceProcess(tmp_path / "home", command=[role], name=role)
        assert process.spawn().wait(timeout=PATIENCE) == 2
        assert f"`millrace {role}` needs PostgreSQL" in process.log.read_text()
    assert not (tmp_path / "home" / "millrace.db").exists()


def test_two_workers_run_what_the_api_takes(five: Five) -> None:
    with five.api.client() as client:
        both = set(workers(client).values())
        assert set(workers(client)) == {worker.pid for worker in five.workers}
        tasks = [shell(f"t{number}", "sleep 1") for number in range(8)]
        run_id = start(client, "both", *tasks)
        run = wait_finished(client, run_id)
        events = client.get(f"/runs/{run_id}/events", params={"limit": 500}).json()["items"]
        report = client.get("/doctor").json()
    assert run["status"] == "completed", run
    assert {event["data"]["worker"] for event in events if event["type"] == "task.started"} == both
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert report["problems"] == []


def test_a_run_elsewhere_is_followed_and_waited_for(five: Five) -> None:
    (other,) = five.cluster.start("api")
    with five.api.client() as client, other.client() as elsewhere:
        run_id = start(client, "followed", shell("say", "echo hello; sleep 1; echo bye"), {"id": "end", "type": "noop"})
        waited = elsewhere.post("/workflows/followed/execute", json={"wait": True})
        assert waited.json()["status"] == "completed", waited.text
        with client.stream("GET", f"/runs/{run_id}/events", params={"follow": True}) as stream:
            heard = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert [record["type"] for record in heard if "type" in record][-1] == "run.completed"
    assert heard[-1] == {"status": "completed"}


def test_a_follower_hears_of_a_run_elsewhere_at_once(five: Five, tmp_path: Path) -> None:
    """Each task is let go as soon as its start was heard of, just after the follower looked: by looking alone it would
    hear of each end a whole `POLL_SECONDS` later. The quickest counts, for the machine may be busy."""
    ids = [f"t{number}" for number in range(6)]
    needs = [[]] + [[id_] for id_ in ids]
    opened: dict[str, float] = {}
    took: list[float] = []
    with five.api.client() as client:
        tasks = [
            shell(id_, f"until test -e {tmp_path / id_}; do sleep 0.01; done", depends_on=before)
            for id_, before in zip(ids, needs, strict=False)
        ]
        run_id = start(client, "gated", *tasks)
        with client.stream("GET", f"/runs/{run_id}/events", params={"follow": True}) as stream:
            for record in records(stream):
                if record["type"] == "task.started":
                    (tmp_path / record["path"]).touch()
                    opened[record["path"]] = time.monotonic()
                if record["type"] == "task.completed":
                    took.append(time.monotonic() - opened[record["path"]])
    assert len(took) == len(ids)
    assert min(took) < POLL_SECONDS * 0.75, "the follower looked by itself, no hint came"


def records(stream: httpx2.Response) -> Iterator[dict[str, Any]]:
    said = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
    return (record for record in said if "type" in record)


def test_cancel_reaches_a_task_on_another_process(five: Five) -> None:
    with five.api.client() as client:
        run_id = start(client, "long", shell("sleep", "sleep 600"))
        until(lambda: client.get(f"/runs/{run_id}/tasks/sleep").json()["status"] == "running")
        assert client.post(f"/runs/{run_id}/cancel", json={}).status_code == 202
        assert wait_finished(client, run_id)["status"] == "cancelled"


def test_pause_and_resume_from_a_process_that_runs_nothing(five: Five, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with five.api.client() as client:
        run_id = start(
            client,
            "paused",
            shell("first", f"until test -e {gate}; do sleep 0.01; done"),
            {"id": "then", "type": "noop", "depends_on": ["first"]},
        )
        until(lambda: client.get(f"/runs/{run_id}/tasks/first").json()["status"] == "running")
        assert client.post(f"/runs/{run_id}/pause").status_code == 202
        until(lambda: status_of(client, run_id) == "paused")
        gate.touch()
        until(lambda: client.get(f"/runs/{run_id}/tasks/first").json()["status"] == "completed")
        assert status_of(client, run_id) == "paused"
        assert client.post(f"/runs/{run_id}/resume").status_code == 202
        assert wait_finished(client, run_id)["status"] == "completed"


def test_a_wish_for_many_runs_is_done_by_a_scheduler(five: Five) -> None:
    with five.api.client() as client:
        runs = [start(client, "many", shell("sleep", "sleep 600"))]
        runs += [start_again(client, "many") for _ in range(6)]
        until(lambda: all(client.get(f"/runs/{run_id}/tasks/sleep").json()["status"] == "running" for run_id in runs))
        operation = client.post("/runs/bulk", json={"action": "cancel", "filter": {"workflow": "many"}}).json()
        for run_id in runs:
            assert wait_finished(client, run_id)["status"] == "cancelled"
        until(lambda: client.get(f"/operations/{operation['id']}").json()["status"] == "completed")
        events = client.get(f"/runs/{runs[0]}/events").json()["items"]
    assert [event["type"] for event in events].count("run.cancel_requested") == 1


def test_what_is_to_be_archived_is_archived_whoever_is_asked_for_a_round(cluster: Cluster) -> None:
    api, _ = cluster.start("api", "worker", MILLRACE_RETENTION_RUNS="1s")
    with api.client() as client:
        run_id = start(client, "old", {"id": "a", "type": "noop"})
        wait_finished(client, run_id)
        asked = client.post("/retention/run", json={}).json()["round"]
        assert client.get("/retention").json()["current_round"]["id"] == asked["id"], "nobody is there who does it"
        cluster.start("scheduler", MILLRACE_RETENTION_RUNS="1s", MILLRACE_RETENTION_ARCHIVE="true")
        until(lambda: client.get("/retention").json()["current_round"] is None)
        until(
            lambda: client.post("/retention/run", json={}).json() and client.get(f"/runs/{run_id}").status_code == 404
        )
        assert client.get(f"/archive/runs/{run_id}").json()["id"] == run_id


def test_limits_hold_across_workers(five: Five, tmp_path: Path) -> None:
    """Each run holds its place until there is a file it can take away, which only one of them can."""

    def at_work() -> int:
        count: int = five.cluster.ask("select count(*) from attempts where status = 'running'")[0][0]
        assert count <= 2
        return count

    with five.api.client() as client:
        holds = shell("hold", f"until mv {tmp_path}/leave {tmp_path}/left-$$ 2>/dev/null; do sleep 0.01; done")
        runs = [start(client, "limited", holds, max_concurrent_runs=2)]
        runs += [start_again(client, "limited") for _ in range(7)]
        for ended in range(len(runs)):
            until(lambda ended=ended: at_work() == min(2, len(runs) - ended))
            (tmp_path / "leave").touch()
            until(lambda: not (tmp_path / "leave").exists())
            until(lambda ended=ended: [status_of(client, run_id) for run_id in runs].count("completed") == ended + 1)
