"""Day-one figure of the pure core: `python -m benchmarks.core`. No I/O: what an event costs before it is written.

A chain of 10, a fan-out of 500 and a loop over 1,000 items are the shapes of every day; ten thousand tasks are the
largest. Each event is applied on its own, which is the dearest way. Bar: 40 µs an event, and linear: ten, twenty or a
thousand times the tasks may cost at most twice as much an event. The exit status says whether both are met.

Measured is the time of the processor, since the core does nothing but compute: what else runs there is not its doing.
"""

import gc
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass

from benchmarks.table import columns
from millrace.core.controls import TASKS, ForEach
from millrace.core.counting import created
from millrace.core.draft import Draft, Transition
from millrace.core.effects import Question, ScheduleAttempt
from millrace.core.events import Admitted, AttemptCompleted, Evaluated, Event
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.run import RunState
from millrace.core.states import RunStatus
from millrace.core.transition import fold

MAX_EVENT_US = 40.0
MAX_GROWTH = 2.0
AT_ONCE = 100
"""Iterations of a loop that run at the same time."""
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


def loop(items: int) -> Plan:
    """One task for each of so many items."""
    each = TaskPlan("each", "foreach", Phase.MAIN, control=ForEach(items, AT_ONCE), blocks={TASKS: ("task",)})
    task = TaskPlan("task", "noop", Phase.MAIN, parent="each", loops=("each",))
    return Plan(tasks={"each": each, "task": task}, phases={Phase.MAIN: ("each",)})


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


def measure(name: str, plan: Plan, events: int) -> Figure:
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

    began = time.process_time()
    transition = applied(plan, run, Admitted())
    take(transition)
    while waiting:
        attempt = waiting.popleft()
        transition = applied(plan, transition.run, AttemptCompleted(attempt.path, attempt.number))
        take(transition)
    took = time.process_time() - began
    if transition.run.status is not RunStatus.COMPLETED:
        raise AssertionError(f"the run ended {transition.run.status}")
    return took


def applied(plan: Plan, run: RunState, event: Event) -> Transition:
    """An event by itself, and what is asked because of it: how many items a loop has, and what it came to."""
    draft = Draft(plan, run, 0)
    fold(draft, event)
    while draft.questions:
        path, question = next(iter(draft.questions.items()))
        fold(draft, Evaluated(path, question.template if question.what is Question.ITEMS else []))
    return draft.close()


def main() -> None:
    figures = [
        measure("chain of 10", chain(10), 11),
        measure("chain of 10,000", chain(10_000), 10_001),
        measure("fan-out of 500", fan_out(500), 503),
        measure("fan-out of 10,000", fan_out(10_000), 10_003),
        measure("loop over 1,000", loop(1_000), 1_001),
        measure("loop over 10,000", loop(10_000), 10_001),
    ]
    rows = [("", "events", "µs an event"), *((f.name, f"{f.events:,}", f"{f.event_us:.1f}") for f in figures)]
    print(columns(rows))
    slowest = max(figure.event_us for figure in figures)
    growth = max(large.event_us / small.event_us for small, large in (figures[:2], figures[2:4], figures[4:]))
    met = slowest <= MAX_EVENT_US and growth <= MAX_GROWTH
    print(f"slowest {slowest:.1f} µs (bar {MAX_EVENT_US:g}), growth {growth:.2f} (bar {MAX_GROWTH:g})")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
