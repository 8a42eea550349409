"""R3, X6: live streams of a real server. Whoever reconnects with the last number he has misses nothing, ever."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import MillraceProcess, create_workflow, wait_finished

COUNT = {
    "name": "count",
    "tasks": [
        {"id": "count", "type": "shell", "config": {"command": "for i in $(seq 1 60); do echo $i; sleep 0.02; done"}}
    ],
}
QUICK = {"name": "quick", "tasks": [{"id": name, "type": "noop"} for name in ("a", "b", "c")]}
FLOOD_LINES = 40_000
FLOOD = {"name": "flood", "tasks": [{"id": "flood", "type": "shell", "config": {"command": f"seq 1 {FLOOD_LINES}"}}]}
TOLD = {
    "name": "told",
    "tasks": [
        {"id": "first", "type": "noop"},
        {"id": "bad", "type": "shell", "retry": {"max_attempts": 2, "delay": "100ms"}, "config": {"command": "exit 7"}},
        {"id": "after", "type": "noop", "depends_on": ["bad"]},
        {"id": "never", "type": "noop", "depends_on": ["first"], "if": "{{ input.day == 'x' }}"},
    ],
}
HOLD = {"name": "hold", "tasks": [{"id": "hold", "type": "shell", "config": {"command": "echo held; sleep 600"}}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("streams") / "home") as process:
        with process.client() as client:
            for body in (COUNT, QUICK, FLOOD, HOLD, TOLD):
                create_workflow(client, body)
        yield process


class Reader:
    """One who follows: remembers the last id, and goes on from there on a new connection."""

    def __init__(self, server: MillraceProcess, path: str) -> None:
        self._server = server
        self._path = path
        self.last_id: str | None = None
        self.seen: list[dict[str, Any]] = []
        self.ended: dict[str, Any] | None = None

    def read(self, most: int | None = None, until_run: str | None = None) -> None:
        """Read `most` events, or to the end of the stream, or until `until_run` has completed; then hang up."""
        headers = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        count = 0
        with self._server.client() as client, client.stream("GET", self._path, headers=headers) as response:
            assert response.status_code == 200, response.read()
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    count += self._take(fields["event"], json.loads(fields["data"]))
                fields = {}
                last = self.seen[-1] if self.seen else {}
                done = last.get("run_id") == until_run and last.get("type") == "run.completed"
                if self.ended or count == most or (until_run is not None and done):
                    return

    def _take(self, event: str, data: dict[str, Any]) -> int:
        if event == "end":
            self.ended = data
            return 0
        assert event in ("record", "log"), data
        self.seen.append(data)
        return 1


def started(client: httpx2.Client, workflow: str) -> str:
    response = client.post(f"/workflows/{workflow}/execute", json={})
    assert response.status_code == 202, response.text
    run_id: str = response.json()["id"]
    return run_id


def test_a_log_is_followed_as_it_is_written(server: MillraceProcess) -> None:
    with server.client() as client:
        run_id = started(client, "count")
        reader = Reader(server, f"/runs/{run_id}/logs?follow=true")
        reader.read(most=3)
        assert client.get(f"/runs/{run_id}").json()["status"] == "running", "the lines came before the end"
        while reader.ended is None:
            reader.read(most=7)
    assert [line["text"] for line in reader.seen] == [str(number) for number in range(1, 61)]
    assert reader.ended == {"status": "completed"}


def test_tail_begins_with_the_last_lines_and_goes_on(server: MillraceProcess) -> None:
    with server.client() as client:
        run_id = started(client, "count")
        Reader(server, f"/runs/{run_id}/logs?follow=true").read(most=20)
        reader = Reader(server, f"/runs/{run_id}/logs?follow=true&tail=5")
        reader.read()
    numbers = [int(line["text"]) for line in reader.seen]
    assert numbers[0] > 1, "not from the beginning"
    assert numbers == list(range(numbers[0], 61))


def test_the_stream_of_all_runs_misses_nothing_between_connections(server: MillraceProcess) -> None:
    with server.client() as client:
        everything, of_one = Reader(server, "/stream"), Reader(server, "/workflows/quick/stream")
        everything.last_id = of_one.last_id = _now(server)
        runs: list[str] = []

        def busy() -> None:
            runs.extend(started(client, "count" if number % 10 == 0 else "quick") for number in range(40))

        worker = threading.Thread(target=busy)
        worker.start()
        for size in (1, 2, 3, 5, 7, 1, 11):
            everything.read(most=size)
        worker.join()
        for run_id in runs:
            wait_finished(client, run_id)
        last = client.post("/workflows/quick/execute", json={"wait": True}).json()["id"]
        runs.append(last)
        everything.read(until_run=last)
        of_one.read(until_run=last)
        expected = {run_id: client.get(f"/runs/{run_id}/events?limit=1000").json()["items"] for run_id in runs}
        quick = {item["id"] for item in client.get("/workflows/quick/runs?limit=200").json()["items"]}
    assert _by_run(everything) == {run_id: [one["seq"] for one in records] for run_id, records in expected.items()}
    assert set(_by_run(of_one)) == quick & set(runs)


def test_streams_are_resumed_after_the_server_was_killed(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home")
    try:
        server.start()
        with server.client() as client:
            for body in (QUICK, HOLD):
                create_workflow(client, body)
            everything = Reader(server, "/stream")
            everything.last_id = _now(server)
            first = client.post("/workflows/quick/execute", json={"wait": True}).json()["id"]
            everything.read(most=3)
            held = Reader(server, f"/runs/{started(client, 'hold')}/events?follow=true")
            held.read(most=2)
        server.kill()
        server.start()
        with server.client() as client:
            second = client.post("/workflows/quick/execute", json={"wait": True}).json()["id"]
            everything.read(until_run=second)
            run_id = held.seen[0]["data"] and client.get("/workflows/hold/runs").json()["items"][0]["id"]
            client.post(f"/runs/{run_id}/cancel")
            held.read()
            for run in (first, second):
                records = client.get(f"/runs/{run}/events").json()["items"]
                assert _by_run(everything)[run] == [record["seq"] for record in records]
            assert [one["seq"] for one in held.seen] == list(range(1, len(held.seen) + 1))
            assert "task.lost" in {one["type"] for one in held.seen}
        assert held.ended == {"status": "cancelled"}
    finally:
        server.stop()


def test_a_stop_ends_open_streams_at_once(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_STOP_SECONDS="0") as server:
        readers = [Reader(server, "/stream") for _ in range(5)]
        ended: list[Reader] = []
        threads = [threading.Thread(target=_read_to_the_end, args=(reader, ended)) for reader in readers]
        for thread in threads:
            thread.start()
        with server.client() as client:
            client.post("/workflows/fan-out/execute", json={"input": {"name": "Ada"}, "wait": True})
        until = time.monotonic() + 10
        while not all(reader.seen for reader in readers):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert server.stop() == 0
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()
        assert len(ended) == len(readers), "each stream came to its end, and none was cut off"
        log = server.log.read_text()
        assert "graceful shutdown exceeded" not in log, "the server had to wait for a stream until its time was up"
        assert "Traceback" not in log


def _read_to_the_end(reader: Reader, ended: list[Reader]) -> None:
    reader.read()
    ended.append(reader)


def test_lines_beyond_the_rate_are_counted_in_a_line(server: MillraceProcess) -> None:
    with server.client() as client:
        run_id = started(client, "flood")
        reader = Reader(server, f"/runs/{run_id}/logs?follow=true")
        reader.read()
    assert [line["seq"] for line in reader.seen] == list(range(1, len(reader.seen) + 1))
    notes = [line for line in reader.seen if line["level"] == "warning"]
    kept = [int(line["text"]) for line in reader.seen if line["level"] == "info"]
    assert notes, "more than the rate was logged"
    assert kept == sorted(kept)
    assert len(kept) + sum(int(note["text"].split()[0]) for note in notes) == FLOOD_LINES
    with server.client() as client:
        only = client.get(f"/runs/{run_id}/logs?level=warning").json()["items"]
    assert only == notes


def test_one_who_does_not_read_holds_up_nobody_and_can_go_on(server: MillraceProcess) -> None:
    with server.client() as client:
        run_id = client.post("/workflows/flood/execute", json={"wait": True}).json()["id"]
        before = _memory(server)
        stalled = [_stalled(server, f"/api/v1/runs/{run_id}/logs?follow=true") for _ in range(20)]
        try:
            Reader(server, f"/runs/{run_id}/logs?follow=true").read()
            assert client.post("/workflows/quick/execute", json={"wait": True}).json()["status"] == "completed"
            assert _memory(server) - before < 60 * 1024, "KiB for twenty who do not read"
            text = bytearray()
            while b"event: end" not in text[-200:]:
                more = stalled[0].recv(65536)
                assert more, text[-200:]
                text += more
            assert text.count(b"event: log") == client.get(f"/runs/{run_id}/logs?tail=1").json()["items"][0]["seq"]
        finally:
            for one in stalled:
                one.close()


def test_the_timeline_tells_attempts_waits_and_reasons(server: MillraceProcess) -> None:
    with server.client() as client:
        run = client.post("/workflows/told/execute", json={"wait": True, "input": {"day": "y"}}).json()
        story = client.get(f"/runs/{run['id']}/timeline").json()
    told = {task["path"]: task for task in story["tasks"]}
    assert (story["status"], story["complete"]) == ("failed", True)
    assert story["finished_at"] == run["finished_at"]
    assert story["notes"][0]["type"] == "run.created"
    assert [(one["number"], one["outcome"]) for one in told["first"]["attempts"]] == [(1, "completed")]
    assert told["first"]["attempts"][0]["worker"]
    first, second = told["bad"]["attempts"]
    assert (first["outcome"], second["outcome"], second["number"]) == ("failed", "failed", 2)
    assert "exit code 7" in first["error"]["message"]
    delay = next(wait for wait in told["bad"]["waits"] if wait["reason"] == "retry_delay")
    assert first["finished_at"] == delay["from"] < delay["available_at"] <= delay["until"] == second["started_at"]
    assert (told["after"]["outcome"], told["after"]["attempts"]) == ("skipped", [])
    assert told["never"]["outcome"] == "skipped"
    assert told["after"]["reason"] != told["never"]["reason"], "each says why"


def _by_run(reader: Reader) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in reader.seen:
        found.setdefault(record["run_id"], []).append(record["seq"])
    return found


def _now(server: MillraceProcess) -> str:
    """The position that a stream of all runs begins with."""
    with server.client() as client, client.stream("GET", "/stream") as response:
        for line in response.iter_lines():
            if line.startswith("id: "):
                return line.removeprefix("id: ")
    raise AssertionError("the stream told no position")


def _stalled(server: MillraceProcess, path: str) -> socket.socket:
    """A connection that asks for a stream and reads nothing."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {server.api_key.strip()}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def _memory(server: MillraceProcess) -> int:
    """KiB that the process has in memory."""
    with closing(Path(f"/proc/{server.pid}/status").open()) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
