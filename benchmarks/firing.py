"""Schedules on a real `millrace up`: what many that wait cost, and how soon after their time 500 a second run.

    .venv/bin/python -m benchmarks.firing [--schedules N] [--each-second N] [--seconds N]

The delay of a firing runs from the time at which it is to start to the start of the run's first task, both by the wall
clock and both read from the database afterwards. First jitter spreads the firings over each second, as it is meant to;
then all of a second's are due in the same instant, which is the worst case: the last one waits for all the others.
"""

import argparse
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.server import SETTLE, Client, cpu_seconds, server
from benchmarks.table import figures_table
from benchmarks.workloads import Figures, Samples, percentile

WAITING = 100_000
"""Schedules that do not fire while anybody looks."""
EACH_SECOND = 500
"""Schedules that fire every second."""
TRIGGERS_OF_ONE = 100
"""How many of the waiting ones share a workflow; of those that fire each has its own."""
IDLE_OVER = 20.0
SECONDS = 30
"""How long they fire."""

DELAYS = """
select t.started_at - f.due_at - g.jitter_us
from firings f join triggers g on g.id = f.trigger_id join task_runs t on t.run_id = f.run_id
where f.decision = 'started' and t.started_at is not null and f.due_at > ? order by f.due_at
"""


def firing_figures(
    folder: Path, *, waiting: int = WAITING, each_second: int = EACH_SECOND, seconds: int = SECONDS
) -> Figures:
    home = folder / "firing"
    home.mkdir()
    with server(home, MILLRACE_APPLY_EXAMPLES="false") as (pid, port, _seconds):
        with closing(Client(port, home)) as client:
            for definition in quiet_workflows(waiting):
                deploy(client, definition)
        time.sleep(SETTLE)
        idle = cpu_percent(pid, IDLE_OVER)
        spread, busy = fired(home, pid, port, each_second, seconds, jitter="1s")
        burst, _ = fired(home, pid, port, each_second, seconds, jitter=None)
    return {
        "schedules_idle_cpu_percent": Samples((idle,)),
        "firing_cpu_percent": Samples((busy,)),
        "firing_delay_p50_ms": Samples((percentile(spread, 50),)),
        "firing_delay_p99_ms": Samples((percentile(spread, 99),)),
        "firing_burst_p50_ms": Samples((percentile(burst, 50),)),
        "firing_burst_p99_ms": Samples((percentile(burst, 99),)),
    }


def fired(
    home: Path, pid: int, port: int, each_second: int, seconds: int, *, jitter: str | None
) -> tuple[list[float], float]:
    """How late each was, in milliseconds, and what the server took meanwhile; then they are gone."""
    names = [f"fires-{number}" for number in range(each_second)]
    with closing(Client(port, home)) as client:
        for name in names:
            deploy(client, workflow(name, ["* * * * * *"], jitter))
    # What came due while the last ones were being deployed was late for that reason.
    time.sleep(SETTLE)
    begun = time.time_ns() // 1000
    busy = cpu_percent(pid, seconds)
    time.sleep(SETTLE)
    delays = [delay / 1000 for (delay,) in read(home, DELAYS, begun)]
    with closing(Client(port, home)) as client:
        for name in names:
            client.send("DELETE", f"/workflows/{name}")
    expected = each_second * (seconds - 1)
    if len(delays) < expected:
        raise RuntimeError(f"{len(delays)} runs were started by schedules, not {expected}")
    return delays, busy


def quiet_workflows(schedules: int) -> Iterator[dict[str, object]]:
    """Workflows whose schedules come due once in a year, each at a minute of its own."""
    for first in range(0, schedules, TRIGGERS_OF_ONE):
        numbers = range(first, min(first + TRIGGERS_OF_ONE, schedules))
        yield workflow(f"waits-{first}", [f"{n % 60} {n // 60 % 24} 29 2 *" for n in numbers])


def workflow(name: str, expressions: list[str], jitter: str | None = None) -> dict[str, object]:
    config = {} if jitter is None else {"jitter": jitter}
    triggers = [
        {"id": f"t{number}", "type": "cron", "config": {"expression": expression, **config}}
        for number, expression in enumerate(expressions)
    ]
    return {"name": name, "triggers": triggers, "tasks": [{"id": "only", "type": "noop"}]}


def deploy(client: Client, definition: dict[str, object]) -> None:
    client.send("POST", "/workflows", definition)


def cpu_percent(pid: int, seconds: float) -> float:
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 100


def read(home: Path, query: str, *values: int) -> list[tuple[int]]:
    with closing(sqlite3.connect(home / "millrace.db")) as connection:
        return connection.execute(query, values).fetchall()


def main(waiting: int, each_second: int, seconds: int) -> None:
    with scratch() as folder:
        figures = firing_figures(folder, waiting=waiting, each_second=each_second, seconds=seconds)
    print(figures_table(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.firing", description="Schedules that wait and fire.")
    parser.add_argument("--schedules", type=int, default=WAITING, metavar="N", help="how many wait")
    parser.add_argument("--each-second", type=int, default=EACH_SECOND, metavar="N", help="how many fire every second")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help="how long they fire")
    end_in_order_when_told()
    arguments = parser.parse_args()
    main(arguments.schedules, arguments.each_second, arguments.seconds)
