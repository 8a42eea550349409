"""Expressions that decide the path are evaluated by the engine; one without a value fails its task or run, no more."""

from millrace.ports.runner import Completed
from millrace.ports.store import ClaimedAttempt, InboxItem, TaskPayload
from millrace.ports.worker import Report
from tests.integration.engine.rules.rules_kit import Kit, closing, handler, task, until
from tests.unit.definition.example import plan


async def test_a_condition_sees_outputs_of_the_same_fold_and_skips_what_it_does_not_hold_for(kit: Kit) -> None:
    run = await kit.play(
        task("a", config={"value": 3}),
        task("yes", "a", condition="tasks.a.output == 3"),
        task("no", "a", condition="tasks.a.output > 3"),
    )
    assert run.status == "completed"
    assert {path: one.status for path, one in run.tasks.items()} == {
        "a": "completed", "yes": "completed", "no": "skipped",
    }  # fmt: skip


async def test_a_condition_without_a_value_fails_its_task(kit: Kit) -> None:
    run = await kit.play(task("a", condition="input.missing == 1"), task("b", "a"), handler("h"))
    failure = run.tasks["a"].failure
    assert failure is not None
    assert (run.status, failure.kind) == ("failed", "expression")
    assert "missing" in failure.message
    assert {path: one.status for path, one in run.tasks.items()} == {"a": "failed", "b": "skipped", "h": "completed"}


async def test_a_condition_that_is_neither_true_nor_false_fails_its_task(kit: Kit) -> None:
    run = await kit.play(task("a", condition="1 + 1"))
    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind == "expression"
    assert "true or false" in failure.message


async def test_the_output_of_a_run_is_made_when_its_main_part_has_ended(kit: Kit) -> None:
    run_id = await kit.start(task("a", config={"value": 3}), output={"sum": "{{ tasks.a.output + 1 }}"})
    assert (await kit.ends(run_id)).status == "completed"
    assert await kit.rows("select output from runs where id = ?", run_id) == [('{"sum":4}',)]


async def test_an_output_without_a_value_fails_the_run_which_still_runs_its_finally(kit: Kit) -> None:
    run = await kit.play(task("a"), closing("f"), output={"sum": "{{ tasks.b.output }}"})
    assert run.failure is not None
    assert (run.status, run.failure.kind, run.tasks["f"].status) == ("failed", "expression", "completed")


async def test_a_config_without_a_value_fails_its_attempt_before_any_work_is_done(kit: Kit) -> None:
    done = kit.runners.get("done")
    run = await kit.play(task("a", config={"value": "{{ input.missing }}"}, templated=True))
    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind == "expression"
    assert done.calls == []  # type: ignore[union-attr]


async def test_an_engine_that_loads_a_run_evaluates_with_the_outputs_that_are_stored(kit: Kit) -> None:
    run_id = await kit.start(
        task("a", config={"value": 3}),
        task("b", "a", queue="elsewhere"),
        task("c", "b", condition="tasks.a.output == 3"),
    )
    scheduled = "select token from attempts where run_id = ? and path = 'b'"
    await until(lambda: kit.rows(scheduled, run_id))
    other = await kit.process()
    ((token,),) = await kit.rows(scheduled, run_id)
    attempt = ClaimedAttempt(run_id, "b", 1, token, None)
    other.engine.report(Report(attempt, Completed(), TaskPayload()))
    run = await kit.ends(run_id, other.engine)
    assert (run.status, run.tasks["c"].status) == ("completed", "completed")


async def test_an_engine_that_loads_a_run_knows_what_the_iteration_before_came_to(kit: Kit) -> None:
    wait = {"id": "wait", "type": "wait_for_event", "config": {"signal": "go_on"}}
    config = {"condition": "{{ index < 3 }}", "output": "{{ default(previous, 0) + index + 1 }}"}
    loop = {"id": "loop", "type": "while", "config": config, "tasks": [wait]}
    new = await kit.new(plan({"name": "w", "tasks": [loop]}))
    run_id = (await kit.begin(new)).run_id
    outputs = "select output from task_runs where run_id = ? and path = 'loop'"
    for so_far in ('{"iterations":1,"result":1}', '{"iterations":2,"result":3}'):
        await kit.post(run_id, "signal", name="go_on")
        await kit.settled()
        assert await kit.rows(outputs, run_id) == [(so_far,)]
    other = await kit.process()
    await kit.store.post([item := InboxItem(kit.ids.new(), run_id, "signal", {"name": "go_on"})])
    other.engine.receive([item])
    assert (await kit.ends(run_id, other.engine)).status == "completed"
    assert await kit.rows(outputs, run_id) == [('{"iterations":3,"result":6}',)]
