"""Everything that outlives a process: the database, the clock, the line between processes, and what is to come.

The world goes from one moment at which something happens to the next. Between them every process is at rest. One
generator of chance decides everything, so the same seed gives the same world, step by step.
"""

import hashlib
import heapq
import json
import logging
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count

from millrace.core.plan import Plan
from millrace.core.values import SECOND, Duration
from tests.simulation.caches import faults_of_caches
from tests.simulation.children import WORKFLOW, Version, Workflows
from tests.simulation.database import memory_database
from tests.simulation.executions import Executions
from tests.simulation.invariants import Invariants, RunStory
from tests.simulation.process import Kind, Process
from tests.simulation.weather import Weather
from tests.simulation.work import Shelf
from tests.support.clock import FakeClock

WRITES_BETWEEN_DOCTORS = 60
WRITES_BETWEEN_CACHES = 7


class Found(AssertionError):
    """Something happened that must not."""


class Numbers:
    """Ids in order of creation."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> str:
        return f"00000000-0000-7000-8000-{next(self._numbers):012d}"


class WrittenPlans:
    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}

    async def plan(self, version_id: str) -> Plan:
        return self.plans[version_id]

    async def version(self, version_id: str) -> Version:
        return Version(version_id, self.plans[version_id])


class World:
    def __init__(self, seed: str, weather: Weather, *, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.weather = weather
        self.chance = random.Random(f"world {seed}")
        self.clock = FakeClock()
        self.database = memory_database()
        self.database.empty(self.clock)
        self.ids = Numbers()
        self.plans = WrittenPlans()
        self.shelf = Shelf()
        self.executions = Executions(self)
        self.processes: list[Process] = []
        self.dead: list[Process] = []
        self.asked: Counter[tuple[str, str]] = Counter()
        """How often callers asked for what of which run."""
        self.quiet = False
        self.away_until = 0
        self.commits = self.deaths = 0
        self.steady = 0
        self.stubborn = random.Random(f"stubborn {seed}").random() < 0.4
        """Whether much fails, and is retried until it does not."""
        self.nested_versions = "[]"
        """Those whose plans have control tasks, as JSON."""
        self._nested: list[str] = []
        self._problems: list[str] = []
        self._coming: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._writes = 0
        self._digest = hashlib.blake2b(digest_size=8)
        self._tell = tell
        self._names = count(1)
        self._invariants = Invariants(self.database.raw, self)
        self.workflows = Workflows(self)

    # --- what is told -------------------------------------------------------------------------------------------------

    def told(self, *words: object) -> None:
        line = f"{self.steady / SECOND:12.6f} {' '.join(map(str, words))}"
        self._digest.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def problem(self, text: str) -> None:
        self.told("PROBLEM", text)
        self._problems.append(text)

    def require_no_problem(self) -> None:
        if self._problems:
            raise Found(f"at {self.steady / SECOND:.6f} s: {self._problems[0]}")

    # --- time ---------------------------------------------------------------------------------------------------------

    def later(self, delay: Duration, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (self.steady + delay, next(self._order), act))

    def step(self) -> None:
        """Go to the next moment at which something happens, and let it happen."""
        process, at = self._next_timer()
        if self._coming and self._coming[0][0] <= at:
            at, _, act = heapq.heappop(self._coming)
            self._advance_to(at)
            act()
            for one in self.processes:
                if not one.loop.is_at_rest:
                    self._come_to_rest(one)
        else:
            assert process is not None, "nothing will ever happen any more"
            self._advance_to(at)
            self._come_to_rest(process)
        self._bury_the_dead()
        self.require_no_problem()

    def _next_timer(self) -> tuple[Process | None, int]:
        found, earliest = None, 1 << 62
        for process in self.processes:
            due = process.loop.next_timer
            if due is not None:
                due = max(due, process.still_until)
                if due < earliest:
                    found, earliest = process, due
        return found, earliest

    def _advance_to(self, at: int) -> None:
        if at > self.steady:
            self.clock.advance(at - self.steady)
            self.steady = at

    def _come_to_rest(self, process: Process) -> None:
        if process.alive and process.still_until <= self.steady:
            process.come_to_rest()

    # --- processes ----------------------------------------------------------------------------------------------------

    def boot(self, kind: Kind) -> None:
        if self.weather.embedded and self.processes:
            return
        process = Process(self, f"{kind.role}{next(self._names)}", kind, embedded=self.weather.embedded)
        self.told("boot", process.name)
        self.processes.append(process)
        process.come_to_rest()

    def _bury_the_dead(self) -> None:
        while self.dead:
            process = self.dead.pop()
            self.processes.remove(process)
            process.bury()
            self.deaths += 1
            pause = self.chance.randint(0, 200 if self.quiet else 20_000) * SECOND // 1_000
            self.later(pause, lambda kind=process.kind: self.boot(kind))

    def end(self) -> None:
        for process in self.processes:
            process.alive = False
            process.bury()
        self.processes.clear()

    def broadcast(self, sender: Process, act: Callable[[Process], None]) -> None:
        """A message to all other processes. Each may be lost, doubled, or come late."""
        for process in self.processes:
            if process is sender or not process.alive:
                continue
            copies = 1
            if not self.quiet:
                copies = 0 if self.chance.random() < self.weather.lost_hints else self.chance.choice([1, 1, 1, 2])
            for _ in range(copies):
                late = not self.quiet and self.chance.random() < 0.1
                delay = self.chance.randint(1_000, 20 * SECOND if late else 5_000)
                self.later(delay, lambda to=process: to.loop.call_soon(act, to) if to.alive else None)

    # --- the line to the database -------------------------------------------------------------------------------------

    def latency(self) -> Duration:
        return 50 + int(self.chance.random() * self.weather.latency)

    def fate_of(self, process: Process, question: str, *, writes: bool) -> str:
        if question == "commit":
            self.commits += 1
            if self.commits == self.weather.crash_at:
                return self.weather.fates[0]
        if self.quiet:
            return ""
        if self.steady < self.away_until:
            return "away"
        if self.weather.crash_at is not None or self.chance.random() >= self.weather.share:
            return ""
        fate = self.chance.choice(self.weather.fates)
        return fate if writes or fate in ("away", "slow", "answer lost") else ""

    def written(self, process: Process, question: str) -> None:
        self._writes += 1
        self._invariants.check(thorough=self._writes % WRITES_BETWEEN_DOCTORS == 0)
        if self._writes % WRITES_BETWEEN_CACHES == 0:
            for one in self.processes:
                for fault in faults_of_caches(one, self.database.connection):
                    self.problem(fault)

    def examine(self) -> None:
        """Hold the end of the story to everything that was promised."""
        self._invariants.check_end()
        self.require_no_problem()

    @property
    def stories(self) -> Mapping[str, RunStory]:
        return self._invariants.stories

    def plan_of(self, run_id: str) -> Plan:
        return self.plans.plans[self._invariants.stories[run_id].version_id]

    def add_plan(self, plan: Plan) -> str:
        """Make the plan known under a version id, with the rows that the store joins."""
        number = len(self.plans.plans) + 1
        version_id = f"version-{number}"
        self.plans.plans[version_id] = plan
        if plan.has_controls:
            self._nested.append(version_id)
            self.nested_versions = json.dumps(self._nested)
        raw: sqlite3.Connection = self.database.raw
        raw.execute(
            "insert or ignore into workflows (id, name, slug, status, newest_version, created_at, updated_at) "
            "values (?, 'simulated', 'simulated', 'active', 1, 0, 0)",
            (WORKFLOW,),
        )
        raw.execute(
            "insert into workflow_versions (id, workflow_id, number, definition, content_hash, created_at) "
            "values (?, ?, ?, '{}', '', 0)",
            (version_id, WORKFLOW, number),
        )
        return version_id


class ErrorsAreProblems(logging.Handler):
    """What Millrace logs as an error is one, but for what the runners of the simulation raise on purpose."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "millrace.worker.attempt":
            error = f": {record.exc_info[1]!r}" if record.exc_info else ""
            self._world.problem(f"logged by {record.name}: {record.getMessage()}{error}")


@contextmanager
def errors_are_problems(world: World) -> Iterator[None]:
    ours, handler = logging.getLogger("millrace"), ErrorsAreProblems(world)
    before = ours.level, ours.propagate
    ours.addHandler(handler)
    ours.setLevel(logging.ERROR)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.level, ours.propagate = before
