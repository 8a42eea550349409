"""Prefect: async flows and tasks as decorated functions, a local server, flow runs in this process.

    python -m benchmarks.peers.prefect_peer sqlite
    python -m benchmarks.peers.prefect_peer postgres

Prefect reports task states to its server in the background; a flow call returns when the flow run is recorded. On
SQLite the server's own background writes make it refuse requests (503, database locked), which the client repeats
after a second or two, until it gives up: hence the large spread, and hence only two flows at once there. The
throughput workload is made of fewer runs (the figure is tasks per second), or it would take minutes. The fan-out is
`asyncio.gather`, which is faster here than `task.submit`.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.peers import postgres
from benchmarks.processes import child, end_in_order_when_told, free_port, scratch, wait_until
from benchmarks.workloads import (
    CHAIN_TASKS,
    FAN_OUT_TASKS,
    THROUGHPUT_TASKS,
    Effort,
    PeerReport,
    exactly,
    measure,
)

if TYPE_CHECKING:
    from benchmarks.peers import prefect_flows

REPEATS = 3


@dataclass(frozen=True, slots=True)
class Variant:
    runs: int
    """Runs of the throughput workload."""
    at_once: int
    """How many of them run side by side."""


VARIANTS = {"sqlite": Variant(10, 2), "postgres": Variant(20, 20)}
BACKGROUND = "task states sent in the background"
SQLITE_DURABILITY = f"SQLite, journal_mode=WAL, synchronous=NORMAL (set by Prefect); {BACKGROUND}"


class PrefectPeer:
    def __init__(self, flows: "type[prefect_flows.Flows]", variant: Variant, runner: asyncio.Runner) -> None:
        self._flows = flows
        self._variant = variant
        self._run = runner.run
        """One event loop for all, for with each new one Prefect signs in to its server again."""

    def chain(self) -> float:
        began = time.perf_counter()
        self._run(self._flows.sequence(CHAIN_TASKS))
        return time.perf_counter() - began

    def throughput(self) -> float:
        variant = self._variant
        turns = asyncio.Semaphore(variant.at_once)

        async def one() -> float:
            async with turns:
                first: float = await self._flows.sequence(THROUGHPUT_TASKS)
                return first

        async def run() -> float:
            began = time.perf_counter()
            exactly(await asyncio.gather(*(one() for _ in range(variant.runs))), variant.runs)
            return time.perf_counter() - began

        return self._run(run())

    def fan_out(self) -> float:
        began = time.perf_counter()
        joined = self._run(self._flows.fan_out(FAN_OUT_TASKS))
        elapsed = time.perf_counter() - began
        if joined != FAN_OUT_TASKS:
            raise RuntimeError(f"{joined} tasks joined instead of {FAN_OUT_TASKS}")
        return elapsed

    def start(self) -> float:
        began = time.perf_counter()
        first_instruction: float = self._run(self._flows.sequence(1))
        return first_instruction - began


@contextmanager
def server(folder: Path, database_url: str | None = None) -> Iterator[str]:
    """A Prefect server of its own; answers the address of its API."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    }
    if database_url is not None:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database_url
    os.environ.update(environment)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with child(command, environment, folder / "server.log", own_group=False):
        wait_until(lambda: answers(f"{url}/health"), within=60, what="the start of the Prefect server", every=0.2)
        os.environ["PREFECT_API_URL"] = url
        yield url


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:  # noqa: S310 - the address of the server started above
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def main(name: str) -> None:
    variant = VARIANTS[name]
    durability = SQLITE_DURABILITY
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = None
        if name == "postgres":
            durability = f"{postgres.durability()}; {BACKGROUND}"
            url = stack.enter_context(postgres.database("prefect")).replace("postgresql:", "postgresql+asyncpg:", 1)
        stack.enter_context(server(folder, url))
        # Prefect reads its settings when it is imported, so the flows come after the server's address is known.
        from benchmarks.peers.prefect_flows import Flows

        with asyncio.Runner() as runner:
            figures = measure(PrefectPeer(Flows, variant, runner), Effort(REPEATS, budget=20.0, runs=variant.runs))
    notes = (f"throughput with {variant.runs} runs, {variant.at_once} at once", f"at most {REPEATS} repetitions")
    print(json.dumps(PeerReport(f"Prefect ({name})", durability, figures, notes).as_json()))


if __name__ == "__main__":
    end_in_order_when_told()
    main(sys.argv[1])
