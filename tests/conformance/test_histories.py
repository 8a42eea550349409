"""Random histories, by seed: whatever engines, workers, people and clocks do, the store does as its model says.

After every step the answers and all rows are those of the model. `MILLRACE_HISTORIES` plays more seeds.
"""

import os
import random
from dataclasses import replace
from typing import Any

import orjson
import pytest

from millrace.core.effects import Record
from millrace.core.events import AttemptLost, TimerFired, TimerKind
from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.engine.changes import header_of
from millrace.engine.inbox import event_of
from millrace.ports.incarnations import Incarnation
from millrace.ports.store import ClaimRequest, Committed, IncarnationDead, Rejected, RunChange, StartKey
from millrace.storage import tables
from tests.conformance.builders import EVERYTHING, IDS, LEASE, Owner, inbox_item, log_line, plan_of, task
from tests.conformance.kits import WORKFLOW, Kit
from tests.conformance.model import Key, Model

SEEDS = int(os.environ.get("MILLRACE_HISTORIES", "5"))
STEPS = 120
GRACE = 2 * SECOND

PLANS = (
    plan_of(task("a")),
    plan_of(task("a"), task("b"), timeout=20 * SECOND),
    plan_of(task("a", retry=RetryPlan(3, 2 * SECOND)), task("b", "a", queue="other"), timeout=9 * SECOND),
    plan_of(
        task("a", timeout=3 * SECOND), task("b", timeout=4 * SECOND, total_timeout=5 * SECOND), task("c", "a", "b")
    ),
)


class History:
    """One run of the test: the store, its model, and the engine's view of every run."""

    def __init__(self, kit: Kit, seed: int) -> None:
        self.kit = kit
        self.store = kit.store
        self.random = random.Random(seed)
        self.model = Model(kit.clock.now())
        self.owners: dict[str, Owner] = {}
        self.starts: list[RunChange] = []
        self.steps = (
            (30, self.commit), (6, self.post), (6, self.log), (6, self.admit), (6, self.beat), (3, self.register),
            (1, self.retire), (3, self.reap), (6, self.look),
        )  # fmt: skip

    async def play(self) -> None:
        await self.register()
        for _ in range(STEPS):
            self.kit.clock.advance(self.random.choice([1, 1_000, 300_000, SECOND, 4 * SECOND]))
            self.model.now = self.kit.clock.now()
            (step,) = self.random.choices([step for _, step in self.steps], [weight for weight, _ in self.steps])
            await step()
            await self.compare()

    def some_worker(self) -> str:
        """Nearly always a live one."""
        alive = [name for name in self.model.lives if self.model.is_alive(name)]
        return self.random.choice(alive if alive and self.random.random() < 0.95 else list(self.model.lives))

    def live_runs(self) -> list[str]:
        return [run_id for run_id in self.owners if self.model.is_live(run_id)]

    # --- commits ------------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """A batch as an engine makes it, now and then with a change that must be refused."""
        live = self.live_runs()
        chosen = self.random.sample(live, min(len(live), self.random.randint(0, 4)))
        changes = [change for run_id in chosen if (change := self.next_change(run_id)) is not None]
        changes += [self.new_run() for _ in range(self.random.choice([0, 0, 1, 2]))]
        if self.starts and self.random.random() < 0.1:
            again = self.random.choice(self.starts)
            changes += [again] if again.run.id not in {change.run.id for change in changes} else []
        self.random.shuffle(changes)
        claim = None
        if self.random.random() < 0.6:
            queues = self.random.choice([("default",), ("other",), ("default", "other")])
            claim = ClaimRequest(self.some_worker(), queues, self.random.choice([1, 2, EVERYTHING]))
        await self.commit_all(changes, claim)

    async def commit_all(self, changes: list[RunChange], claim: ClaimRequest | None) -> None:
        claimants = {attempt.claimed_by for change in changes for attempt in change.scheduled if attempt.claimed_by}
        claimants |= {claim.incarnation_id} if claim else set()
        if not all(map(self.model.is_alive, claimants)):
            with pytest.raises(IncarnationDead):
                await self.store.commit(changes, claim)
            return
        reply = await self.store.commit(changes, claim)
        for change, answer in zip(changes, reply.changes, strict=True):
            expected = self.model.commit(change)
            if isinstance(answer, Committed):
                self.model.tell_of_withdrawals(answer.withdrawn)
                answer = replace(answer, withdrawn=tuple(replace(item, id="") for item in answer.withdrawn))
                self.owners[change.run.id].took(change)
            elif isinstance(answer, Rejected):
                answer = Rejected(answer.run_id, "")
            assert answer == expected
        if claim is None:
            assert reply.claimed == ()
        else:
            self.model.claim(claim, reply.claimed)

    def new_run(self) -> RunChange:
        plan = self.random.choice(PLANS)
        fields: dict[str, Any] = {"priority": self.random.choice([0, 0, 5])}
        if self.random.random() < 0.4:
            expires_at = self.model.now + self.random.choice([SECOND, 30 * SECOND])
            hashed = self.random.choice(["hash-1", "hash-2"])
            fields["start_key"] = StartKey("caller", WORKFLOW, self.random.choice("xyz"), hashed, expires_at)
        if self.random.random() < 0.4:
            key, limit = self.random.choice([("one", 1), ("two", 2)])
            fields |= {"admission_key": key, "admission_limit": limit}
        owner = Owner(self.store, self.kit.clock, plan, **fields)
        self.owners[owner.run_id] = owner
        change = self.placed(owner.starts())
        self.starts.append(change)
        return self.spoiled(change)

    def next_change(self, run_id: str) -> RunChange | None:
        owner = self.owners[run_id]
        mail = [*self.facts(run_id), *self.ends(run_id)]
        if not mail:
            return None
        self.random.shuffle(mail)
        change = owner.folds(*mail)
        if self.random.random() < 0.05:
            return replace(change, revision=change.revision + self.random.choice([-1, 1]))
        return self.spoiled(self.placed(change))

    def facts(self, run_id: str) -> list[Mail]:
        """What waits in the inbox for the run, and its timers that are due."""
        items = [item for item, _ in self.model.inbox.values() if item.run_id == run_id]
        kinds = [TimerKind(kind) for _, of_run, kind in self.model.due_timers() if of_run == run_id]
        return [
            *(Mail(event_of(item), inbox_id=item.id) for item in items),
            *(Mail(TimerFired(kind)) for kind in kinds),
        ]

    def ends(self, run_id: str) -> list[Mail]:
        """Reports of some of its running attempts."""
        running = [key for key in self.running() if key[0] == run_id and self.random.random() < 0.6]
        return [self.end(key) for key in running]

    def running(self) -> list[Key]:
        return [key for key, attempt in self.model.attempts.items() if attempt.status == "running"]

    def end(self, key: Key) -> Mail:
        owner, (run_id, path, number) = self.owners[key[0]], key
        if key in self.model.lost():
            return Mail(AttemptLost(path, number))
        logs = [log_line(run_id, f"last words {self.random.random()}") for _ in range(self.random.randint(0, 2))]
        if self.random.random() < 0.3:
            return owner.fails(path, number)
        return owner.completes(path, number, {"n": self.random.random()}, logs=logs)

    def placed(self, change: RunChange) -> RunChange:
        """Sometimes the attempts it makes are claimed in the same commit, as `engine.changes.Placement` would."""
        if self.random.random() < 0.5:
            return change
        worker = self.some_worker()
        return replace(
            change,
            scheduled=[
                replace(one, claimed_by=worker)
                if one.available_at <= change.now and (one.path, one.number) not in change.withdraw
                else one
                for one in change.scheduled
            ],
        )

    def spoiled(self, change: RunChange) -> RunChange:
        """Rarely, a row that no database takes, or an end by someone who does not hold the attempt."""
        if self.random.random() < 0.05:
            return replace(change, records=[*change.records, Record(None, 0)])  # type: ignore[arg-type]
        if change.ended and self.random.random() < 0.1:
            return replace(change, ended=[replace(change.ended[0], token=IDS.new()), *change.ended[1:]])
        return change

    # --- everything else ----------------------------------------------------------------------------------------------

    async def post(self) -> None:
        if self.owners:
            item = inbox_item(self.random.choice(list(self.owners)), self.random.choice(["cancel", "pause", "resume"]))
            assert await self.store.post([item]) == self.model.post(item)

    async def log(self) -> None:
        runs = [*self.owners, IDS.new()]
        lines = [log_line(self.random.choice(runs), f"line {number}") for number in range(self.random.randint(0, 5))]
        await self.store.append_logs(lines)
        self.model.log(lines)

    async def admit(self) -> None:
        limit = self.random.choice([1, EVERYTHING])
        admitted = await self.store.admit(limit)
        self.model.admit(limit, admitted)
        told = {item.run_id: item for item in await self.store.read_inbox(EVERYTHING) if item.kind == "admitted"}
        assert set(admitted) <= told.keys()
        self.model.inbox.update({told[run_id].id: (told[run_id], self.model.now) for run_id in admitted})

    async def register(self) -> None:
        sole = self.random.random() < 0.2
        life = Incarnation(IDS.new(), "host", 1, ("default",), 4)
        await self.store.register(life, LEASE, sole=sole)
        self.model.register(life.id, LEASE, sole=sole)

    async def beat(self) -> None:
        worker = self.some_worker()
        if not self.model.is_alive(worker):
            with pytest.raises(IncarnationDead):
                await self.store.heartbeat(worker, LEASE)
            return
        reply = await self.store.heartbeat(worker, LEASE)
        self.model.lives[worker].lease_until = self.model.now + LEASE
        assert (reply.running, reply.stop) == (self.model.held(worker), self.model.to_stop(worker))

    async def retire(self) -> None:
        worker = self.some_worker()
        await self.store.retire(worker)
        self.model.lives[worker].over = True

    async def reap(self) -> None:
        assert frozenset(await self.store.reap()) == self.model.reap()

    async def look(self) -> None:
        """What is only asked."""
        store, model = self.store, self.model
        assert await store.next_wake() == model.next_wake()
        due = [(timer.run_id, timer.kind.value) for timer in await store.due_timers(EVERYTHING)]
        expected = model.due_timers()
        assert sorted(due) == sorted((run_id, kind) for _, run_id, kind in expected)
        assert [model.timers[key] for key in due] == [at for at, *_ in expected]
        assert keys(await store.lost_attempts(EVERYTHING)) == model.lost()
        assert keys(await store.overdue_attempts(GRACE, EVERYTHING)) == model.overdue(GRACE)
        assert await store.live_incarnations() == {name for name in model.lives if model.is_alive(name)}
        for run_id, run in model.runs.items():
            outputs = {path: task.output for path, task in run.tasks.items() if task.state.status == "completed"}
            assert await store.load_outputs(run_id) == outputs
            await self.load(run_id)

    async def load(self, run_id: str) -> None:
        loaded, run = await self.store.load(run_id), self.model.runs[run_id]
        assert loaded is not None
        assert header_of(loaded.header) == header_of(run.state)
        assert {task.path: task for task in loaded.tasks} == dict(run.state.tasks)
        assert loaded.revision == run.revision
        live = {
            (path, number): attempt.new.token
            for (of_run, path, number), attempt in self.model.attempts.items()
            if of_run == run_id and attempt.status in ("scheduled", "running")
        }
        assert dict(loaded.tokens) == live

    # --- rows ---------------------------------------------------------------------------------------------------------

    async def compare(self) -> None:
        await self.compare_runs()
        await self.compare_histories()
        model = self.model
        attempts = await self.kit.rows(tables.attempts)
        assert {
            (row["run_id"], row["path"], row["number"]):
            (row["status"], row["token"], row["incarnation_id"], row["deadline_at"], row["finished_at"])
            for row in attempts
        } == {
            key: (one.status.value, one.new.token, one.worker, one.deadline_at, one.finished_at)
            for key, one in model.attempts.items()
        }  # fmt: skip
        timers = {(row["run_id"], row["kind"]): row["fire_at"] for row in await self.kit.rows(tables.timers)}
        assert timers == model.timers
        start_keys = {(row["key"], row["run_id"], row["expires_at"]) for row in await self.kit.rows(tables.start_keys)}
        assert start_keys == {(key.key, run_id, key.expires_at) for key, run_id in model.keys.values()}
        inbox = await self.store.read_inbox(EVERYTHING)
        assert {item.id: item for item in inbox} == {item.id: item for item, _ in model.inbox.values()}
        times = [model.inbox[item.id][1] for item in inbox]
        assert times == sorted(times), "not the oldest first"

    async def compare_runs(self) -> None:
        rows = {row["id"]: row for row in await self.kit.rows(tables.runs)}
        assert {
            run_id: (row["status"], row["revision"], row["admitted_at"], row["finished_at"])
            for run_id, row in rows.items()
        } == {
            run_id: (run.state.status.value, run.revision, run.admitted_at, run.state.finished_at)
            for run_id, run in self.model.runs.items()
        }  # fmt: skip
        tasks = await self.kit.rows(tables.task_runs)
        assert {
            (row["run_id"], row["path"]):
            (row["status"], row["attempt"], row["live"], row["worker"], row["started_at"], json(row["output"]))
            for row in tasks
        } == {
            (run_id, path):
            ("running" if task.running else task.state.status.value, task.state.attempt, task.state.live, task.worker,
             task.started_at, task.output)
            for run_id, run in self.model.runs.items() for path, task in run.tasks.items()
        }  # fmt: skip

    async def compare_histories(self) -> None:
        """Records and logs, numbered from 1 without gaps."""
        records: dict[str, list[object]] = {run_id: [] for run_id in self.model.runs}
        for row in await self.kit.rows(tables.records):
            records[row["run_id"]].append((row["seq"], row["type"], row["path"], json(row["data"])))
        logs: dict[str, list[object]] = {run_id: [] for run_id in self.model.runs}
        for row in await self.kit.rows(tables.logs):
            logs[row["run_id"]].append((row["seq"], row["text"]))
        for run_id, run in self.model.runs.items():
            assert records[run_id] == [(seq, *record) for seq, record in enumerate(run.records, 1)]
            assert logs[run_id] == list(enumerate(run.logs, 1))


def json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def keys(attempts: Any) -> frozenset[Key]:
    return frozenset((one.run_id, one.path, one.number) for one in attempts)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_store_does_as_its_model_says(kit: Kit, seed: int) -> None:
    await History(kit, seed).play()
