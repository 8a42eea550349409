"""What a new run may bring: tasks it takes over from another, a time before which it waits, texts put elsewhere."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from millrace.core.events import Admitted, Delayed, TimerFired, TimerKind
from millrace.core.run import Ahead, TaskRun
from millrace.core.states import TaskStatus
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.ports.payloads import MARK
from millrace.ports.store import AlreadyStarted, NotStarted, Refusal, TaskPayload, WhenFull
from millrace.ports.waits import DueTimer
from millrace.storage import tables
from tests.conformance.builders import (
    CHAIN,
    EVERYTHING,
    FAILURE,
    IDS,
    ONE,
    TWO,
    Owner,
    claim,
    plan_of,
    registered,
    start_key,
    task,
)
from tests.conformance.kits import WORKFLOW, Kit


async def finished(kit: Kit, **outputs: object) -> Owner:
    """A run of the chain whose tasks answered this."""
    run = await Owner(kit.store, kit.clock, CHAIN).start()
    for path, output in outputs.items():
        await run.fold(run.completes(path, output=output))  # type: ignore[arg-type]
    return run


# --- adopted tasks ----------------------------------------------------------------------------------------------------


async def test_an_adopted_task_counts_as_completed_and_refers_to_the_run_it_comes_from(kit: Kit) -> None:
    old = await finished(kit, a={"n": 1}, b=2)

    await Owner(kit.store, kit.clock, CHAIN, adopted={"a": old.run_id, "b": old.run_id}).start()

    new = {row["path"]: row for row in await kit.rows(tables.task_runs) if row["run_id"] != old.run_id}
    assert {path: (row["status"], row["adopted_from"], row["attempt"]) for path, row in new.items()} == {
        "a": ("completed", old.run_id, 0), "b": ("completed", old.run_id, 0), "c": ("ready", None, 1),
    }  # fmt: skip
    assert new["a"]["output"] is None, "what the other run answered is not copied"
    assert new["a"]["finished_at"] == kit.clock.now()


async def test_only_what_was_not_adopted_can_be_claimed(kit: Kit) -> None:
    old = await finished(kit, a=1, b=2, c=3)
    run = await Owner(kit.store, kit.clock, CHAIN, adopted={"a": old.run_id}).start()

    claimed = await claim(kit.store, await registered(kit.store))

    assert [(one.run_id, one.path) for one in claimed] == [(run.run_id, "b")]


async def test_outputs_of_adopted_tasks_are_read_from_the_run_they_come_from(kit: Kit) -> None:
    old = await finished(kit, a={"n": [1, None]}, b="two")
    run = await Owner(kit.store, kit.clock, CHAIN, adopted={"a": old.run_id, "b": old.run_id}).start()
    await run.fold(run.completes("c", output="three"))

    assert await kit.store.load_outputs(run.run_id) == {"a": {"n": [1, None]}, "b": "two", "c": "three"}


async def test_tasks_may_be_adopted_from_different_runs(kit: Kit) -> None:
    first, second = await finished(kit, a=1), await finished(kit, a=10, b=20)
    run = await Owner(kit.store, kit.clock, CHAIN, adopted={"a": first.run_id, "b": second.run_id}).start()

    assert await kit.store.load_outputs(run.run_id) == {"a": 1, "b": 20}


async def test_a_run_with_adopted_tasks_is_read_back_and_goes_on(kit: Kit) -> None:
    old = await finished(kit, a=1, b=2)
    run = await Owner(kit.store, kit.clock, CHAIN, adopted={"a": old.run_id, "b": old.run_id}).start()

    await run.reload()
    await run.fold(run.completes("c", output=3))

    assert (await kit.row(tables.runs, id=run.run_id))["status"] == "completed"
    assert (await kit.row(tables.runs, id=old.run_id))["revision"] == 3, "the old run never changes"


async def test_a_task_that_was_allowed_to_fail_is_adopted_as_failed(kit: Kit) -> None:
    plan = plan_of(task("a", allow_failure=True), task("b", "a"))
    old = await Owner(kit.store, kit.clock, plan).start()
    await old.fold(old.fails("a"))
    await old.fold(old.fails("b"))

    ended = TaskRun("a", TaskStatus.FAILED, failure=FAILURE)
    run = Owner(kit.store, kit.clock, plan, retry_of=old.run_id, adopted={"a": old.run_id}, endings={"a": ended})
    await run.start()

    loaded = await kit.store.load(run.run_id)
    assert loaded is not None
    assert {one.path: (one.status, one.failure) for one in loaded.tasks} == {
        "a": ("failed", FAILURE), "b": ("ready", None),
    }  # fmt: skip
    assert (await kit.row(tables.task_runs, run_id=run.run_id, path="a"))["adopted_from"] == old.run_id
    await run.reload()
    await run.fold(run.completes("b"))
    assert (await kit.row(tables.runs, id=run.run_id))["status"] == "completed"


# --- what goes on -----------------------------------------------------------------------------------------------------


AHEAD = {"c": Ahead("else"), "f[1].w": Ahead("tasks", 3, origin="an earlier run"), "s": Ahead(child="its run")}


async def test_where_a_run_goes_on_is_read_back_with_it_for_as_long_as_it_lives(kit: Kit) -> None:
    old = await finished(kit, a=1)
    ahead = {path: replace(one, origin=one.origin and old.run_id) for path, one in AHEAD.items()}
    run = await Owner(kit.store, kit.clock, CHAIN, retry_of=old.run_id, ahead=ahead).start()
    await run.fold(run.completes("a", output=1))

    loaded = await kit.store.load(run.run_id)
    newer = await kit.store.load(run.run_id, newer_than=1)
    plain = await kit.store.load(old.run_id)
    assert loaded is not None
    assert newer is not None
    assert plain is not None
    assert (loaded.header.ahead, newer.header.ahead, plain.header.ahead) == (ahead, ahead, {})


async def test_what_a_task_took_and_answered_is_read_alone(kit: Kit) -> None:
    old = await finished(kit, a={"n": 1})
    run = await Owner(kit.store, kit.clock, CHAIN, adopted={"a": old.run_id}).start()

    assert await kit.store.load_task(old.run_id, "a") == TaskPayload({"of": "a"}, {"n": 1})
    assert (await kit.store.load_task(run.run_id, "a")).output == {"n": 1}
    assert await kit.store.load_task(run.run_id, "b") == TaskPayload()
    assert await kit.store.load_task(run.run_id, "no such task") == TaskPayload()


# --- what it repeats --------------------------------------------------------------------------------------------------


async def refused(kit: Kit, run: Owner) -> tuple[Refusal, str | None] | None:
    """Why the run is not started, and the run to blame."""
    (reply,) = (await kit.store.commit([run.starts()])).changes
    if not isinstance(reply, NotStarted):
        return None
    assert await kit.rows(tables.runs, id=run.run_id) == []
    assert await kit.rows(tables.task_runs, run_id=run.run_id) == []
    return reply.reason, reply.origin


async def test_a_run_whose_origin_was_deleted_is_not_started(kit: Kit) -> None:
    old = await finished(kit, a=1, b=2, c=3)
    late = Owner(kit.store, kit.clock, CHAIN, retry_of=old.run_id, root_run_id=old.run_id)
    await kit.write(delete(tables.runs).where(tables.runs.c.id == old.run_id))

    assert await refused(kit, late) == (Refusal.ORIGIN_DELETED, old.run_id)


async def test_a_run_that_takes_tasks_over_needs_all_of_them_kept(kit: Kit) -> None:
    first, second = await finished(kit, a=1), await finished(kit, a=1, b=2)
    fields = {"retry_of": second.run_id, "adopted": {"a": first.run_id, "b": second.run_id}}
    without = update(tables.runs).where(tables.runs.c.id == first.run_id).values(payloads_deleted_at=1)
    await kit.write(without)
    late = Owner(kit.store, kit.clock, CHAIN, **fields)
    assert await refused(kit, late) == (Refusal.PAYLOADS_DELETED, first.run_id)
    ahead = {"a": Ahead("then", origin=first.run_id), "b": Ahead("then")}
    late = Owner(kit.store, kit.clock, CHAIN, retry_of=second.run_id, ahead=ahead)
    assert await refused(kit, late) == (Refusal.PAYLOADS_DELETED, first.run_id)

    await kit.write(delete(tables.runs).where(tables.runs.c.id == first.run_id))
    late = Owner(kit.store, kit.clock, CHAIN, **fields)
    assert await refused(kit, late) == (Refusal.ORIGIN_DELETED, first.run_id)


async def test_a_run_that_takes_nothing_over_needs_no_payloads(kit: Kit) -> None:
    old = await finished(kit, a=1, b=2, c=3)
    await kit.write(update(tables.runs).values(payloads_deleted_at=1))

    assert await refused(kit, Owner(kit.store, kit.clock, CHAIN, retry_of=old.run_id)) is None


async def test_a_repeat_whose_answer_was_lost_is_told_itself_though_its_origin_is_gone(kit: Kit) -> None:
    old = await finished(kit, a=1, b=2, c=3)
    run = Owner(kit.store, kit.clock, CHAIN, retry_of=old.run_id)
    change = run.starts()
    await kit.store.commit([change])
    await kit.write(delete(tables.runs).where(tables.runs.c.id == old.run_id))

    assert (await kit.store.commit([change])).changes == (AlreadyStarted(run.run_id, run.run_id, same_request=True),)


# --- a time of its own ------------------------------------------------------------------------------------------------


async def test_a_delayed_run_under_a_limit_is_not_admitted_before_its_time(kit: Kit) -> None:
    run_at = kit.clock.now() + 60 * SECOND
    run = await Owner(kit.store, kit.clock, admission_key="k", admission_limit=1, run_at=run_at).start()

    kit.clock.advance(60 * SECOND - 1)
    assert await kit.store.admit(EVERYTHING) == []
    kit.clock.advance(1)
    assert await kit.store.admit(EVERYTHING) == [run.run_id]


async def test_a_delayed_run_holds_no_place_and_lets_others_by(kit: Kit) -> None:
    run_at = kit.clock.now() + 60 * SECOND
    limits = {"admission_key": "k", "admission_limit": 1}
    later = await Owner(kit.store, kit.clock, run_at=run_at, priority=9, **limits).start()
    now = await Owner(kit.store, kit.clock, **limits).start()

    assert await kit.store.admit(EVERYTHING) == [now.run_id]
    kit.clock.advance(60 * SECOND)
    assert await kit.store.admit(EVERYTHING) == [], "its place is taken"
    (item,) = await kit.store.read_inbox(EVERYTHING)
    await now.fold(Mail(Admitted(), inbox_id=item.id))
    await now.fold(now.completes("a"))
    assert await kit.store.admit(EVERYTHING) == [later.run_id]


async def test_a_delayed_run_does_not_make_skip_refuse_the_runs_before_it(kit: Kit) -> None:
    limits = {"admission_key": "k", "admission_limit": 1, "when_full": WhenFull.SKIP}
    await Owner(kit.store, kit.clock, run_at=kit.clock.now() + 60 * SECOND, **limits).start()
    await Owner(kit.store, kit.clock, **limits).start()

    refused = Owner(kit.store, kit.clock, **limits)
    (reply,) = (await kit.store.commit([refused.starts()])).changes
    assert getattr(reply, "reason", None) is Refusal.LIMIT_FULL


async def test_a_delayed_run_without_a_limit_waits_for_its_timer(kit: Kit) -> None:
    run_at = kit.clock.now() + 60 * SECOND
    run = Owner(kit.store, kit.clock, run_at=run_at)
    await run.commit(run.folds(Delayed(run_at)))

    timer = await kit.row(tables.timers)
    assert (timer["run_id"], timer["kind"], timer["fire_at"]) == (run.run_id, "start", run_at)
    assert await kit.store.admit(EVERYTHING) == []
    assert await kit.store.next_wake() == 60 * SECOND
    kit.clock.advance(60 * SECOND)
    assert await kit.store.due_timers(EVERYTHING) == [DueTimer(run.run_id, TimerKind.START)]
    await run.fold(Mail(TimerFired(TimerKind.START)))
    assert (await kit.row(tables.runs))["status"] == "running"


async def test_when_a_run_is_to_start_is_read_back(kit: Kit) -> None:
    run_at = kit.clock.now() + 60 * SECOND
    run = await Owner(kit.store, kit.clock, admission_key="k", admission_limit=1, run_at=run_at).start()

    loaded = await kit.store.load(run.run_id)

    assert loaded is not None
    assert loaded.new.run_at == run_at


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["input", "variables", "trigger"])
async def test_what_is_too_large_for_its_row_is_stored_as_the_text_that_stands_for_it(kit: Kit, name: str) -> None:
    text = f"{MARK}somewhere/{IDS.new()}"
    given = {"input": {"a": 1}, "variables": {"b": 2}, "trigger": {"c": 3}}
    await Owner(kit.store, kit.clock, TWO, texts={name: text}, **given).start()

    row = await kit.row(tables.runs)
    columns = {"input": "input", "variables": "variables", "trigger": "trigger_data"}
    found = {one: row[column] for one, column in columns.items()}
    assert found == {"input": '{"a":1}', "variables": '{"b":2}', "trigger": '{"c":3}'} | {name: text}


async def test_a_run_keeps_the_limits_it_was_made_with(kit: Kit) -> None:
    run = Owner(kit.store, kit.clock, ONE, admission_key="k", admission_limit=7, when_full=WhenFull.CANCEL_NEWEST)
    await run.start()

    loaded = await kit.store.load(run.run_id)

    assert loaded is not None
    assert (loaded.new.admission_key, loaded.new.admission_limit) == ("k", 7)
    assert loaded.new.when_full is WhenFull.CANCEL_NEWEST


# --- the workflow as it was when the start was decided ----------------------------------------------------------------


async def test_a_start_that_knows_the_workflow_as_it_was_is_refused(kit: Kit) -> None:
    known = (await kit.row(tables.workflows, id=WORKFLOW))["updated_at"]
    assert await refused(kit, Owner(kit.store, kit.clock, workflow_updated_at=known)) is None

    await kit.write(update(tables.workflows).values(updated_at=known + 1))
    late = Owner(kit.store, kit.clock, workflow_updated_at=known)
    assert await refused(kit, late) == (Refusal.WORKFLOW_CHANGED, None)
    assert await refused(kit, Owner(kit.store, kit.clock, workflow_updated_at=known + 1)) is None

    await kit.write(update(tables.workflows).values(deleted_at=1))
    late = Owner(kit.store, kit.clock, workflow_updated_at=known + 1)
    assert await refused(kit, late) == (Refusal.WORKFLOW_CHANGED, None)
    assert await refused(kit, Owner(kit.store, kit.clock)) is None


async def test_what_was_started_before_stays_so_though_the_workflow_changed(kit: Kit) -> None:
    known = (await kit.row(tables.workflows, id=WORKFLOW))["updated_at"]
    key = start_key(expires_at=kit.clock.now() + 3600 * SECOND)
    plain = Owner(kit.store, kit.clock, workflow_updated_at=known)
    keyed = Owner(kit.store, kit.clock, workflow_updated_at=known, start_key=key)
    changes = [plain.starts(), keyed.starts()]
    await kit.store.commit(changes)
    await kit.write(update(tables.workflows).values(updated_at=known + 1))

    replies = (await kit.store.commit(changes)).changes
    assert replies == tuple(AlreadyStarted(one.run_id, one.run_id, same_request=True) for one in (plain, keyed))
    another = Owner(kit.store, kit.clock, workflow_updated_at=known, start_key=key)
    (reply,) = (await kit.store.commit([another.starts()])).changes
    assert reply == AlreadyStarted(another.run_id, keyed.run_id, same_request=True)
