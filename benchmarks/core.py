"""Day-one figure of the pure core: `python -m benchmarks.core`. No I/O: what an event costs before it is written.

A chain of 10 and a fan-out of 500 are the shapes of every day; ten thousand tasks are the largest. Each event is
applied on its own, which is the dearest way. Bar: 40 µs an event, and linear: a thousand times the tasks may cost at
most twice as much an event. The exit status says whether both are met.
"""

import gc
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass

from benchmarks.table import columns
from millrace.core.draft import Transition
from millrace.core.effects import ScheduleAttempt
from millrace.core.events import Admitted, AttemptCompleted
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.run import created
from millrace.core.states import RunStatus
from millrace.core.transition import apply

MAX_EVENT_US = 40.0
MAX_GROWTH = 2.0
EVENTS = 20_000
"""Each shape is run until about so many events were applied, at least three times."""


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    events: int
    event_us: float


def chain(length: int) -> Plan:
    return plan_of({f"t{i}": (f"t{i - 1}",) if i else () for i in range(length)})


def fan_out(width: int) -> Plan:
    """One task, `width` tasks after it, and one that joins them."""
    middle = tuple(f"t{i}" for i in range(width))
    return plan_of({"first": (), **dict.fromkeys(middle, ("first",)), "last": middle})


def plan_of(needs: dict[str, tuple[str, ...]]) -> Plan:
    dependents: dict[str, list[str]] = {path: [] for path in needs}
    for path, predecessors in needs.items():
        for predecessor in predecessors:
            dependents[predecessor].append(path)
    tasks = {
        path: TaskPlan(path, "noop", Phase.MAIN, needs=needs[path], dependents=tuple(dependents[path]))
        for path in needs
    }
    return Plan(tasks=tasks, phases={Phase.MAIN: tuple(needs)})


def measure(name: str, plan: Plan) -> Figure:
    events = len(plan.tasks) + 1
    run_to_its_end(plan)
    repeats = max(3, EVENTS // events)
    gc.collect()
    seconds = statistics.median(run_to_its_end(plan) for _ in range(repeats))
    return Figure(name, events, seconds / events * 1e6)


def run_to_its_end(plan: Plan) -> float:
    """Seconds from the admission of a run to its end, every attempt completed in the order it was scheduled."""
    run = created(plan, "run")
    waiting: deque[ScheduleAttempt] = deque()

    def take(transition: Transition) -> None:
        waiting.extend(effect for effect in transition.effects if isinstance(effect, ScheduleAttempt))

    began = time.perf_counter()
    transition = apply(plan, run, Admitted(), 0)
    take(transition)
    while waiting:
        attempt = waiting.popleft()
        transition = apply(plan, transition.run, AttemptCompleted(attempt.path, attempt.number), 0)
        take(transition)
    took = time.perf_counter() - began
    if transition.run.status is not RunStatus.COMPLETED:
        raise AssertionError(f"the run ended {transition.run.status}")
    return took


def main() -> None:
    figures = [
        measure("chain of 10", chain(10)),
        measure("chain of 10,000", chain(10_000)),
        measure("fan-out of 500", fan_out(500)),
        measure("fan-out of 10,000", fan_out(10_000)),
    ]
    rows = [("", "events", "µs an event"), *((f.name, f"{f.events:,}", f"{f.event_us:.1f}") for f in figures)]
    print(columns(rows))
    slowest = max(figure.event_us for figure in figures)
    growth = max(large.event_us / small.event_us for small, large in (figures[:2], figures[2:]))
    met = slowest <= MAX_EVENT_US and growth <= MAX_GROWTH
    print(f"slowest {slowest:.1f} µs (bar {MAX_EVENT_US:g}), growth {growth:.2f} (bar {MAX_GROWTH:g})")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
