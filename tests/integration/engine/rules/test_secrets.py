"""Secrets reach the work and nothing else: not a log, not an output, not an error, not the input that is shown."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace.ports.runner import Completed, Failed, Outcome, RunnerContext
from tests.integration.engine.rules.rules_kit import Kit, engine_kit, task

TOKEN = "correct-horse-battery"


@pytest.fixture
async def kit(kind: str, tmp_path: Path) -> AsyncIterator[Kit]:
    async with engine_kit(kind, tmp_path, MILLRACE_SECRET_TOKEN=TOKEN) as made:
        yield made


async def leak(value: str, context: RunnerContext) -> Outcome:
    context.log(f"using {value}", metadata={"given": value})
    return Completed({value: [value, (f"in a tuple: {value}",)]})


async def leak_and_fail(value: str, context: RunnerContext) -> Outcome:
    return Failed.because(f"refused {value}", details={"given": [value]})


async def leak_and_raise(value: str, context: RunnerContext) -> Outcome:
    raise RuntimeError(f"cannot use {value}")


@pytest.mark.parametrize("work", [leak, leak_and_fail, leak_and_raise])
async def test_a_secret_is_given_to_the_work_and_masked_wherever_it_comes_back(kit: Kit, work) -> None:  # type: ignore[no-untyped-def]
    runner = kit.runners.add("leak", work)
    run_id = await kit.start(
        task("a", type="leak", config={"value": "{{ secrets.TOKEN }}"}, templated=True, secrets=frozenset({"TOKEN"}))
    )
    await kit.ends(run_id)
    assert runner.values == [TOKEN]
    stored = await _everything(kit)
    assert TOKEN not in stored
    assert "***" in stored


async def test_a_password_in_a_url_is_masked_in_the_input_that_is_shown_but_not_for_the_work(kit: Kit) -> None:
    runner = kit.runners.add("look", leak_nothing)
    url = "postgresql://someone:open-sesame@example.com/db"
    run_id = await kit.start(task("a", type="look", config={"value": url}))
    await kit.ends(run_id)
    assert runner.values == [url]
    ((shown,),) = await kit.rows("select input from task_runs where run_id = ?", run_id)
    assert json.loads(shown) == {"value": "postgresql://someone:***@example.com/db"}


async def test_a_secret_that_does_not_exist_refuses_the_task_and_names_the_remedy(kit: Kit) -> None:
    run = await kit.play(
        task("a", config={"value": "{{ secrets.OTHER }}"}, templated=True, secrets=frozenset({"OTHER"}))
    )
    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind == "refused"
    assert "MILLRACE_SECRET_OTHER" in failure.message


async def leak_nothing(value: str, context: RunnerContext) -> Outcome:
    return Completed()


async def _everything(kit: Kit) -> str:
    """All that is stored of all runs, as one text."""
    tables = ("runs", "task_runs", "attempts", "records", "logs", "inbox")
    return "\n".join([repr(row) for table in tables for row in await kit.rows(f"select * from {table}")])  # noqa: S608
