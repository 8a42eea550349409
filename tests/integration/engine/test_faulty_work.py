"""What a plug-in may do wrong costs its own attempt, and nothing else: not the worker, not the engine, no other run."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import BaseModel, ValidationError

from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import RetryPlan
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from millrace.ports.runner import Completed, Failed
from millrace.ports.store import ClaimRequest, CommitReply, RunChange, TaskPayload
from millrace.worker.attempt import LARGEST_OUTPUT
from tests.support.engine_kit import Kit, chain, plan, task
from tests.support.scripted_work import completes, fails, hangs, logs, raises, returns
from tests.support.stores import OverStore


class FloatOfALibrary(float):
    """As numerical libraries have them: a float to everyone but the JSON encoder."""


class SpoilingStore(OverStore):
    """The real store, but the output of the task `spoiled` turns into something no database takes."""

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        spoiled = [
            replace(change, payloads={"spoiled": TaskPayload(output="\ud800")})
            if any(task.path == "spoiled" and task.failures == 0 and task.finished_at for task in change.tasks)
            else change
            for change in changes
        ]
        return await self.real.commit(spoiled, claim)


@pytest.mark.parametrize("type_", ["scripted", "instant"])
@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (math.nan, "finite"),
        ({"a": [1, math.inf]}, "output.a[1]"),
        ("a\0b", "NUL"),
        ("a\ud800b", "surrogate"),
        (2**63, "64 bits"),
        ({1: "a"}, "keys must be text"),
        (b"bytes", "bytes is not a JSON value"),
        ("x" * LARGEST_OUTPUT, "the limit is"),
        (FloatOfALibrary(1.5), "FloatOfALibrary"),
    ],
)
async def test_an_output_that_cannot_be_stored_fails_its_task(
    kit: Kit, type_: str, output: object, reason: str
) -> None:
    machine = await kit.machine()
    kit.work.script(a=returns(Completed(output)))  # type: ignore[arg-type]

    run = await machine.run(plan(task("a", type_=type_)))

    assert run.status is RunStatus.FAILED
    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_OUTPUT
    assert reason in failure.message


@pytest.mark.parametrize("type_", ["scripted", "instant"])
@pytest.mark.parametrize("outcome", [None, "done", {"output": 1}, Failed("no failure"), Failed(None)])  # type: ignore[arg-type]
async def test_what_is_no_outcome_is_recorded_as_an_error(kit: Kit, type_: str, outcome: object) -> None:
    machine = await kit.machine()
    kit.work.script(a=returns(outcome))

    run = await machine.run(plan(task("a", type_=type_)))

    assert run.tasks["a"].failure is not None
    assert run.tasks["a"].failure.kind is FailureKind.ERROR
    assert (await machine.run(chain(2))).status is RunStatus.COMPLETED


@pytest.mark.parametrize("type_", ["scripted", "instant"])
async def test_an_exception_that_escapes_is_recorded_with_its_type_and_message(kit: Kit, type_: str) -> None:
    machine = await kit.machine()
    kit.work.script(a=raises(KeyError("colour")))

    run = await machine.run(plan(task("a", type_=type_)))

    assert run.tasks["a"].failure == Failure(FailureKind.ERROR, "KeyError: 'colour'")


class Reading(BaseModel):
    celsius: int
    places: list[int]


async def test_values_that_a_runner_could_not_read_are_not_quoted_in_its_error(kit: Kit) -> None:
    machine = await kit.machine()
    with pytest.raises(ValidationError) as caught:
        Reading.model_validate({"celsius": "hush-hush", "places": [1, "hush-hush"]})
    kit.work.script(a=raises(caught.value))
    run = await machine.run(plan(task("a")))

    failure = run.tasks["a"].failure
    assert failure is not None
    assert "hush-hush" not in failure.message
    assert failure.message.startswith("ValidationError: celsius: Input should be a valid integer")
    assert "; places.1: Input should be" in failure.message


async def test_a_runner_that_cancels_itself_has_failed_and_was_not_lost(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=raises(asyncio.CancelledError()))

    run = await machine.run(plan(task("a")))

    assert run.tasks["a"].crashes == 0
    assert run.tasks["a"].failure is not None
    assert run.tasks["a"].failure.kind is FailureKind.ERROR


async def test_a_runner_that_promised_never_to_suspend_and_does_has_failed(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=hangs())

    run = await machine.run(plan(task("a", type_="instant")))

    assert run.tasks["a"].failure == Failure(FailureKind.ERROR, "RuntimeError: a runner that is `instant` suspended")


async def test_a_task_type_that_this_worker_has_not_is_refused_and_not_retried(kit: Kit) -> None:
    machine = await kit.machine()

    run = await machine.run(plan(task("a", type_="teleport", retry=RetryPlan(max_attempts=3))))

    assert run.tasks["a"].attempt == 1
    assert run.tasks["a"].failure == Failure(FailureKind.REFUSED, "this worker has no task type 'teleport'")


@pytest.mark.parametrize("type_", ["scripted", "instant"])
async def test_an_outcome_that_the_database_refuses_fails_its_own_run_only(kit: Kit, type_: str) -> None:
    machine = await kit.machine(slots=20, store=SpoilingStore(kit.own_store()))

    poisoned, *healthy = await asyncio.gather(
        machine.run(plan(task("spoiled", type_=type_))), *(machine.run(chain(3)) for _ in range(10))
    )

    assert poisoned.status is RunStatus.FAILED
    assert poisoned.tasks["spoiled"].failure is not None
    assert poisoned.tasks["spoiled"].failure.kind is FailureKind.INVALID_OUTPUT
    assert "the database refused the outcome" in poisoned.tasks["spoiled"].failure.message
    assert {run.status for run in healthy} == {RunStatus.COMPLETED}
    assert await kit.problems() == []


@pytest.mark.parametrize("type_", ["scripted", "instant"])
async def test_a_failure_is_stored_whatever_its_text_and_details_hold(kit: Kit, type_: str) -> None:
    machine = await kit.machine()
    kit.work.script(a=fails("half a character: \ud800, NUL: \0, long: " + "x" * 100_000, number=2**70))

    run = await machine.run(plan(task("a", type_=type_)))

    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind is FailureKind.ERROR
    assert failure.message.startswith("half a character: ?, NUL: \N{REPLACEMENT CHARACTER}, long: xxx")
    assert failure.message.endswith("characters cut]")
    assert failure.details == {"invalid": "details.number: integers must fit in 64 bits; write larger ones as text"}


async def test_a_tuple_is_an_array_and_its_secrets_are_masked(kit: Kit) -> None:
    kit.masker.learn(["hunter2hunter2"])
    machine = await kit.machine()
    kit.work.script(a=returns(Completed(("fine", ("hunter2hunter2",)))))  # type: ignore[arg-type]

    run = await machine.run(plan(task("a")))

    assert run.status is RunStatus.COMPLETED
    assert await kit.value("select output from task_runs") == '["fine",["***"]]'


@pytest.mark.parametrize("metadata", [{"n": 2**70}, {"when": object()}, {1: "a"}, {"text": "\ud800"}])
async def test_log_metadata_that_cannot_be_stored_costs_neither_the_line_nor_the_lines_of_others(
    kit: Kit, metadata: dict[object, object]
) -> None:
    machine = await kit.machine()
    kit.work.script(
        bad=logs("of the bad", metadata=metadata, then=hangs()),
        good=logs("of the good", then=hangs()),
    )
    run_id = await machine.begin(plan(task("bad", timeout=SECOND), task("good", timeout=SECOND)))
    await machine.end(run_id)

    lines = await kit.rows("select text from logs where run_id = :run order by text", run=run_id)
    assert [line.text for line in lines] == ["of the bad", "of the good"]


async def test_an_unknown_log_level_costs_nothing(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs("careful", level="critical"))

    run = await machine.run(plan(task("a")))

    assert run.status is RunStatus.COMPLETED
    lines = await kit.rows("select level, text from logs")
    assert [tuple(line) for line in lines] == [("info", "careful")]


async def test_a_config_that_its_type_does_not_accept_is_invalid_input(kit: Kit) -> None:
    machine = await kit.machine()

    run = await machine.run(plan(task("a", config=["no", "object"]), task("b", "a")))

    assert run.tasks["a"].failure is not None
    assert run.tasks["a"].failure.kind is FailureKind.INVALID_INPUT
    assert kit.work.journal == []


async def test_a_good_output_reaches_the_next_task(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=completes({"n": 41}))
    templated = task("b", "a", config={"given": "{{ tasks.a.output.n + 1 }}"}, templated=True)

    await machine.run(plan(task("a"), templated))

    assert [ran.config for ran in kit.work.attempts_of("b")] == [{"given": 42}]
