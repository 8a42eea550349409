"""The store fails, or does what it was asked and its answer is lost: everything happens, and nothing happens twice."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from millrace.core.events import TimerKind
from millrace.core.plan import Phase, Plan
from millrace.core.states import RunStatus, TaskStatus
from millrace.core.values import SECOND, JsonValue
from millrace.engine.inbox import InboxReader
from millrace.ports.evaluator import Scope
from millrace.ports.store import (
    ClaimRequest,
    CommitReply,
    InboxItem,
    LoadedRun,
    LogLine,
    RunChange,
    StoreUnavailable,
)
from tests.support.engine_kit import Kit, ListedPlans, Machine, chain, plan, task
from tests.support.scripted_work import completes, hangs, held_by, logs
from tests.support.stores import OverStore

Chosen = Callable[[Sequence[RunChange]], bool]


class FailingStore(OverStore):
    """The real store. The next commit that a test has chosen fails once; reads and log lines fail while told to."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit.own_store())
        self.fail_before: Chosen = _never
        self.fail_after: Chosen = _never
        self.blind = False
        self.error: Exception = StoreUnavailable("disk I/O error")
        self.failed = 0

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        if self.fail_before(changes):
            self.fail_before = _never
            self._fail()
        reply = await self.real.commit(changes, claim)
        if self.fail_after(changes):
            self.fail_after = _never
            self._fail()
        return reply

    async def load(self, run_id: str, *, newer_than: int = 0) -> LoadedRun | None:
        self._see()
        return await self.real.load(run_id, newer_than=newer_than)

    async def load_outputs(self, run_id: str, *, newer_than: int = 0) -> Mapping[str, JsonValue]:
        self._see()
        return await self.real.load_outputs(run_id, newer_than=newer_than)

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        self._see()
        await self.real.append_logs(lines)

    def _see(self) -> None:
        if self.blind:
            self._fail()

    def _fail(self) -> None:
        self.failed += 1
        raise self.error


def _never(_: Sequence[RunChange]) -> bool:
    return False


def reads_inbox(changes: Sequence[RunChange]) -> bool:
    return any(change.inbox_done for change in changes)


def ends_attempts(changes: Sequence[RunChange]) -> bool:
    return any(change.ended for change in changes)


def fires_timers(changes: Sequence[RunChange]) -> bool:
    return any(change.timers_done for change in changes)


def hanging_with_finally(kit: Kit) -> Plan:
    kit.work.script(work=hangs())
    return plan(task("work"), task("tidy_up", phase=Phase.FINALLY))


async def under_way(kit: Kit, machine: Machine, started: Plan, count: int = 1) -> str:
    run_id = await machine.begin(started)
    await kit.until(lambda: len(kit.work.under_way) == count)
    return run_id


async def cancels_of(kit: Kit, run_id: str) -> int:
    return (await kit.history(run_id)).count("run.cancel_requested")


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_a_cancel_whose_commit_has_no_known_outcome_counts_once(kit: Kit, fault: str) -> None:
    store = FailingStore(kit)
    machine = await kit.machine(store=store)
    run_id = await under_way(kit, machine, hanging_with_finally(kit))
    setattr(store, fault, reads_inbox)

    await machine.tell(run_id, "cancel", by="someone")
    run = await machine.end(run_id)

    assert store.failed == 1
    assert run.status is RunStatus.CANCELLED
    assert await cancels_of(kit, run_id) == 1
    assert run.tasks["tidy_up"].status is TaskStatus.COMPLETED, "only a second cancel skips `finally`"
    assert await kit.problems() == []


async def test_a_cancel_that_a_poll_read_before_it_was_folded_counts_once(kit: Kit) -> None:
    machine = await kit.machine(without=[InboxReader])
    gate = asyncio.Event()
    kit.work.script(tidy_up=held_by(gate))
    run_id = await under_way(kit, machine, hanging_with_finally(kit))
    await kit.store.post([InboxItem("the cancel", run_id, "cancel", {})])
    read_early = await kit.store.read_inbox(10)
    machine.engine.receive(read_early)
    await kit.until(lambda: kit.work.attempts_of("tidy_up"))

    machine.engine.receive(read_early)
    await machine.engine.settle()
    gate.set()
    run = await machine.end(run_id)

    assert await cancels_of(kit, run_id) == 1
    assert run.tasks["tidy_up"].status is TaskStatus.COMPLETED


async def test_a_fact_of_an_unknown_kind_does_not_keep_others_waiting(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    machine = await kit.machine(without=[InboxReader])
    run_id = await under_way(kit, machine, hanging_with_finally(kit))
    items = [InboxItem("a", run_id, "prophecy", {}), InboxItem("b", run_id, "cancel", {})]
    await kit.store.post(items)
    machine.engine.receive(items)

    assert (await machine.end(run_id)).status is RunStatus.CANCELLED
    assert "'prophecy'" in caplog.text


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_an_outcome_whose_commit_has_no_known_outcome_counts_once(kit: Kit, fault: str) -> None:
    store = FailingStore(kit)
    machine = await kit.machine(store=store)
    await kit.version(chain(1))
    setattr(store, fault, ends_attempts)

    run = await machine.run(chain(4))

    assert store.failed == 1
    assert run.status is RunStatus.COMPLETED
    history = await kit.history(run.id)
    assert [history.count(f"task.completed t{number}") for number in range(4)] == [1, 1, 1, 1]
    assert len(kit.work.journal) == len({ran.token for ran in kit.work.journal})
    assert len(kit.work.attempts_of("t0")) == 1
    assert await kit.problems() == []


async def test_an_attempt_claimed_in_a_commit_whose_answer_was_lost_is_found_by_heartbeats(kit: Kit) -> None:
    store = FailingStore(kit)
    machine = await kit.machine(store=store)
    store.fail_after = ends_attempts
    began = kit.clock.monotonic()

    run = await machine.run(chain(2))

    assert run.status is RunStatus.COMPLETED
    assert (run.tasks["t1"].attempt, run.tasks["t1"].crashes) == (2, 1)
    assert [ran.attempt for ran in kit.work.attempts_of("t1")] == [2]
    assert 3 <= kit.clock.monotonic() - began <= 9, "two heartbeats in a row must agree, no more"


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_a_time_limit_whose_commit_has_no_known_outcome_ends_the_run_once(kit: Kit, fault: str) -> None:
    store = FailingStore(kit)
    machine = await kit.machine(store=store)
    kit.work.script(work=hangs())
    setattr(store, fault, fires_timers)

    run = await machine.run(plan(task("work"), task("tidy_up", phase=Phase.FINALLY), timeout=5 * SECOND))

    assert run.status is RunStatus.FAILED
    assert (await kit.history(run.id)).count("run.timed_out") == 1
    assert run.tasks["tidy_up"].status is TaskStatus.COMPLETED
    assert await kit.value("select count(*) from timers") == 0


async def test_a_timer_that_is_fired_twice_does_nothing_more(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(work=hangs())
    run_id = await under_way(kit, machine, plan(task("work"), timeout=60 * SECOND))

    machine.engine.fire(run_id, TimerKind.RUN_TIMEOUT)
    machine.engine.fire(run_id, TimerKind.RUN_TIMEOUT)
    await machine.end(run_id)

    assert (await kit.history(run_id)).count("run.timed_out") == 1


class FailingPlans(ListedPlans):
    """Plans from a store that is away at first, as those of an installation come from the database."""

    def __init__(self, plans: ListedPlans, error: Exception, times: int) -> None:
        super().__init__()
        self.by_version = plans.by_version
        self._error = error
        self._left = times

    async def plan(self, version_id: str) -> Plan:
        if self._left:
            self._left -= 1
            raise self._error
        return await super().plan(version_id)


async def test_runs_are_loaded_when_the_store_is_back(kit: Kit) -> None:
    first = await kit.machine(slots=0)
    run_id = await first.begin(chain(2))
    await first.crash()
    store = FailingStore(kit)
    store.blind = True
    second = await kit.machine(store=store)
    ended = asyncio.create_task(second.end(run_id))
    await asyncio.sleep(20)
    assert not ended.done()
    store.blind = False

    assert (await ended).status is RunStatus.COMPLETED


async def test_a_plan_is_loaded_when_the_store_is_back(kit: Kit) -> None:
    first = await kit.machine(slots=0)
    run_id = await first.begin(chain(2))
    await first.crash()
    kit.plans = FailingPlans(kit.plans, StoreUnavailable("disk I/O error"), times=5)

    assert (await (await kit.machine()).end(run_id)).status is RunStatus.COMPLETED


async def test_a_run_that_cannot_be_loaded_does_not_keep_others_from_going_on(kit: Kit) -> None:
    first = await kit.machine(slots=0)
    broken = await first.begin(chain(1))
    await first.crash()
    kit.plans = FailingPlans(kit.plans, ValueError("a definition of another release"), times=10**9)
    second = await kit.machine()

    with pytest.raises(LookupError, match="a definition of another release"):
        await second.end(broken)
    assert (await second.run(chain(3))).status is RunStatus.COMPLETED


async def test_an_outcome_outlives_an_error_that_nobody_has_thought_of(kit: Kit) -> None:
    """The run changes elsewhere, so that it has to be loaded before its outcome is committed, and cannot be."""
    store, other = FailingStore(kit), await kit.machine(slots=0)
    machine = await kit.machine(store=store, sole=False, without=[InboxReader])
    gate = asyncio.Event()
    kit.work.script(a=held_by(gate, completes({"n": 1})))
    run_id = await under_way(kit, machine, plan(task("a"), task("b", "a")))
    await other.store.post([InboxItem(kit.ids.new(), run_id, "pause", {})])
    await kit.until(lambda: paused(kit, run_id), limit=60)
    store.error = ValueError("a row of another release")
    store.blind = True
    gate.set()
    await kit.until(lambda: store.failed > 3, limit=60)
    store.blind = False
    await other.store.post([InboxItem(kit.ids.new(), run_id, "resume", {})])

    assert (await machine.end(run_id)).status is RunStatus.COMPLETED
    assert len(kit.work.attempts_of("a")) == 1
    assert "task.lost a" not in await kit.history(run_id)


async def paused(kit: Kit, run_id: str) -> bool:
    return bool(await kit.value("select status = 'paused' from runs where id = :run", run=run_id))


async def test_a_task_does_not_fail_because_the_store_is_away_when_its_config_is_rendered(kit: Kit) -> None:
    first = await kit.machine()
    gate = asyncio.Event()
    kit.work.script(a=completes({"n": 1}), b=held_by(gate))
    started = plan(
        task("a"),
        task("b", "a", config={"n": "{{ tasks.a.output.n }}"}, templated=True),
        task("c", "b", config={"n": "{{ tasks.a.output.n }}"}, templated=True),
    )
    run_id = await first.begin(started)
    await kit.until(lambda: kit.work.attempts_of("b"))
    await first.crash()
    gate.set()
    store = FailingStore(kit)
    second = await kit.machine(store=store)
    await second.engine.load_plan(run_id)
    store.blind = True
    await asyncio.sleep(30)
    store.blind = False

    run = await second.end(run_id)
    assert store.failed > 1
    assert run.status is RunStatus.COMPLETED
    assert [ran.config for ran in kit.work.attempts_of("c")] == [{"n": 1}]


async def test_log_lines_wait_in_order_while_the_store_is_away(kit: Kit) -> None:
    store = FailingStore(kit)
    machine = await kit.machine(store=store)
    away, gate = asyncio.Event(), asyncio.Event()
    kit.work.script(a=logs("one", then=held_by(away, logs("two", then=held_by(gate, logs("three"))))))
    run_id = await under_way(kit, machine, plan(task("a")))
    store.blind = True
    away.set()
    await asyncio.sleep(5)
    store.blind = False
    gate.set()
    await machine.end(run_id)

    assert store.failed
    assert [row.text for row in await kit.rows("select text from logs order by seq")] == ["one", "two", "three"]


async def test_a_defect_of_the_evaluator_ends_its_own_run(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    machine = await kit.machine()

    async def broken(expression: str, scope: Scope, *, place: str) -> Any:
        raise RecursionError("too deep")

    kit.evaluator.evaluate = broken  # type: ignore[method-assign]
    run = await machine.run(plan(task("a", condition="input.go")))

    assert run.status is RunStatus.FAILED
    assert (await machine.run(chain(2))).status is RunStatus.COMPLETED


async def test_who_waits_for_a_run_that_does_not_exist_is_told(kit: Kit) -> None:
    machine = await kit.machine()
    with pytest.raises(LookupError, match="there is no run"):
        await machine.end("nowhere")
    with pytest.raises(LookupError):
        await machine.engine.load_plan("nowhere")


async def test_when_the_engine_has_settled_everything_handed_in_is_committed(kit: Kit) -> None:
    machine = await kit.machine()
    gate = asyncio.Event()
    kit.work.script(t0=held_by(gate))
    run_ids = [await machine.begin(chain(1)) for _ in range(5)]
    await kit.until(lambda: len(kit.work.under_way) == 5)
    gate.set()
    await kit.until(lambda: not kit.work.under_way)
    await machine.engine.settle()

    assert await kit.value("select count(*) from runs where status = 'completed'") == len(run_ids)
