"""The workloads and the way figures are taken, the same for Millrace and for every peer.

Standard library only: this module is imported in Millrace's environment and in that of the peers. README.md defines
the workloads in words; the numbers that appear there are the constants here.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

CHAIN_TASKS = 40
THROUGHPUT_RUNS = 200
THROUGHPUT_TASKS = 10
FAN_OUT_TASKS = 500
START_REPEATS = 20
PAUSE = 0.03
"""Seconds of quiet before each start latency is taken: the system shall be idle, not warm from the run before."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Repeated measurements of one figure."""

    values: tuple[float, ...]
    of: str = ""
    """What was measured, where that is not the same each time."""

    @property
    def median(self) -> float:
        return round(statistics.median(self.values), 3)

    def as_json(self) -> dict[str, float | str]:
        of = {"of": self.of} if self.of else {}
        return {
            **of,
            "median": self.median,
            "min": round(min(self.values), 3),
            "max": round(max(self.values), 3),
            "n": len(self.values),
        }


Figures = dict[str, Samples]
"""By name: `chain40_ms`, `throughput_tasks_s`, `fanout500_ms`, `start_ms`, and what else a system has to tell."""


def medians(figures: Figures) -> dict[str, float]:
    return {name: samples.median for name, samples in figures.items()}


def ranges(figures: Figures) -> dict[str, dict[str, float | str]]:
    return {name: samples.as_json() for name, samples in figures.items()}


class System(Protocol):
    """A peer, ready to work. Each method does one workload once and answers the seconds it took."""

    def chain(self) -> float: ...

    def throughput(self) -> float: ...

    def fan_out(self) -> float: ...

    def start(self) -> float:
        """From the start call to the first instruction of the first task."""
        ...


@dataclass(frozen=True, slots=True)
class Effort:
    """How often a workload is repeated: `repeats` times after a warm-up, fewer when `budget` seconds are over."""

    repeats: int = 5
    budget: float = 20.0
    runs: int = THROUGHPUT_RUNS
    """Runs of the throughput workload; a system that would need minutes for all of them is given fewer."""


def repeat(work: Callable[[], float], effort: Effort) -> Samples:
    """A warm-up, then the measurements, one at least; garbage of the one before is collected outside of them."""
    began = time.perf_counter()
    work()
    values: list[float] = []
    while not values or (len(values) < effort.repeats and time.perf_counter() - began < effort.budget):
        gc.collect()
        values.append(work())
    return Samples(tuple(values))


def quietly(work: Callable[[], float]) -> Callable[[], float]:
    def measure() -> float:
        time.sleep(PAUSE)
        return work()

    return measure


def percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[(len(values) - 1) * percent // 100]


def scaled(samples: Samples, scale: Callable[[float], float]) -> Samples:
    return Samples(tuple(scale(value) for value in samples.values))


def milliseconds(samples: Samples) -> Samples:
    return scaled(samples, lambda seconds: seconds * 1e3)


@dataclass(frozen=True, slots=True)
class PeerReport:
    """What a peer's script prints as its only line of JSON."""

    name: str
    durability: str
    figures: Figures
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, object]:
        return {
            **medians(self.figures),
            "name": self.name,
            "durability": self.durability,
            "notes": list(self.notes),
            "ranges": ranges(self.figures),
        }


def measure(system: System, effort: Effort) -> Figures:
    """The four workloads, one after the other."""
    tasks = effort.runs * THROUGHPUT_TASKS
    starts = Effort(max(effort.repeats, START_REPEATS), effort.budget)
    return {
        "chain40_ms": milliseconds(repeat(system.chain, effort)),
        "throughput_tasks_s": scaled(repeat(system.throughput, effort), lambda seconds: tasks / seconds),
        "fanout500_ms": milliseconds(repeat(system.fan_out, effort)),
        "start_ms": milliseconds(repeat(quietly(system.start), starts)),
    }


def exactly(values: Iterable[object], expected: int) -> None:
    """A benchmark that did less than it says is worse than none."""
    got = sum(1 for _ in values)
    if got != expected:
        raise RuntimeError(f"{got} results instead of {expected}")
