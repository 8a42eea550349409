"""What was written is read back: a run with its tasks and tokens, outputs, and every value a user may give."""

import json
from dataclasses import replace

import pytest

from millrace.core.events import Admitted, CancelRequested, PauseRequested, TimerFired, TimerKind
from millrace.core.plan import JoinRule, RetryPlan
from millrace.core.run import RunState, SkipReason
from millrace.core.states import RunStatus, TaskStatus
from millrace.core.table import Table
from millrace.core.values import MAX_INTEGER, MIN_INTEGER, SECOND, JsonValue
from millrace.ports.store import LoadedRun, RunChange, TaskPayload
from millrace.storage import tables
from tests.conformance.builders import CHAIN, FAILURE, IDS, TWO, Owner, claim, plan_of, registered, start_key, task
from tests.conformance.kits import VERSION_NUMBER, Kit


async def loaded(kit: Kit, run: Owner) -> LoadedRun:
    found = await kit.store.load(run.run_id)
    assert found is not None
    return found


def assert_same(found: LoadedRun, change: RunChange, *, tasks: object = None) -> None:
    """The run as loaded is the run as last committed; what follows from tasks and plan is not stored."""
    persisted = replace(change.run, tasks=Table({}), tallies=Table({}), unfinished=0)
    assert header(found.header) == header(persisted)
    expected = change.run.tasks if tasks is None else tasks
    assert {one.path: one for one in found.tasks} == dict(expected)  # type: ignore[call-overload]
    assert found.revision == change.revision + 1


def header(run: RunState) -> tuple[object, ...]:
    return (
        run.id, run.status, run.phase, dict(run.tasks), run.outcome, run.failure, run.wind_up, run.cancels,
        run.started_at, run.finished_at,
    )  # fmt: skip


async def test_a_run_that_does_not_exist_is_none(kit: Kit) -> None:
    assert await kit.store.load(IDS.new()) is None
    assert await kit.store.load_outputs(IDS.new()) == {}


async def test_a_new_run_is_read_as_it_was_written(kit: Kit) -> None:
    before = await Owner(kit.store, kit.clock).start()
    run = Owner(
        kit.store, kit.clock, TWO, trigger_type="cron", trigger_id="nightly", triggered_by=IDS.new(),
        trigger={"at": 1}, input={"order": {"n": 7}}, variables={"region": "eu"}, correlation_id="c-1", priority=-2,
        admission_key="orders", admission_limit=3, parent_run_id=IDS.new(), retry_of=before.run_id,
        root_run_id=IDS.new(), causation_depth=4, created_at=17,
        start_key=start_key(expires_at=kit.clock.now() + SECOND),
    )  # fmt: skip
    change = run.starts()
    await run.commit(change)

    found = await loaded(kit, run)

    assert found.new == replace(run.new, start_key=None)
    assert (found.workflow_name, found.version_number) == ("orders", VERSION_NUMBER)
    assert found.tokens == {}
    assert_same(found, change)


async def test_a_run_is_the_root_of_its_own_family_unless_it_is_told_another(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()

    assert (await loaded(kit, run)).new.root_run_id == run.run_id


async def test_every_step_of_a_run_is_read_as_it_was_committed(kit: Kit) -> None:
    plan = plan_of(
        task("a", retry=RetryPlan(max_attempts=2, delay=SECOND)),
        task("b", "a"),
        task("c", "b", join=JoinRule.ONE_FAILED),
        timeout=60 * SECOND,
    )
    run = Owner(kit.store, kit.clock, plan)
    steps = [
        lambda: (Admitted(),),
        lambda: (run.fails("a"),),
        lambda: (run.completes("a", 2, {"n": 1}),),
        lambda: (PauseRequested(),),
        lambda: (TimerFired(TimerKind.RUN_TIMEOUT),),
        lambda: (CancelRequested("me"),),
    ]
    for step in steps:
        change = run.folds(*step())
        await run.commit(change)
        kit.clock.advance(SECOND)
        assert_same(await loaded(kit, run), change)
        await run.reload()


async def test_a_failed_run_keeps_its_failure_its_outcome_and_why_tasks_were_skipped(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, CHAIN).start()
    change = run.folds(run.fails("a"))
    await run.commit(change)

    found = await loaded(kit, run)

    assert_same(found, change)
    assert (found.header.status, found.header.outcome) == (RunStatus.FAILED, RunStatus.FAILED)
    by_path = {one.path: one for one in found.tasks}
    assert by_path["a"].failure == FAILURE
    assert by_path["b"].skip is SkipReason.JOIN
    assert found.header.finished_at == kit.clock.now()


@pytest.mark.parametrize("inline", [True, False])
async def test_a_running_task_is_read_as_ready_and_its_live_attempt_has_its_token(kit: Kit, inline: bool) -> None:
    worker = await registered(kit.store)
    run = Owner(kit.store, kit.clock, CHAIN)
    change = run.starts(claimed_by=worker if inline else None)
    await run.commit(change)
    if not inline:
        await claim(kit.store, worker)
    assert (await kit.row(tables.task_runs, path="a"))["status"] == "running"

    found = await loaded(kit, run)

    assert_same(found, change)
    assert {one.path: one.status for one in found.tasks}["a"] is TaskStatus.READY
    assert found.tokens == {("a", 1): run.token("a")}


async def test_only_live_attempts_have_a_token(kit: Kit) -> None:
    plan = plan_of(task("a", retry=RetryPlan(max_attempts=3, delay=0)), task("b"), task("c", "b"))
    run = await Owner(kit.store, kit.clock, plan).start()
    await run.fold(run.fails("a"), run.completes("b"))

    found = await loaded(kit, run)

    assert found.tokens == {("a", 2): run.token("a", 2), ("c", 1): run.token("c")}


async def test_who_cancelled_first_and_when_stays(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock).start(claimed_by=worker)
    await run.fold(CancelRequested("first"))
    since = kit.clock.now()
    kit.clock.advance(SECOND)
    await run.fold(CancelRequested("second"))

    row = await kit.row(tables.runs)
    assert (row["cancels"], row["cancelled_by"], row["cancelled_at"]) == (2, "first", since)
    assert (await loaded(kit, run)).header.cancels == 2


# --- outputs and values -----------------------------------------------------------------------------------------------


async def test_outputs_are_those_of_completed_tasks(kit: Kit) -> None:
    plan = plan_of(task("a"), task("b"), task("c", allow_failure=True), task("d"))
    run, other = [await Owner(kit.store, kit.clock, plan).start() for _ in range(2)]
    await other.fold(other.completes("a", output="not mine"))
    await run.fold(run.completes("a", output={"n": 1}), run.completes("b", output=None), run.fails("c"))

    assert await kit.store.load_outputs(run.run_id) == {"a": {"n": 1}, "b": None}


async def test_an_input_of_a_failed_task_is_kept_and_an_output_survives_later_changes(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    await run.fold(run.completes("a", output=[1]))
    await run.fold(run.fails("b"))
    change = run.folds()
    await run.commit(replace(change, tasks=tuple(change.run.tasks.values())))

    rows = {row["path"]: (row["input"], row["output"]) for row in await kit.rows(tables.task_runs)}
    assert rows == {"a": ('{"of":"a"}', "[1]"), "b": ('{"of":"b"}', None)}


VALUES: dict[str, JsonValue] = {
    "scripts of the world": {"Zoë": "日本語 Ελληνικά العربية", "🦄": "👩\u200d🚀 e\u0301 \u2028"},
    "quotes and controls": "'\"\\ % ? :x $1 {{ }} \x01\x1f\x7f\t\n\r",
    "integers at the edge of 64 bits": [MIN_INTEGER, -1, 0, 1, 2**53 + 1, MAX_INTEGER],
    "floats": [0.1, -0.0, 1e-323, 1.7976931348623157e308, 1.0, 123456789.123456789],
    "truths": [True, False, None],
    "nothing": [{}, [], "", {"": ""}, [None], [[]]],
    "a falsy number": 0,
    "an empty text": "",
    "false": False,
    "a megabyte of text": "aß☃𝄞" * 262_144,
    "many keys": {f"key {n}": n for n in range(5_000)},
}


def exactly(value: JsonValue) -> str:
    """Told apart as users would: 1 is not 1.0, and not true."""
    return json.dumps(value)


@pytest.mark.parametrize("name", VALUES)
async def test_a_value_comes_back_as_it_went_in(kit: Kit, name: str) -> None:
    value = VALUES[name]
    run = await Owner(kit.store, kit.clock, TWO, input={"v": value}, trigger={"v": value}).start()
    change = run.folds(run.completes("a", output=value))
    details = replace(FAILURE, message=json.dumps(value, ensure_ascii=False)[:1000], details={"v": value})
    await run.commit(replace(change, payloads={"a": TaskPayload(value, value)}))
    await run.fold(run.fails("b", failure=details))

    outputs = await kit.store.load_outputs(run.run_id)
    found = await loaded(kit, run)

    assert exactly(outputs["a"]) == exactly(value)
    assert exactly(found.new.input) == exactly(found.new.trigger) == exactly({"v": value})
    failure = {one.path: one.failure for one in found.tasks}["b"]
    assert failure == details


async def test_who_knows_a_revision_reads_what_came_after_it_alone(kit: Kit) -> None:
    """Two engines on one run of ten thousand tasks: what one did costs the other what it changed."""
    run = await Owner(kit.store, kit.clock, plan_of(task("a"), task("b"), task("c"))).start()
    await run.fold(run.completes("a", output=1))
    known = run.revision
    change = run.folds(run.fails("b"), run.completes("c", output=3))
    await run.commit(change)

    news = await kit.store.load(run.run_id, newer_than=known)

    assert news is not None
    assert {one.path: one for one in news.tasks} == {one.path: one for one in change.tasks}
    assert {one.path for one in news.tasks} == {"b", "c"}
    assert (news.revision, news.tokens) == (known + 1, {})
    assert await kit.store.load_outputs(run.run_id, newer_than=known) == {"c": 3}


async def test_the_tokens_of_what_came_after_a_revision_are_read_with_it(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, plan_of(task("a"), task("b"), task("c", "a"))).start()
    known = run.revision
    await run.fold(run.completes("a"))

    news = await kit.store.load(run.run_id, newer_than=known)

    assert news is not None
    assert news.tokens == {("c", 1): run.token("c")}
    everything = await kit.store.load(run.run_id)
    assert everything is not None
    assert set(everything.tokens) == {("b", 1), ("c", 1)}
