"""Workers that die or stand still around a task, and what others then make of it: each moment by itself.

The leases are short, so that the loss is noticed soon; what is promised does not depend on how long they are.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import httpx2
import pytest
from sqlalchemy import make_url

from tests.support.cluster import Cluster, database
from tests.support.own_server import own_server
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

pytestmark = pytest.mark.service("postgres")

SHORT = {"MILLRACE_WORKER_LEASE_SECONDS": "5"}
LINE = 'echo "$MILLRACE_ATTEMPT" >> {ledger}'


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """On a server of its own: so many processes take too many connections of the one that all tests share."""
    folder = tmp_path_factory.mktemp("lost")
    with own_server() as server, Cluster(folder, server.url, **SHORT) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(opened: Cluster) -> MillraceProcess:
    """Who answers and finds the dead; each test has workers of its own, on a queue of its own."""
    (answers,) = opened.start("up", MILLRACE_WORKER_QUEUES="nothing")
    return answers


@pytest.fixture
def cluster(opened: Cluster, api: MillraceProcess) -> Iterator[Cluster]:
    """For the workers of one test, which end with it."""
    with opened.interlude() as interlude:
        yield interlude


class Task:
    """A run whose only task tells the ledger of each of its starts."""

    def __init__(self, client: httpx2.Client, queue: str, ledger: Path, then: str = "", **fields: Any) -> None:
        command = f"{LINE.format(ledger=ledger)}; {then or 'true'}"
        task = {"id": "t", "type": "shell", "queue": queue, "config": {"command": command}, **fields}
        create_workflow(client, {"name": queue, "tasks": [task]})
        self._client, self._ledger = client, ledger
        self.id: str = client.post(f"/workflows/{queue}/execute", json={}).json()["id"]

    def wait_until_started(self, times: int = 1) -> None:
        until(lambda: self._ledger.exists() and len(self.starts()) >= times, within=60)

    def starts(self) -> list[str]:
        return self._ledger.read_text().split()

    def finished(self) -> dict[str, Any]:
        return wait_finished(self._client, self.id, within=60)

    def records(self) -> list[str]:
        return [record["type"] for record in self._client.get(f"/runs/{self.id}/events").json()["items"]]


def once(gate: Path) -> str:
    """The first start stays at work until it is ended; later ones are done at once."""
    return f"if mkdir {gate}; then while :; do sleep 0.1; done; fi"


def test_what_no_worker_has_claimed_is_done_by_the_next(cluster: Cluster, api: MillraceProcess, tmp_path: Path) -> None:
    with api.client() as client:
        task = Task(client, "before", tmp_path / "ledger")
        (brief,) = cluster.start("worker --queue elsewhere")
        brief.kill()
        cluster.start("worker --queue before")
        assert task.finished()["status"] == "completed"
        assert len(task.starts()) == task.records().count("task.started") == 1


def test_a_worker_that_dies_after_the_effect_and_before_its_report_leaves_it_to_be_done_again(
    cluster: Cluster, api: MillraceProcess, tmp_path: Path
) -> None:
    (first,) = cluster.start("worker --queue during")
    with api.client() as client:
        task = Task(client, "during", tmp_path / "ledger", once(tmp_path / "gate"))
        task.wait_until_started()
        first.kill()
        cluster.start("worker --queue during")
        run = task.finished()
        assert (run["status"], len(set(task.starts()))) == ("completed", 2), run
        records = task.records()
    assert (records.count("task.lost"), records.count("task.completed")) == (1, 1)


def test_a_task_that_must_not_start_twice_fails_when_its_worker_dies(
    cluster: Cluster, api: MillraceProcess, tmp_path: Path
) -> None:
    (first,) = cluster.start("worker --queue never")
    with api.client() as client:
        task = Task(client, "never", tmp_path / "ledger", once(tmp_path / "gate"), retry={"on_crash": False})
        task.wait_until_started()
        first.kill()
        cluster.start("worker --queue never")
        assert task.finished()["status"] == "failed"
        assert len(task.starts()) == 1
        assert client.get(f"/runs/{task.id}/tasks/t").json()["error"]["kind"] == "worker_lost"


def test_a_worker_that_dies_after_its_report_takes_nothing_along(
    cluster: Cluster, api: MillraceProcess, tmp_path: Path
) -> None:
    (first,) = cluster.start("worker --queue after")
    with api.client() as client:
        task = Task(client, "after", tmp_path / "ledger")
        assert task.finished()["status"] == "completed"
        first.kill()
        cluster.start("worker --queue after")
        until(lambda: incarnation_of(client, first) is None, within=60)
        assert len(task.starts()) == task.records().count("task.started") == 1


def test_a_worker_that_stood_still_longer_than_its_lease_gets_nothing_accepted(
    cluster: Cluster, api: MillraceProcess, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    (frozen,) = cluster.start("worker --queue frozen")
    with api.client() as client:
        task = Task(client, "frozen", tmp_path / "ledger", f"until test -e {go}; do sleep 0.05; done")
        task.wait_until_started()
        before = incarnation_of(client, frozen)
        frozen.signal(SIGSTOP)
        cluster.start("worker --queue frozen")
        task.wait_until_started(2)
        go.touch()
        assert task.finished()["status"] == "completed"
        told = task.records()
        frozen.signal(SIGCONT)
        until(lambda: incarnation_of(client, frozen) not in (None, before))
        assert task.records() == told, "the one that stood still changed what was decided without it"
        assert (told.count("task.lost"), told.count("task.completed")) == (1, 1)
        assert client.get("/doctor").json()["problems"] == []


def incarnation_of(client: httpx2.Client, worker: MillraceProcess) -> str | None:
    live = {item["pid"]: item["id"] for item in client.get("/workers").json()["items"]}
    return live.get(worker.pid)


class Line:
    """A way to the database that can fall silent: what is sent arrives nowhere, and nobody is told."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = threading.Event()
        self._open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listening.getsockname()[1]
        self._spawn(self._accept)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        """New connections get through; those that were cut stay so."""
        for end in list(self._ends):
            _shut(end)
        self._open.set()

    def close(self) -> None:
        _shut(self._listening)
        self._threads[0].join()
        self.mend()
        for thread in self._threads:
            thread.join()
        for end in (self._listening, *self._ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                self._spawn(self._carry, near, far)
                self._spawn(self._carry, far, near)

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self._open.wait()
                other.sendall(data)
        _shut(one)
        _shut(other)

    def _spawn(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def test_a_worker_that_is_cut_off_ends_its_task_before_others_take_it_and_comes_back(
    cluster: Cluster, api: MillraceProcess, tmp_path: Path
) -> None:
    address = make_url(cluster.url)
    alive = tmp_path / "alive"
    at_work = f"if mkdir {tmp_path / 'gate'}; then while :; do touch {alive}; sleep 0.05; done; fi; test ! -e {alive}"
    with ExitStack() as closes, api.client() as client:
        line = closes.enter_context(closing(Line(address.host or "127.0.0.1", address.port or 5432)))
        url = address.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)
        (cut_off,) = cluster.start("worker --queue cut", MILLRACE_DATABASE_URL=url)
        task = Task(client, "cut", tmp_path / "ledger", at_work)
        task.wait_until_started()
        before = incarnation_of(client, cut_off)
        line.cut()
        until(lambda: "ends its attempts before others take them" in cut_off.log.read_text())
        # That is said before the command is ended; until it is, it may touch the file once more.
        until(lambda: task.starts()[0] not in _environments())
        alive.unlink()
        cluster.start("worker --queue cut")
        run = task.finished()
        assert run["status"] == "completed", "the first start was still at work when the second began"
        line.mend()
        until(lambda: incarnation_of(client, cut_off) not in (None, before), within=60)
        assert task.records().count("task.lost") == 1


def test_everything_is_killed_at_once_and_goes_on_when_it_is_started_again(tmp_path: Path) -> None:
    with database() as url, Cluster(tmp_path, url, **SHORT) as cluster:
        everything = cluster.start("up", "worker")
        with everything[0].client() as client:
            task = Task(client, "all", tmp_path / "ledger", once(tmp_path / "gate"))
            task.wait_until_started()
        for process in everything:
            process.kill()
        for process in everything:
            process.spawn()
        for process in everything:
            process.wait_until_ready()
        with everything[0].client() as client:
            assert wait_finished(client, task.id, within=60)["status"] == "completed"
            assert len(task.starts()) == 2
            assert client.get("/doctor").json()["problems"] == []
        cluster_is_rid_of(task)


def cluster_is_rid_of(task: Task) -> None:
    """Of the first start, which nobody waits for any more, nothing runs on."""
    until(lambda: not any(token in _environments() for token in task.starts()), within=60)


def _environments() -> str:
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found.append(place.read_bytes().decode(errors="replace"))
    return "".join(found)
