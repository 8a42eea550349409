"""Cancel, pause and resume reach a run through its inbox, and end or hold what really runs."""

from millrace.ports.store import InboxItem
from tests.integration.engine.rules.rules_kit import Kit, closing, handler, task, until


async def test_a_run_that_was_not_admitted_is_cancelled_at_once(kit: Kit) -> None:
    limited = {"admission_key": "k", "admission_limit": 1}
    run_id = await kit.start(task("a"), of_run=limited)
    await kit.post(run_id, "cancel", by="someone", reason="no need")
    run = await kit.ends(run_id)
    assert run.status == "cancelled"
    assert await kit.attempts(run_id) == []


async def test_cancel_ends_the_attempt_that_runs_and_the_record_says_how(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"), task("b", "a"))
    await until(lambda: hanging.running)
    await kit.post(run_id, "cancel", by="someone")
    run = await kit.ends(run_id)
    assert (run.status, hanging.running, hanging.ended) == ("cancelled", 0, 1)
    assert await kit.tasks(run_id) == {"a": "cancelled", "b": "cancelled"}
    assert await kit.attempts(run_id) == [("a", 1, "cancelled")]
    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind == "cancelled"


async def test_a_cancelled_run_waits_for_an_attempt_that_is_slow_to_end(kit: Kit) -> None:
    stubborn = kit.hangs("stubborn", stubborn=True)
    run_id = await kit.start(task("a", type="stubborn"))
    await until(lambda: stubborn.running)
    await kit.post(run_id, "cancel")
    await kit.settled()
    assert await kit.status(run_id) == "cancelling"
    assert await kit.attempts(run_id) == [("a", 1, "running")]
    stubborn.go.set()
    await kit.ends(run_id)
    assert stubborn.running == 0


async def test_finally_runs_after_a_cancel_and_a_second_cancel_ends_it(kit: Kit) -> None:
    main, last = kit.hangs("main"), kit.hangs("last")
    run_id = await kit.start(task("a", type="main"), handler("on_failure"), closing("f", type="last"))
    await until(lambda: main.running)
    await kit.post(run_id, "cancel")
    await until(lambda: last.running)
    await kit.post(run_id, "cancel")
    run = await kit.ends(run_id)
    assert (run.status, last.running) == ("cancelled", 0)
    assert await kit.tasks(run_id) == {"a": "cancelled", "on_failure": "skipped", "f": "cancelled"}


async def test_a_cancel_delivered_twice_counts_once(kit: Kit) -> None:
    main, last = kit.hangs("main"), kit.hangs("last")
    run_id = await kit.start(task("a", type="main"), closing("f", type="last"))
    await until(lambda: main.running)
    kit.store.open.clear()
    await kit.post(run_id, "cancel")
    await kit.here.inbox.run_once()
    await kit.here.inbox.run_once()
    kit.store.open.set()
    await until(lambda: last.running)
    last.go.set()
    assert (await kit.ends(run_id)).cancels == 1
    assert await kit.rows("select * from inbox") == []


async def test_a_cancel_that_only_lies_in_the_inbox_is_found_by_the_reader(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"))
    await until(lambda: hanging.running)
    await kit.store.post([InboxItem(kit.ids.new(), run_id, "cancel", {})])
    await kit.here.inbox.run_once()
    assert (await kit.ends(run_id)).status == "cancelled"


async def test_a_paused_run_starts_nothing_and_its_running_attempt_counts(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    run_id = await kit.start(task("a", type="hang"), task("b", "a"))
    await until(lambda: hanging.running)
    await kit.post(run_id, "pause", by="someone")
    await kit.settled()
    hanging.go.set()
    await until(lambda: not hanging.running)
    await kit.settled()
    assert await kit.status(run_id) == "paused"
    assert await kit.tasks(run_id) == {"a": "completed", "b": "ready"}
    await kit.post(run_id, "resume")
    assert (await kit.ends(run_id)).status == "completed"


async def test_a_pause_takes_back_what_nobody_has_claimed_and_resume_schedules_it_anew(kit: Kit) -> None:
    run_id = await kit.start(task("a", queue="elsewhere"))
    await kit.post(run_id, "pause")
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "cancelled")]
    assert await kit.rows("select * from inbox") == []
    await kit.post(run_id, "resume")
    await kit.settled()
    assert await kit.attempts(run_id) == [("a", 1, "cancelled"), ("a", 2, "scheduled")]
    assert "task.withdrawn a" in await kit.records(run_id)


async def test_pause_and_resume_in_one_fold_leave_the_run_going(kit: Kit) -> None:
    run_id = await kit.start(task("a", queue="elsewhere"))
    kit.store.open.clear()
    await kit.post(run_id, "pause")
    await kit.post(run_id, "resume")
    await kit.post(run_id, "pause")
    await kit.post(run_id, "resume")
    kit.store.open.set()
    await kit.settled()
    live = [number for _, number, status in await kit.attempts(run_id) if status == "scheduled"]
    assert len(live) == 1
    assert await kit.status(run_id) == "running"
