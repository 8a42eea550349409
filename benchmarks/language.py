"""What the definition language costs: a large loop, very many runs that wait, a large definition, a plain reference.

    .venv/bin/python -m benchmarks.language [--items N] [--waiting N] [--postgres]

Half of the runs that wait sleep, the other half waits for an event of its own. The time of a wake runs from the request
that publishes the event to the end of the wait, both by the wall clock.
"""

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import datetime

from benchmarks.firing import IDLE_OVER, cpu_percent
from benchmarks.lists import Place
from benchmarks.postgres_server import postgres_database
from benchmarks.processes import end_in_order_when_told, scratch
from benchmarks.server import FINISHED, SETTLE, Client, memory_mb, server
from benchmarks.table import POSTGRES_TARGETS, TARGETS, figures_table
from benchmarks.workloads import Figures, Samples, percentile
from millrace.core.values import JsonObject, JsonValue
from millrace.definition import compile_plan, validate
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.evaluator import Scope
from millrace.ports.runner import RunnerServices
from millrace.runners.registry import EntryPointRegistry
from millrace.triggers.registry import TRIGGER_TYPES

ITEMS = 10_000
LOOPS = 5
WAITING = 100_000
CLIENTS = 8
WAKES = 200
FIRST_LOOK = 0.02
"""Seconds."""
TASKS = 1_000
REFERENCES = 5_000

LOOP: JsonObject = {
    "name": "bench-loop",
    "tasks": [
        {
            "id": "each",
            "type": "foreach",
            "config": {"items": "{{ input.items }}", "output": None},
            "tasks": [{"id": "one", "type": "noop"}],
        }
    ],
    "output": {"count": "{{ tasks.each.output.count }}"},
}
SLEEPER: JsonObject = {
    "name": "bench-sleeper",
    "tasks": [{"id": "wait", "type": "sleep", "config": {"duration": "1d"}}],
}
WAITER: JsonObject = {
    "name": "bench-waiter",
    "tasks": [
        {"id": "wait", "type": "wait_for_event", "config": {"type": "bench.came", "key": "{{ input.key }}"}},
    ],
}


def loop_figures(pid: int, client: Client, items: int, *, loops: int = LOOPS) -> Figures:
    """How long a loop takes, from its request to its end, and what memory grows by."""
    client.send("POST", "/workflows", LOOP)
    time.sleep(SETTLE)
    idle, peak = memory_mb(pid), Peak(pid)
    with peak:
        seconds = tuple(loop_seconds(client, items) for _ in range(loops))
    return {"loop_s": Samples(seconds), "loop_memory_mb": Samples((peak.most - idle,))}


def loop_seconds(client: Client, items: int) -> float:
    began = time.monotonic()
    given = {"input": {"items": list(range(items))}}
    run = json.loads(client.send("POST", "/workflows/bench-loop/execute", given))
    while run["status"] not in FINISHED:
        time.sleep(0.02)
        run = json.loads(client.send("GET", f"/runs/{run['id']}"))
    if run["status"] != "completed" or run["output"] != {"count": items}:
        raise RuntimeError(f"the loop came to {run['status']}: {run['error'] or run['output']}")
    return time.monotonic() - began


class Peak(AbstractContextManager["Peak"]):
    """The most memory that a process takes while the block lasts, in megabytes, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peak":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, memory_mb(self._pid))


def waiting_figures(place: Place, pid: int, port: int, waiting: int) -> Figures:
    """What runs cost that wait, and how soon one goes on when what it waits for comes."""
    with closing(Client(port, place.home)) as client:
        client.send("POST", "/workflows", SLEEPER)
        client.send("POST", "/workflows", WAITER)
    waiters = start_many(place, port, waiting)
    time.sleep(SETTLE)
    memory, idle = memory_mb(pid), cpu_percent(pid, IDLE_OVER)
    # The server closes a connection that is silent for so long.
    with closing(Client(port, place.home)) as client:
        wakes = [wake_ms(client, key, run_id) for key, run_id in sorted(waiters.items())[:WAKES]]
    return {
        "waiting_memory_mb": Samples((memory,)),
        "waiting_idle_cpu_percent": Samples((idle,)),
        "wake_p50_ms": Samples((percentile(wakes, 50),)),
        "wake_p99_ms": Samples((percentile(wakes, 99),)),
    }


def start_many(place: Place, port: int, waiting: int) -> dict[int, str]:
    """By several callers at once, each with its own connection. Answers the runs that wait for an event, by key."""
    waiters: dict[int, str] = {}

    def start(numbers: range) -> None:
        with closing(Client(port, place.home)) as client:
            for number in numbers:
                client.send("POST", "/workflows/bench-sleeper/execute", {})
                given = {"input": {"key": str(number)}}
                run = json.loads(client.send("POST", "/workflows/bench-waiter/execute", given))
                waiters[number] = run["id"]

    with ThreadPoolExecutor(CLIENTS) as callers:
        list(callers.map(start, [range(first, waiting // 2, CLIENTS) for first in range(CLIENTS)]))
    return waiters


def wake_ms(client: Client, key: int, run_id: str) -> float:
    began = time.time()
    client.send("POST", "/events", {"type": "bench.came", "source": "benchmark", "subject": str(key)})
    # A look at once would be answered between the event and the end of the wait, and count with it.
    time.sleep(FIRST_LOOK)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        run = json.loads(client.send("GET", f"/runs/{run_id}"))
        if run["status"] in FINISHED:
            return (datetime.fromisoformat(run["finished_at"]).timestamp() - began) * 1000
        time.sleep(0.005)
    raise RuntimeError(f"the run that waits for {key} did not go on")


def definition_figures(tasks: int = TASKS) -> Figures:
    """Validating and compiling a definition of so many tasks, a tenth of them in loops and branches."""
    addresses = AddressPolicy()
    services = RunnerServices(
        http=GuardedHttpClient(addresses), addresses=addresses, sqlite_allowed_dirs=(), own_database=None
    )
    types = EntryPointRegistry(services).types()
    raw = large_definition(tasks)

    def both() -> None:
        compile_plan(validate(raw, task_types=types, trigger_types=TRIGGER_TYPES).definition)

    return {"definition_1000_ms": Samples(tuple(timed(both) * 1000 for _ in range(7)))}


def large_definition(tasks: int) -> JsonObject:
    listed: list[JsonValue] = []
    for number in range(tasks // 10):
        config: JsonObject = {"output": {"n": "{{ input.n + 1 }}", "of": "{{ item.id }}", "at": "{{ index }}"}}
        plain: list[JsonValue] = [
            {"id": f"t{number}_{one}", "type": "transform", "config": {"output": "{{ input.n * 2 }}"}}
            for one in range(7)
        ]
        inner: JsonObject = {"id": f"i{number}", "type": "transform", "config": config, "if": "{{ index > 0 }}"}
        loop: JsonObject = {
            "id": f"l{number}", "type": "foreach", "config": {"items": "{{ input.items }}"}, "tasks": [inner],
        }  # fmt: skip
        branch: JsonObject = {"id": f"c{number}", "type": "condition", "config": {"if": "{{ input.n > 1 }}"}}
        listed += [*plain, {**branch, "then": [loop]}]
    return {"name": "large", "tasks": listed}


def reference_figures() -> Figures:
    """A plain path, while other outputs take megabytes."""
    large: list[JsonValue] = [{"id": number, "text": "x" * 1_000} for number in range(5_000)]
    scope = Scope(tasks={"large": {"output": large}, "small": {"output": {"id": 7}}})
    evaluator = CelEvaluator()

    async def each() -> None:
        for _ in range(REFERENCES):
            await evaluator.render("{{ tasks.small.output.id }}", scope, place="benchmark")

    return {"reference_us": Samples(tuple(timed(lambda: asyncio.run(each())) / REFERENCES * 1e6 for _ in range(5)))}


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def language_figures(place: Place, *, items: int = ITEMS, waiting: int = WAITING) -> Figures:
    settings = {"MILLRACE_APPLY_EXAMPLES": "false", **place.settings}
    with server(place.home, **settings) as (pid, port, _seconds):
        with closing(Client(port, place.home, timeout=120)) as client:
            figures = loop_figures(pid, client, items)
        return {**figures, **waiting_figures(place, pid, port, waiting)}


def main(items: int, waiting: int, *, postgres: bool) -> None:
    with scratch() as folder, ExitStack() as closing_:
        home = folder / "language"
        home.mkdir()
        place = Place(home, closing_.enter_context(postgres_database())) if postgres else Place.on_sqlite(home)
        figures = {**definition_figures(), **reference_figures()} if not postgres else {}
        figures |= language_figures(place, items=items, waiting=waiting)
    print(figures_table(figures, POSTGRES_TARGETS if postgres else TARGETS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description="Loops, waits, definitions.")
    parser.add_argument("--items", type=int, default=ITEMS, metavar="N", help="of the loop")
    parser.add_argument("--waiting", type=int, default=WAITING, metavar="N", help="runs that sleep or wait")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    end_in_order_when_told()
    arguments = parser.parse_args()
    main(arguments.items, arguments.waiting, postgres=arguments.postgres)
