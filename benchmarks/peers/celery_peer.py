"""Celery with Redis as broker and result backend: canvas `chain`, `group` and `chord`, one worker, two processes.

    python -m benchmarks.peers.celery_peer         (BENCH_REDIS_URL names a server, default redis://127.0.0.1:6379)

A Redis that answers there is used, in an empty database of its own; else `redis-server` is started for the time.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from benchmarks.processes import child, end_in_order_when_told, free_port, scratch, wait_until
from benchmarks.workloads import (
    CHAIN_TASKS,
    FAN_OUT_TASKS,
    THROUGHPUT_RUNS,
    THROUGHPUT_TASKS,
    Effort,
    PeerReport,
    exactly,
    measure,
)

SERVER_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379")
PROCESSES = 2
GIVE_UP = 60
"""Seconds that one workload may take."""


class CeleryPeer:
    def __init__(self) -> None:
        # The application reads the server's address when it is imported.
        from benchmarks.peers.celery_app import join, noop

        self._join = join
        self._noop = noop

    def chain(self) -> float:
        began = time.perf_counter()
        self._sequence(CHAIN_TASKS).apply_async().get(GIVE_UP)
        return time.perf_counter() - began

    def throughput(self) -> float:
        began = time.perf_counter()
        results = [self._sequence(THROUGHPUT_TASKS).apply_async() for _ in range(THROUGHPUT_RUNS)]
        exactly([result.get(GIVE_UP) for result in results], THROUGHPUT_RUNS)
        return time.perf_counter() - began

    def fan_out(self) -> float:
        from celery import chord

        began = time.perf_counter()
        joined = chord(self._noop.si() for _ in range(FAN_OUT_TASKS))(self._join.s()).get(GIVE_UP)
        elapsed = time.perf_counter() - began
        if joined != FAN_OUT_TASKS:
            raise RuntimeError(f"{joined} tasks joined instead of {FAN_OUT_TASKS}")
        return elapsed

    def start(self) -> float:
        began = time.monotonic()
        first_instruction: float = self._noop.delay().get(GIVE_UP)
        return first_instruction - began

    def _sequence(self, tasks: int):  # type: ignore[no-untyped-def]  # celery has no types
        from celery import chain

        return chain(*(self._noop.si() for _ in range(tasks)))


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a Redis that answers: the one there is, or one started for the time."""
    try:
        redis.Redis.from_url(SERVER_URL).ping()
    except redis.ConnectionError:
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit(f"no Redis answers at {SERVER_URL}, and there is no redis-server to start") from None
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        with child(command, {}, folder / "redis.log", own_group=False):
            yield f"redis://127.0.0.1:{port}"
    else:
        yield SERVER_URL


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """The address of a database with nothing in it; emptied again afterwards. Never one that holds anything."""
    for number in range(15, 0, -1):
        url = f"{server}/{number}"
        with redis.Redis.from_url(url) as database:
            if database.dbsize() == 0:
                try:
                    yield url
                finally:
                    database.flushdb()
                return
    raise SystemExit(f"every database of {server} holds something")


def durability(url: str) -> str:
    with redis.Redis.from_url(url, decode_responses=True) as server:
        settings = {name: server.config_get(name)[name] for name in ("appendonly", "save")}
    listed = ", ".join(f"{name}={value or '(never)'}" for name, value in settings.items())
    return f"Redis in memory, {listed}; task_acks_late"


@contextmanager
def worker(folder: Path) -> Iterator[None]:
    from benchmarks.peers.celery_app import app, noop

    command = [
        sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker",
        "--pool", "prefork", "--concurrency", str(PROCESSES), "--loglevel", "WARNING",
    ]  # fmt: skip
    with child(command, {"BENCH_REDIS_URL": os.environ["BENCH_REDIS_URL"]}, folder / "worker.log", own_group=False):
        wait_until(lambda: bool(app.control.ping(timeout=0.5)), within=30, what="the start of the Celery worker")
        noop.delay().get(GIVE_UP)
        yield
        app.close()


def main() -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(empty_database(stack.enter_context(redis_server(folder))))
        os.environ["BENCH_REDIS_URL"] = url
        stack.enter_context(worker(folder))
        figures = measure(CeleryPeer(), Effort(budget=25.0))
        notes = ("a chain's progress lives in its messages: nothing records which tasks of it have run",)
        report = PeerReport("Celery + Redis", durability(url), figures, notes)
    print(json.dumps(report.as_json()))


if __name__ == "__main__":
    end_in_order_when_told()
    main()
