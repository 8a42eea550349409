"""`make simulate`: many seeds, as fast as the machine allows, or one seed with every step told.

make simulate SEEDS=1000            seeds 0 to 999, on every core
make simulate SEEDS=1000 FROM=5000  seeds 5000 to 5999
make simulate SEED=123              that seed alone, step by step
"""

import argparse
import gc
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice

from tests.simulation.simulating import simulate

AT_A_TIME = 25
"""Seeds that a process does before it tells how they went."""


@dataclass(frozen=True, slots=True)
class Part:
    """How some seeds went."""

    seeds: int = 0
    runs: int = 0
    commits: int = 0
    found: str | None = None


def simulated(seeds: Sequence[int]) -> Part:
    """Up to the first seed that finds something. The collector of cycles has little to find and much to look at."""
    gc.disable()
    runs = commits = 0
    try:
        for done, seed in enumerate(seeds):
            try:
                told = simulate(str(seed))
            except Exception as error:
                return Part(done, runs, commits, f"seed {seed}: {error}\nreplay it: make simulate SEED={seed}")
            runs, commits = runs + told.runs, commits + told.commits
    finally:
        gc.enable()
        gc.collect()
    return Part(len(seeds), runs, commits)


def many(first: int, count: int, jobs: int) -> int:
    began, done = time.monotonic(), Part()
    parts = (range(at, min(at + AT_A_TIME, first + count)) for at in range(first, first + count, AT_A_TIME))
    with ProcessPoolExecutor(jobs) as pool:
        for part in _answers(pool, parts, jobs):
            done = Part(done.seeds + part.seeds, done.runs + part.runs, done.commits + part.commits, part.found)
            _tell(done, time.monotonic() - began)
            if done.found is not None:
                pool.shutdown(cancel_futures=True)
                print(f"\n{done.found}")
                return 1
    print()
    return 0


def _answers(pool: ProcessPoolExecutor, parts: Iterator[range], jobs: int) -> Iterator[Part]:
    """As they come; never many more in hand than there are processes, so that the end comes soon after a find."""
    waiting: set[Future[Part]] = {pool.submit(simulated, part) for part in islice(parts, 2 * jobs)}
    while waiting:
        answer = next(as_completed(waiting))
        waiting.remove(answer)
        waiting |= {pool.submit(simulated, part) for part in islice(parts, 1)}
        yield answer.result()


def _tell(done: Part, seconds: float) -> None:
    rate = done.seeds / seconds
    print(
        f"\r{done.seeds} seeds, {done.runs} runs, {done.commits} commits in {seconds:.0f} s: "
        f"{rate:.1f} seeds/s, {60 * done.runs / seconds:.0f} runs/min ",
        end="" if sys.stdout.isatty() else "\n",
        flush=True,
    )


def one(seed: str) -> int:
    try:
        told = simulate(seed, tell=print)
    except Exception:
        traceback.print_exc()
        return 1
    print(
        f"seed {seed}: {told.runs} runs, {told.commits} commits, {told.deaths} deaths of processes, story {told.digest}"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description="The whole engine under faults, by seed.")
    parser.add_argument("--seed", help="this seed alone, with every step")
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    return one(asked.seed) if asked.seed is not None else many(asked.first, asked.seeds, asked.jobs)


if __name__ == "__main__":
    sys.exit(main())
