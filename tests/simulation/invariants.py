"""What must hold after every single write, asked of the database and of what really happened.

It knows tables and the names of records, and nothing of the code that wrote them. Histories are read as they grow; what
was final once is remembered and must stay as it was.
"""

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace.core.values import SECOND
from millrace.storage.doctor import CHECKS, examine
from tests.simulation.going_on import GoingOn
from tests.simulation.nesting import NestingChecks
from tests.simulation.process import TYPE_LIMITS

if TYPE_CHECKING:
    from tests.simulation.world import World

FINISHED = frozenset({"completed", "failed", "cancelled", "skipped", "lost"})
ENDS = {"run.completed", "run.failed", "run.cancelled"}
WISHES = {"run.paused": "pause", "run.resumed": "resume"}
TASK_ENDS = {"task.completed", "task.failed", "task.skipped", "task.cancelled"}
ENDS_OF_ATTEMPTS = TASK_ENDS | {"task.lost", "task.stopped", "task.retrying", "task.withdrawn"}
ONCE = {"task.entered", "task.waiting", "task.child_started", "task.decided"}
AFTERWARDS = {"task.failed", "task.cancelled"}
AMBIGUOUS = {"task.lost", "task.stopped"}
"""After these an attempt may have done something that nobody knows of."""

RUNS = """
select r.id, r.status, r.finished_at, r.last_seq, r.version_id, r.cancels, r.admission_key,
  case when p.cancels > 1 then p.cancels else 0 end
from runs r left join runs p on p.id = r.parent_run_id"""
TASKS = "select run_id, path, status, finished_at, attempt, failures, crashes, output from task_runs"
ATTEMPTS = "select run_id, path, number, status, finished_at, token, limit_key, limit_size, type_key from attempts"
RECORDS = "select seq, type, path, data from records where run_id = ? and seq > ? order by seq"
LOGS = """
select r.id, r.last_log, count(l.seq), coalesce(max(l.seq), 0) from runs r left join logs l on l.run_id = r.id
group by r.id"""
NOT_ADOPTED = "select path from task_runs where run_id = ? and adopted_from is null"
ENTERED = "select path, block from task_runs where run_id = ? and adopted_from is null"
RATED = """
select rate_key, rate_limit, rate_period_us, admitted_at from runs
where rate_key is not null and admitted_at is not null order by rate_key, admitted_at"""
MOVERLESS = """
select id, status from runs r where finished_at is null and status <> 'paused'
  and not (status = 'pending' and admission_key is not null and admitted_at is null)
  and not exists (select 1 from attempts a where a.run_id = r.id and a.finished_at is null)
  and not exists (select 1 from timers t where t.run_id = r.id)
  and not exists (select 1 from waits w where w.run_id = r.id)
  and not exists (select 1 from inbox i where i.run_id = r.id)"""
LOST_EARLY = "select id from incarnations where lost_at <= lease_until"
CROWDED = """
select admission_key, count(*) from runs
where admission_key is not null and admitted_at is not null and finished_at is null
group by admission_key having count(*) > max(admission_limit)"""

CLOCK_SET_BACK = "rate_limit_far_ahead"
"""What the doctor says of a clock that was set back, which is true, and nobody's fault."""


@dataclass(slots=True)
class TaskStory:
    """One task in one run, as its history has told it so far."""

    live: int | None = None
    number: int = 0
    """Of its latest attempt."""
    ambiguous: bool = False
    ended: str | None = None
    once: set[str] = field(default_factory=set)
    """What has been told of it that happens once."""


@dataclass(slots=True)
class RunStory:
    version_id: str
    seq: int = 0
    ended: str | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    """How often its history tells of what concerns the run itself."""
    tasks: dict[str, TaskStory] = field(default_factory=dict)


class Invariants:
    def __init__(self, raw: sqlite3.Connection, world: "World") -> None:
        self._raw = raw
        self._world = world
        self._nesting = NestingChecks(raw, world)
        self._going_on = GoingOn(raw, world)
        self._final: dict[tuple[str, ...], tuple[Any, ...]] = {}
        self.stories: dict[str, RunStory] = {}

    def check(self, *, thorough: bool = False) -> None:
        ended = self._check_runs()
        self._check_attempts(ended)
        self._check_tasks(ended)
        for run_id, status in self._raw.execute(MOVERLESS):
            self._wrong(f"run {run_id} is {status}, and nothing will ever move it")
        for key, many in self._raw.execute(CROWDED):
            self._wrong(f"{many} runs are admitted under {key}")
        # One process after another takes over at once, and where the clock jumps leases end early.
        if not self._world.weather.embedded and "jump" not in self._world.weather.acts:
            for (incarnation_id,) in self._raw.execute(LOST_EARLY):
                self._wrong(f"the worker {incarnation_id} is taken for lost, and its lease is not over")
        for fault in (*self._nesting.faults(), *self._going_on.faults()):
            self._wrong(fault)
        if thorough:
            self._ask_the_doctor(lasting=False)

    def check_end(self) -> None:
        self.check()
        for run_id, story in self.stories.items():
            if story.ended is None:
                self._wrong(f"run {run_id} never ended")
            for (path,) in self._raw.execute(NOT_ADOPTED, (run_id,)):
                if path not in story.tasks or story.tasks[path].ended is None:
                    self._wrong(f"the history of {run_id} does not say how {path} ended")
            for path, block in self._raw.execute(ENTERED, (run_id,)):
                if (block is None) == ("task.entered" in story.tasks[path].once):
                    self._wrong(f"{path} of {run_id} has entered {block}, and its history does not say so")
        self._check_logs()
        if "jump" not in self._world.weather.acts:
            self._check_rates()
        self._world.clock.advance(120 * SECOND)
        self._ask_the_doctor(lasting=True)

    def _wrong(self, what: str) -> None:
        self._world.problem(what)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _check_runs(self) -> set[str]:
        """The runs that have ended, by their rows."""
        ended: set[str] = set()
        rows = self._raw.execute(RUNS).fetchall()
        if len(rows) < len(self.stories):
            self._wrong(f"a run is lost: {self.stories.keys() - {row[0] for row in rows}}")
        for run_id, status, finished_at, last_seq, version_id, cancels, admission_key, hurried in rows:
            story = self.stories.get(run_id)
            if story is None:
                story = self.stories[run_id] = RunStory(version_id)
            if last_seq != story.seq:
                self._read_on(run_id, story, last_seq)
            # Who is in the way of another under a limit is asked to go once, whatever callers ask. That its parent ends
            # it does not count until the parent itself is cancelled again.
            others = (admission_key == "one") + hurried
            if cancels > self._world.asked[run_id, "cancel"] + others:
                self._wrong(f"run {run_id} was cancelled {cancels} times, which is more often than anybody asked for")
            if (finished_at is not None) != (status in FINISHED):
                self._wrong(f"run {run_id} is {status}, finished at {finished_at}")
            if finished_at is not None:
                ended.add(run_id)
                self._stays(("run", run_id), (status, finished_at, last_seq))
                if story.ended != f"run.{status}":
                    self._wrong(f"run {run_id} is {status}, and its history says {story.ended}")
            elif story.ended is not None:
                self._wrong(f"the history of {run_id} says {story.ended}, but it is {status}")
        return ended

    def _check_attempts(self, ended: set[str]) -> None:
        live: set[tuple[str, str]] = set()
        running: Counter[tuple[str, int]] = Counter()
        for run_id, path, number, status, finished_at, token, key, size, type_key in self._raw.execute(ATTEMPTS):
            if finished_at is not None:
                self._stays((run_id, path, str(number)), (status, finished_at, token))
                continue
            if status in FINISHED:
                self._wrong(f"attempt {number} of {run_id} {path} is {status} and not finished")
            if (run_id, path) in live:
                self._wrong(f"two attempts of {run_id} {path} are live")
            if run_id in ended:
                self._wrong(f"{run_id} has ended, and attempt {number} of {path} is {status}")
            live.add((run_id, path))
            if status == "running" and key is not None:
                running[key, size] += 1
            if status == "running" and type_key is not None:
                running[type_key, TYPE_LIMITS[type_key]] += 1
        for (key, size), many in running.items():
            if many > size:
                self._wrong(f"{many} attempts run under {key}, and {size} may")

    def _check_tasks(self, ended: set[str]) -> None:
        for run_id, path, status, finished_at, *rest in self._raw.execute(TASKS):
            if (finished_at is not None) != (status in FINISHED):
                self._wrong(f"task {run_id} {path} is {status}, finished at {finished_at}")
            if finished_at is not None:
                self._stays((run_id, path), (status, finished_at, *rest))
            elif run_id in ended:
                self._wrong(f"run {run_id} has ended, and its task {path} is {status}")

    def _stays(self, key: tuple[str, ...], row: tuple[Any, ...]) -> None:
        before = self._final.setdefault(key, row)
        if before != row:
            self._wrong(f"{key} was final as {before} and is {row} now")

    def _check_logs(self) -> None:
        for run_id, last, many, highest in self._raw.execute(LOGS):
            if not last == many == highest:
                self._wrong(f"the log of {run_id} should end at {last} and has {many} lines up to {highest}")

    def _check_rates(self) -> None:
        """Of a rate, fewer than twice its limit are admitted within any one period."""
        rated = self._raw.execute(RATED).fetchall()
        for key, limit, period, began in rated:
            within = sum(other == key and began <= at < began + period for other, _, _, at in rated)
            if within >= 2 * limit:
                self._wrong(f"{within} runs were admitted under {key} within one period")

    def _ask_the_doctor(self, *, lasting: bool) -> None:
        """`lasting`: also for what the engine would have cleared up by itself within a minute."""
        if lasting:
            problems: Any = examine(self._world.database.connection)["problems"]
            found = [(problem["code"], problem["run_id"], problem["message"]) for problem in problems]
        else:
            checks = [check for check in CHECKS if ":patience" not in check.query]
            found = [(check.code, *row) for check in checks for row in self._raw.execute(check.query).fetchall()]
        for problem in found:
            if problem[0] != CLOCK_SET_BACK:
                self._wrong(f"the doctor says {problem}")

    # --- histories ----------------------------------------------------------------------------------------------------

    def _read_on(self, run_id: str, story: RunStory, last_seq: int) -> None:
        for seq, kind, path, data in self._raw.execute(RECORDS, (run_id, story.seq)).fetchall():
            if seq != story.seq + 1:
                self._wrong(f"the history of {run_id} goes from {story.seq} to {seq}")
            story.seq = seq
            if (kind == "run.created") != (seq == 1):
                self._wrong(f"the history of {run_id} has {kind} at {seq}")
            if path is None:
                self._of_run(run_id, story, kind)
            else:
                self._of_task(run_id, story, kind, path, json.loads(data) if data else {})
        if story.seq != last_seq:
            self._wrong(f"the history of {run_id} ends at {story.seq}, and should at {last_seq}")

    def _of_run(self, run_id: str, story: RunStory, kind: str) -> None:
        story.kinds[kind] += 1
        wish = WISHES.get(kind)
        if wish is not None and story.kinds[kind] > self._world.asked[run_id, wish]:
            self._wrong(f"{kind} of {run_id} is told more often than anybody asked for it")
        if kind in ENDS:
            if story.ended is not None:
                self._wrong(f"run {run_id} ended twice: {story.ended}, {kind}")
            story.ended = kind

    def _of_task(self, run_id: str, story: RunStory, kind: str, path: str, data: dict[str, Any]) -> None:
        task = story.tasks.setdefault(path, TaskStory())
        number = data.get("attempt")
        place = f"attempt {number} of {run_id} {path}"
        if story.ended is not None:
            self._wrong(f"{kind} of {path} after the end of {run_id}")
        if task.ended is not None:
            self._wrong(f"{kind} of {run_id} {path} after {task.ended}")
        if kind == "task.scheduled":
            if task.live is not None:
                self._wrong(f"{place} is scheduled, while {task.live} is live")
            task.live = task.number = number
        elif kind == "task.started":
            # A commit that schedules an attempt and claims it at once tells of the start alone.
            if task.live not in (None, number) or (task.live is None and number != task.number + 1):
                self._wrong(f"{place} is started, while {task.live} is live and {task.number} was the last")
            task.live = task.number = number
            if task.ambiguous and not self._world.plan_of(run_id).task_at(path).retry.on_crash:
                self._wrong(f"{place} is started although an earlier one may have been at work")
        elif kind in ENDS_OF_ATTEMPTS:
            self._end(run_id, path, task, kind, number)
        self._once(task, kind, f"{run_id} {path}")

    def _once(self, task: TaskStory, kind: str, place: str) -> None:
        if kind in ONCE and kind in task.once:
            self._wrong(f"{kind} of {place} is told twice")
        task.once.add(kind)

    def _end(self, run_id: str, path: str, task: TaskStory, kind: str, number: int | None) -> None:
        place = f"attempt {number} of {run_id} {path}"
        # A task may end after its last attempt has: the crash was one too many, or it waited for another try.
        after = task.live is None and number == task.number and kind in AFTERWARDS
        if number is not None and task.live != number and not after:
            self._wrong(f"{kind} of {place}, while {task.live} is live")
        is_control = self._world.plan_of(run_id).task_at(path).control is not None
        if kind == "task.completed" and not is_control and (run_id, path, number) not in self._world.executions.begun:
            self._wrong(f"{place} completed without being executed")
        task.ambiguous = task.ambiguous or kind in AMBIGUOUS
        task.live = None
        if kind in TASK_ENDS:
            task.ended = kind
