"""A real `millrace up` in a process of its own: how soon it is ready, what it takes when idle, how it answers HTTP.

Requests are sent by `http.client` over one kept connection, so that the client costs as little as possible.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.definitions import SINGLE
from benchmarks.probe import OUTPUT
from benchmarks.processes import child, free_port, wait_until
from benchmarks.workloads import PAUSE, START_REPEATS, Effort, Figures, Samples, milliseconds, quietly, repeat, scaled

UP = (sys.executable, "-m", "millrace.cli.main", "up")
UP_WITH_PROBE = (sys.executable, "-m", "benchmarks.probe")
SETTLE = 3.0
"""Seconds of quiet before memory is read."""
IDLE_CPU_OVER = 10.0
READS = 500
READY_WITHIN = 30.0
FINISHED = {"completed", "failed", "cancelled"}


class Client:
    """One kept connection to the API, signed in with an API key, by default the installation's first one."""

    def __init__(self, port: int, home: Path, timeout: float = 30, *, key: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        key = (home / "api-key").read_text().strip() if key is None else key
        self._headers = {"X-API-Key": key, "Content-Type": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: object = None) -> bytes:
        text = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", text, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
        return answer


@contextmanager
def server(home: Path, command: tuple[str, ...] = UP, **settings: str) -> Iterator[tuple[int, int, float]]:
    """Start a server; answers its process id, its port, and the seconds from its spawn until it was ready.

    `settings` are variables of its environment.
    """
    port = free_port()
    environment = {
        "MILLRACE_HOME": str(home),
        "MILLRACE_PORT": str(port),
        "MILLRACE_DATABASE_URL": f"sqlite:///{home}/millrace.db",
        "MILLRACE_SQLITE_SYNCHRONOUS": "full",
        **settings,
    }
    log = home.parent / f"{home.name}.log"
    began = time.monotonic()
    with child(command, environment, log) as process:
        wait_until(lambda: is_ready(process, log, port), within=READY_WITHIN, what="the start of Millrace", every=0.01)
        yield process.pid, port, time.monotonic() - began


def is_ready(process: "subprocess.Popen[bytes]", log: Path, port: int) -> bool:
    """Raises `RuntimeError` with what the server printed if it has ended."""
    if process.poll() is not None:
        raise RuntimeError(f"Millrace ended with {process.returncode}:\n{log.read_text(errors='replace')}")
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False


def memory_mb(pid: int) -> float:
    """Resident memory of a process, as the kernel counts it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no resident memory")


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def life_figures(folder: Path, *, starts: int, with_cpu: bool) -> Figures:
    """First start and memory in a new home, then later starts in the same one."""
    home = folder / "home"
    home.mkdir()
    with server(home) as (pid, _port, first):
        time.sleep(SETTLE)
        figures = {"ready_first_s": Samples((first,)), "idle_rss_mb": Samples((memory_mb(pid),))}
        if with_cpu:
            before = cpu_seconds(pid)
            time.sleep(IDLE_CPU_OVER)
            used = (cpu_seconds(pid) - before) / IDLE_CPU_OVER
            figures["idle_cpu_percent"] = Samples((used * 100,))
    figures["ready_s"] = Samples(tuple(later_start(home) for _ in range(starts)))
    return figures


def later_start(home: Path, **settings: str) -> float:
    with server(home, **settings) as (_pid, _port, seconds):
        return seconds


def http_figures(folder: Path, effort: Effort) -> Figures:
    """Start latency over HTTP, and reads of one finished run over one connection."""
    home = folder / "http"
    home.mkdir()
    with server(home, UP_WITH_PROBE) as (_pid, port, _seconds), closing(Client(port, home)) as client:
        client.send("POST", "/workflows", SINGLE)
        starts = Effort(max(effort.repeats, START_REPEATS), effort.budget)
        latency = repeat(quietly(lambda: start_latency(client)), starts)
        run_id = json.loads(client.send("POST", f"/workflows/{SINGLE['name']}/execute", {}))["id"]
        reads = repeat(lambda: read_seconds(client, run_id), effort)
        return {"start_http_ms": milliseconds(latency), "reads_s": scaled(reads, lambda seconds: READS / seconds)}


def start_latency(client: Client) -> float:
    """From sending the request to the first instruction of the task, by the clock that both processes share."""
    began = time.monotonic()
    run = json.loads(client.send("POST", f"/workflows/{SINGLE['name']}/execute", {}))
    while json.loads(client.send("GET", f"/runs/{run['id']}"))["status"] not in FINISHED:
        time.sleep(PAUSE / 10)
    task = json.loads(client.send("GET", f"/runs/{run['id']}/tasks"))["items"][0]
    ran_at: float = task["output"][OUTPUT]
    return ran_at - began


def read_seconds(client: Client, run_id: str) -> float:
    began = time.perf_counter()
    for _ in range(READS):
        client.send("GET", f"/runs/{run_id}")
    return time.perf_counter() - began
