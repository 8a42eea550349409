"""Schedules on a real `millrace up`: what many that wait cost, and how soon after their time a hundred a second run.

    .venv/bin/python -m benchmarks.firing [--schedules N] [--seconds N]

The delay of a firing runs from the due time that the schedule names to the start of the run's first task, both by the
wall clock and both read from the database afterwards. All of a second's firings are due in the same instant, which is
the worst case: the last one waits for all the others.
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
from benchmarks.workloads import Figures, Samples

WAITING = 10_000
"""Schedules that do not fire while anybody looks."""
EACH_SECOND = 100
"""Schedules that fire every second."""
TRIGGERS_OF_ONE = 100
"""How many of the waiting ones share a workflow."""
IDLE_OVER = 20.0
SECONDS = 30
"""How long the hundred fire."""

DELAYS = """
select t.started_at - f.due_at from firings f join task_runs t on t.run_id = f.run_id
where f.decision = 'started' and t.started_at is not null and f.due_at > ? order by f.due_at
"""


def firing_figures(folder: Path, *, waiting: int = WAITING, seconds: int = SECONDS) -> Figures:
    home = folder / "firing"
    home.mkdir()
    with server(home, MILLRACE_APPLY_EXAMPLES="false") as (pid, port, _seconds):
        with closing(Client(port, home)) as client:
            for definition in quiet_workflows(waiting):
                deploy(client, definition)
        time.sleep(SETTLE)
        idle = cpu_percent(pid, IDLE_OVER)
        with closing(Client(port, home)) as client:
            for number in range(EACH_SECOND):
                deploy(client, workflow(f"fires-{number}", ["* * * * * *"]))
        deployed = time.time_ns() // 1000
        busy = cpu_percent(pid, seconds)
    delays = [delay / 1000 for (delay,) in read(home, DELAYS, deployed)]
    expected = EACH_SECOND * (seconds - 1)
    if len(delays) < expected:
        raise RuntimeError(f"{len(delays)} runs were started by schedules, not {expected}")
    ordered = sorted(delays)
    return {
        "schedules_idle_cpu_percent": Samples((idle,)),
        "firing_cpu_percent": Samples((busy,)),
        "firing_delay_p50_ms": Samples((ordered[len(ordered) // 2],)),
        "firing_delay_p99_ms": Samples((ordered[(len(ordered) - 1) * 99 // 100],)),
    }


def quiet_workflows(schedules: int) -> Iterator[dict[str, object]]:
    """Workflows whose schedules come due once in a year, each at a minute of its own."""
    for first in range(0, schedules, TRIGGERS_OF_ONE):
        numbers = range(first, min(first + TRIGGERS_OF_ONE, schedules))
        yield workflow(f"waits-{first}", [f"{n % 60} {n // 60 % 24} 29 2 *" for n in numbers])


def workflow(name: str, expressions: list[str]) -> dict[str, object]:
    triggers = [
        {"id": f"t{number}", "type": "cron", "config": {"expression": expression}}
        for number, expression in enumerate(expressions)
    ]
    return {"name": name, "triggers": triggers, "tasks": [{"id": "only", "type": "noop"}]}


def deploy(client: Client, definition: dict[str, object]) -> None:
    client.send("POST", "/workflows", definition)
    client.send("POST", f"/workflows/{definition['name']}/deploy", {})


def cpu_percent(pid: int, seconds: float) -> float:
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 100


def read(home: Path, query: str, *values: int) -> list[tuple[int]]:
    with closing(sqlite3.connect(home / "millrace.db")) as connection:
        return connection.execute(query, values).fetchall()


def main(waiting: int, seconds: int) -> None:
    with scratch() as folder:
        figures = firing_figures(folder, waiting=waiting, seconds=seconds)
    print(figures_table(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.firing", description="Schedules that wait and fire.")
    parser.add_argument("--schedules", type=int, default=WAITING, metavar="N", help="how many wait")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help="how long a hundred a second fire")
    end_in_order_when_told()
    arguments = parser.parse_args()
    main(arguments.schedules, arguments.seconds)
