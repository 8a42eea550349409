"""What a seed does to Millrace: its callers, its operators and its bad luck, and in the end what must have come of it.

Callers start runs and ask again under the same key until they are answered; they wait for ends, cancel, pause, resume,
retry and rerun. Processes die, stop, stand still; the clock jumps. After the trouble the world is left in peace, and
everything that was accepted must finish.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from millrace.app.runs.takeover import OldRun
from millrace.core.errors import Unavailable
from millrace.core.plan import Phase
from millrace.core.run import RunState
from millrace.core.states import FINISHED_RUN
from millrace.core.values import SECOND
from millrace.engine.cell import Started
from millrace.ports.store import NO_LIMIT, InboxItem, NewRun, RateLimit, StartKey, StoreUnavailable, WhenFull
from tests.simulation.children import NESTED, WORKFLOW
from tests.simulation.outsiders import Outsiders
from tests.simulation.plans import random_plan
from tests.simulation.process import LEASE, Process
from tests.simulation.world import Found, World

PEACE = 4_000 * SECOND
"""After the trouble everything must have finished within this time, which is far more than any plan needs."""
HOUR = 3_600 * SECOND
MOST_RETRIES = 12
EVERY = 4 * SECOND
FAILED = """
select id, version_id, root_run_id, status from runs r where status in ('failed', 'cancelled') and parent_run_id is null
  and not exists (select 1 from runs later where later.retry_of = r.id) order by id"""
PUT_RIGHT = 0.9
"""How often, of the times that the clock was set back, it is set right in the end."""


@dataclass(slots=True)
class Wanted:
    """A run that a caller wants, whatever happens to its requests."""

    new: NewRun
    answered: str | None = None
    refused: bool = False
    asking: int = 0


class Story:
    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = random.Random(f"story {world.seed}")
        self.wanted: list[Wanted] = []
        self.waiting = 0
        self.outsiders = Outsiders(world, self._process)
        self._nested = NESTED if self.chance.random() < 0.6 else (0.0,)
        """The shares of control tasks among those of its plans."""
        self._retries = MOST_RETRIES if world.stubborn else 0
        """How often somebody will yet retry what failed, and that again."""
        if world.stubborn:
            self._nested = NESTED[1:]
        self._begun = 0
        self._to_come = 0
        self._latest = 0
        """The latest that the wall clock has ever said after a jump."""
        self._doings: Mapping[str, Callable[[], None]] = {
            "die": self._die,
            "stop": self._stop,
            "stand still": self._stand_still,
            "jump": self._jump,
            "database away": self._database_away,
        }

    def tell(self) -> None:
        world = self.world
        for kind in world.weather.kinds:
            world.boot(kind)
        long = world.weather.trouble // SECOND
        self._expect(self.chance.choice([1, 2, 3, 5]), self._want_another, within=long // 2)
        self._expect(self.chance.randint(0, 10), self._control, within=long)
        self._expect(self.chance.randint(0, 3), self._repeat, within=long)
        self._expect(self.chance.randint(0, 12), self.outsiders.act, within=long)
        if self._retries:
            world.later(EVERY, self._retry_all)
        for act in world.weather.acts:
            self._expect(self.chance.randint(1, 3), self._doings[act], within=long)
        while world.steady < world.weather.trouble and (self._to_come or not self._is_over()):
            world.step()
        self._peace()

    def _expect(self, times: int, act: Callable[[], None], *, within: int) -> None:
        def happen() -> None:
            self._to_come -= 1
            act()

        for _ in range(times):
            self._to_come += 1
            self.world.later(self._soon(within), happen)

    def _peace(self) -> None:
        world = self.world
        world.quiet = True
        world.told("peace")
        world.clock.jump(max(0, self._latest - world.clock.now()))
        self._resume_all()
        self.outsiders.end_waits()
        while not self._is_over():
            if world.steady > world.weather.trouble + PEACE:
                raise Found(f"unfinished after all this time: {self._unfinished()}")
            world.step()

    def _is_over(self) -> bool:
        if self.waiting or any(one.answered is None and not one.refused for one in self.wanted):
            return False
        raw = self.world.database.raw
        inbox = raw.execute("select 1 from inbox limit 1").fetchone()
        to_retry = self._retries and raw.execute(FAILED).fetchone()
        return inbox is None and not to_retry and not self._unfinished()

    def _unfinished(self) -> list[str]:
        rows = self.world.database.raw.execute("select id from runs where finished_at is null").fetchall()
        return [row[0] for row in rows]

    def _soon(self, seconds: int) -> int:
        return self.chance.randint(0, seconds * 1_000) * SECOND // 1_000

    def _process(self) -> Process | None:
        return self.chance.choice(self.world.processes) if self.world.processes else None

    # --- callers ------------------------------------------------------------------------------------------------------

    def _want_another(self) -> None:
        self._begun += 1
        version_id = self.world.add_plan(random_plan(self.chance, self.world.workflows.names, nested=self._nested))
        self._want(self._of_limits(self._new_run(version_id, "caller", f"key {self._begun}")))

    def _new_run(self, version_id: str, namespace: str, key: str, scope: str = WORKFLOW) -> NewRun:
        now = self.world.clock.now()
        start_key = StartKey(namespace, scope, key, "request", now + 10**15)
        priority = self.chance.choice([0, 0, -3, 7])
        return NewRun("", WORKFLOW, version_id, now, priority=priority, start_key=start_key)

    def _of_limits(self, new: NewRun) -> NewRun:
        """The run, perhaps under a limit, a rate or to be started later."""
        if self.chance.random() < 0.2:
            new = replace(new, run_at=new.created_at + self._soon(30))
        match self.chance.choice(["", "", "one", "two", "rate", "both"]):
            case "one":
                when_full = self.chance.choice(list(WhenFull))
                return replace(new, admission_key="one", admission_limit=1, when_full=when_full)
            case "two":
                return replace(new, admission_key="two", admission_limit=2)
            case "rate":
                rate = RateLimit("rate", 2, 20 * SECOND)
                return replace(new, admission_key="rate", admission_limit=NO_LIMIT, rate_limit=rate)
            case "both":
                rate = RateLimit("slow rate", 1, 15 * SECOND)
                return replace(new, admission_key="two", admission_limit=2, rate_limit=rate)
            case _:
                return new

    def _want(self, new: NewRun) -> None:
        wanted = Wanted(new)
        self.wanted.append(wanted)
        for _ in range(self.chance.choice([1, 1, 1, 2])):
            self._start(wanted)

    def _start(self, wanted: Wanted) -> None:
        process = self._process()
        if process is None or process.stopping:
            self.world.later(SECOND, lambda: self._start(wanted))
            return
        world = self.world
        new = replace(wanted.new, id=world.ids.new(), created_at=world.clock.now())
        plan = world.plans.plans[new.version_id]
        world.told(process.name, "is asked to start", new.id, new.version_id, new.admission_key, new.adopted)
        number = int(new.version_id.removeprefix("version-"))
        call = process.engine.start(new, plan, workflow_name="simulated", version_number=number)
        process.ask(call).add_done_callback(lambda task: self._hear(wanted, process, task))

    def _hear(self, wanted: Wanted, process: Process, task: "asyncio.Task[Started]") -> None:
        """A caller that hears nothing, or that the outcome is unknown, asks again."""
        error = None if task.cancelled() else task.exception()
        if process.is_going or task.cancelled() or isinstance(error, Unavailable):
            self.world.later(self._soon(5), lambda: self._start(wanted))
            return
        if error is not None:
            wanted.refused = True
            self.world.problem(f"a start is answered with {error!r}")
            return
        started = task.result()
        if started.refused is not None:
            wanted.refused = wanted.refused or wanted.answered is None
            return
        if wanted.answered not in (None, started.run_id):
            self.world.problem(f"one key has started {wanted.answered} and {started.run_id}")
        if not started.same_request:
            self.world.problem(f"the key of {started.run_id} is taken for that of another request")
        wanted.answered = started.run_id
        if self.chance.random() < 0.3:
            self._wait(process, started.run_id)

    def _wait(self, process: Process, run_id: str) -> None:
        self.waiting += 1

        def answered(task: "asyncio.Task[RunState]") -> None:
            self.waiting -= 1
            error = None if task.cancelled() else task.exception()
            if task.cancelled() or process.is_going:
                return
            if error is not None:
                self.world.problem(f"who waited for {run_id} is told {error!r}")
                return
            row = self.world.database.raw.execute("select status from runs where id = ?", (run_id,)).fetchone()
            if task.result().status not in FINISHED_RUN or row != (task.result().status,):
                self.world.problem(f"who waited for {run_id} is told that it is {task.result().status}, not {row}")

        process.ask(process.engine.wait(run_id)).add_done_callback(answered)

    # --- control ------------------------------------------------------------------------------------------------------

    def _some_run(self, *, finished: bool) -> tuple[Any, ...] | None:
        rows = self.world.database.raw.execute(
            "select id, version_id, root_run_id, status from runs where (finished_at is not null) = ? order by id",
            (finished,),
        ).fetchall()
        return self.chance.choice(rows) if rows else None

    def _control(self) -> None:
        found = self._some_run(finished=False)
        if found is not None:
            kind = self.chance.choice(["cancel", "cancel", "pause", "pause", "resume", "resume"])
            self._post(found[0], kind, hand_over=self.chance.random() < 0.7)

    def _resume_all(self) -> None:
        paused = self.world.database.raw.execute("select id from runs where status = 'paused' order by id").fetchall()
        for (run_id,) in paused:
            self._post(run_id, "resume", hand_over=True)
        self.world.later(15 * SECOND, self._resume_all)

    def _post(self, run_id: str, kind: str, *, hand_over: bool) -> None:
        process = self._process()
        if process is None or process.stopping:
            return
        item = InboxItem(self.world.ids.new(), run_id, kind, {"by": "simulation"})
        self.world.told(process.name, "is asked to", kind, run_id)
        self.world.asked[run_id, kind] += 1

        async def post() -> None:
            try:
                accepted = await process.store.post([item])
            except StoreUnavailable:
                return
            for delay in (0.0, self.chance.choice([0.0, 0.01, 5.0])) if hand_over and item.id in accepted else ():
                await asyncio.sleep(delay)
                if not process.is_going:
                    process.engine.receive([item, item])

        process.ask(post())

    def _repeat(self) -> None:
        """Retry or rerun a finished run: a new one, linked, that takes over what need not be done again."""
        found = self._some_run(finished=True)
        if found is not None:
            self._repeat_run(*found)

    def _retry_all(self) -> None:
        for found in self.world.database.raw.execute(FAILED).fetchall():
            if self._retries and self.chance.random() < 0.7:
                self._retries -= 1
                self._repeat_run(*found)
        if self._retries:
            self.world.later(EVERY, self._retry_all)

    def _repeat_run(self, old_id: str, version_id: str, root: str, outcome: str) -> None:
        process = self._process()
        if process is None or process.stopping:
            return
        self._begun += 1
        new = self._new_run(version_id, "repeat", f"key {self._begun}", scope=old_id)
        new = replace(new, retry_of=old_id, root_run_id=root)
        new = self._of_limits(new) if self.chance.random() < 0.4 else new
        from_task = outcome == "completed" or self.chance.random() < 0.2

        async def repeat() -> None:
            try:
                old = await process.takeover.find(old_id)
                assert old is not None
                again = {self._start_in(old): "from here"} if from_task else {}
                self._want(await process.takeover.adopting(old, old.version, new, again=again))
            except StoreUnavailable:
                return

        process.ask(repeat())

    def _start_in(self, old: OldRun) -> str:
        """A task of the main part that a rerun of the run may begin with."""
        plan = old.version.plan
        within = sorted(path for path in old.tasks if plan.task_at(path).phase is Phase.MAIN)
        return self.chance.choice(within)

    # --- bad luck -----------------------------------------------------------------------------------------------------

    def _die(self) -> None:
        process = self._process()
        if process is not None:
            process.die("of", "a signal")

    def _stop(self) -> None:
        process = self._process()
        if process is not None and not process.stopping:
            self.world.told(process.name, "is to stop")
            process.stop()

    def _stand_still(self) -> None:
        process = self._process()
        if process is not None:
            length = self.chance.choice([LEASE // 3, LEASE, 2 * LEASE, 4 * LEASE])
            self.world.told(process.name, "stands still for", length // SECOND)
            process.still_until = self.world.steady + length
            self.world.later(length, lambda: None)

    def _jump(self) -> None:
        """In the end the clock is put right again, mostly; else what was to happen in an hour is waited for."""
        by = self.chance.choice([HOUR, -HOUR, 20 * SECOND, -20 * SECOND])
        self.world.told("the clock jumps by", by // SECOND)
        if self.chance.random() < PUT_RIGHT:
            self._latest = max(self._latest, self.world.clock.now())
        self.world.clock.jump(by)
        self._latest = max(self._latest, self.world.clock.now())

    def _database_away(self) -> None:
        self.world.away_until = self.world.steady + self._soon(25)
        self.world.told("the database is away until", self.world.away_until)
