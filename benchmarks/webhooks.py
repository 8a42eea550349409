"""Webhooks on a real `millrace up`: how soon the first task runs, and how many a second are accepted durably.

    .venv/bin/python -m benchmarks.webhooks [--seconds N] [--connections N]

One process does everything: it takes the requests, commits the runs, and runs their one no-op task. An answer of 202
means that the run is in the database; afterwards they are counted there. The sender is another process, on the other
core.
"""

import argparse
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.load import Load, post, sent
from benchmarks.probe import OUTPUT
from benchmarks.processes import end_in_order_when_told, scratch, wait_until
from benchmarks.server import FINISHED, UP_WITH_PROBE, Client, cpu_seconds, server
from benchmarks.table import figures_table
from benchmarks.workloads import PAUSE, Figures, Samples, percentile

STARTS = 100
"""Webhooks that are sent one by one."""
SECONDS = 15.0
CONNECTIONS = 24
WARM_UP = 1.0
DRAINED_WITHIN = 120.0

BODY = json.dumps({"order": {"id": 1234, "total": 99.5, "currency": "EUR"}, "items": ["a", "b", "c"]}).encode()
ACCEPTED = 202
PATH = "/webhook/hooked"
WORKFLOW = {
    "name": "hooked",
    "triggers": [
        {"id": "hook", "type": "webhook", "config": {"path": "hooked"}, "input": {"order": "{{ trigger.body.order }}"}}
    ],
    "tasks": [{"id": "only", "type": "noop"}],
}


def webhook_figures(
    folder: Path, *, starts: int = STARTS, seconds: float = SECONDS, connections: int = CONNECTIONS
) -> Figures:
    home = folder / "webhooks"
    home.mkdir()
    with server(home, UP_WITH_PROBE, MILLRACE_APPLY_EXAMPLES="false") as (pid, port, _seconds):
        with closing(Client(port, home)) as client, closing(HTTPConnection("127.0.0.1", port)) as caller:
            client.send("POST", "/workflows", WORKFLOW)
            delays = [start_latency(client, caller) for _ in range(starts + 1)][1:]
        before = count(home, "select count(*) from runs")
        requests = each(post(PATH, BODY))
        warm = sent(port, requests, connections=connections, seconds=WARM_UP, expected=ACCEPTED)
        used = cpu_seconds(pid)
        load = sent(port, requests, connections=connections, seconds=seconds, expected=ACCEPTED)
        used = cpu_seconds(pid) - used
        confirm(home, before + len(warm.delays) + len(load.delays))
        wait_until(lambda: unfinished(home) == 0, within=DRAINED_WITHIN, what="the end of all runs", every=0.2)
    return {
        "webhook_start_ms": Samples(tuple(delay * 1e3 for delay in delays)),
        "webhooks_s": Samples((load.per_second,)),
        "webhook_cpu_ms": Samples((used * 1e3 / len(load.delays),)),
        **delay_figures(load),
    }


def delay_figures(load: Load) -> Figures:
    in_ms = [delay * 1e3 for delay in load.delays]
    return {f"webhook_p{percent}_ms": Samples((percentile(in_ms, percent),)) for percent in (50, 99)}


def each(request: bytes) -> Callable[[int], bytes]:
    return lambda _number: request


def start_latency(client: Client, caller: HTTPConnection) -> float:
    """From sending the request to the first instruction of the task, by the clock that both processes share."""
    time.sleep(PAUSE)
    began = time.monotonic()
    caller.request("POST", PATH, BODY, {"Content-Type": "application/json"})
    answer = caller.getresponse()
    run_id = json.loads(answer.read())["run_id"]
    while json.loads(client.send("GET", f"/runs/{run_id}"))["status"] not in FINISHED:
        time.sleep(PAUSE / 10)
    task = json.loads(client.send("GET", f"/runs/{run_id}/tasks"))["items"][0]
    ran_at: float = task["output"][OUTPUT]
    return ran_at - began


def confirm(home: Path, expected: int) -> None:
    """Every request that was answered is a run, and no other is."""
    there = count(home, "select count(*) from runs")
    if there != expected:
        raise RuntimeError(f"{expected} webhooks were accepted, and there are {there} runs")


def unfinished(home: Path) -> int:
    return count(home, "select count(*) from runs where finished_at is null")


def count(home: Path, query: str) -> int:
    with closing(sqlite3.connect(home / "millrace.db")) as connection:
        found: int = connection.execute(query).fetchone()[0]
    return found


def main(seconds: float, connections: int) -> None:
    with scratch() as folder:
        figures = webhook_figures(folder, seconds=seconds, connections=connections)
    print(figures_table(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description="Webhooks that start runs.")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="N", help="how long they are sent")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, metavar="N", help="how many send at a time")
    end_in_order_when_told()
    arguments = parser.parse_args()
    main(arguments.seconds, arguments.connections)
