"""Log lines: numbered per run, in order, there with the outcome; and nothing secret is stored anywhere."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import RetryPlan
from millrace.core.states import RunStatus
from millrace.core.values import SECOND
from millrace.ports.runner import Failed
from millrace.storage import tables
from millrace.worker.logs import BURST, LINES_PER_SECOND
from tests.support.engine_kit import Kit, chain, plan, task
from tests.support.scripted_work import Behaviour, Ran, completes, fails, hangs, held_by, logs, raises, returns, takes

SECRET = "correct horse/battery+staple"


async def lines_of(kit: Kit, run_id: str) -> Sequence[Any]:
    found = await kit.rows(
        "select seq, path, attempt, level, text from logs where run_id = :run order by seq", run=run_id
    )
    assert [row.seq for row in found] == list(range(1, len(found) + 1))
    return found


@pytest.mark.parametrize("type_", ["scripted", "instant"])
async def test_whoever_sees_the_outcome_sees_all_lines(kit: Kit, type_: str) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs("one", "two", "three"))
    run_id = await machine.begin(plan(task("a", type_=type_), task("b", "a")))
    await machine.end(run_id)

    assert [row.text for row in await lines_of(kit, run_id)] == ["one", "two", "three"]


async def test_lines_are_stored_while_the_attempt_runs(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs("I am still here", then=hangs()))
    run_id = await machine.begin(plan(task("a")))
    await kit.until(lambda: lines_of(kit, run_id), limit=1.0)


async def test_lines_of_all_attempts_are_kept_and_say_whose_they_are(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=[logs("first", then=fails()), logs("second", level="warning")], b=logs("other"))
    retried = plan(task("a", retry=RetryPlan(max_attempts=2)), task("b", "a"))
    run_id = await machine.begin(retried)
    await machine.end(run_id)

    assert [(row.path, row.attempt, row.level, row.text) for row in await lines_of(kit, run_id)] == [
        ("a", 1, "info", "first"), ("a", 2, "warning", "second"), ("b", 1, "info", "other"),
    ]  # fmt: skip


async def test_the_lines_of_an_attempt_that_was_ended_are_kept(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs("before the end", then=hangs()))
    run_id = await machine.begin(plan(task("a", timeout=SECOND)))
    await machine.end(run_id)
    assert [row.text for row in await lines_of(kit, run_id)] == ["before the end"]


async def test_lines_of_many_tasks_are_numbered_without_gaps(kit: Kit) -> None:
    machine = await kit.machine(slots=20)
    for number in range(10):
        kit.work.script(**{f"p{number}": logs(*map(str, range(50)), then=takes(0.1, logs("end")))})
    run_id = await machine.begin(plan(*(task(f"p{number}") for number in range(10))))
    await machine.end(run_id)

    found = await lines_of(kit, run_id)
    assert len(found) == 510
    for number in range(10):
        assert [row.text for row in found if row.path == f"p{number}"] == [*map(str, range(50)), "end"]


async def test_beyond_the_rate_lines_are_dropped_and_counted(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs(*map(str, range(BURST + 700)), then=takes(1.0, logs("after a second"))))
    run_id = await machine.begin(plan(task("a")))
    await machine.end(run_id)

    found = await lines_of(kit, run_id)
    assert len(found) == BURST + 2
    assert found[-2].level == "warning"
    assert found[-2].text.startswith(f"700 lines were dropped: more than {LINES_PER_SECOND} lines a second")
    assert found[-1].text == "after a second"


async def test_lines_that_were_dropped_last_are_counted_when_the_attempt_ends(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs(*map(str, range(BURST + 3))))
    run_id = await machine.begin(plan(task("a")))
    await machine.end(run_id)
    assert (await lines_of(kit, run_id))[-1].text.startswith("3 lines were dropped")


async def test_a_very_long_line_is_cut_and_says_so(kit: Kit) -> None:
    machine = await kit.machine()
    kit.work.script(a=logs("x" * 20_000 + "\0"))
    run_id = await machine.begin(plan(task("a")))
    await machine.end(run_id)
    (line,) = await lines_of(kit, run_id)
    assert line.text == "x" * 16_384 + "… [3617 characters cut]"


async def test_followers_are_told_of_lines_before_the_attempt_ends(kit: Kit) -> None:
    machine = await kit.machine()
    gate = asyncio.Event()
    kit.work.script(a=held_by(gate, logs("news", then=hangs())))
    run_id = await machine.begin(plan(task("a")))
    await kit.until(lambda: kit.work.under_way)
    told = asyncio.create_task(machine.bus.wait(run_id, 2.0))
    await asyncio.sleep(0)
    gate.set()
    assert await told


# --- secrets ----------------------------------------------------------------------------------------------------------


def leaks(how: str) -> Behaviour:
    """Give the secret that the config brought away, in one of the ways that work has."""

    async def behave(ran: Ran) -> Any:
        secret = str(ran.config["password"])
        forms = [secret, base64.b64encode(secret.encode()).decode(), quote(secret, safe="")]
        match how:
            case "log":
                for form in forms:
                    ran.log(f"my {form}", metadata={"form": form, form: 1})
                return await completes()(ran)
            case "output":
                return await completes({"forms": list(forms), secret: {"deep": [secret]}})(ran)
            case "failure":
                return await fails(" ".join(forms), deep=[secret])(ran)
            case "exception":
                return await raises(ValueError(secret))(ran)
            case "bad output":
                return await completes({secret: float("nan")})(ran)
            case _:
                return await returns(Failed(Failure(FailureKind.ERROR, "m", {"a": {secret: secret}})))(ran)

    return behave


@pytest.mark.parametrize("how", ["log", "output", "failure", "exception", "bad output", "details"])
async def test_a_secret_is_stored_nowhere_however_work_gives_it_away(
    kit: Kit, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    kit.environment["MILLRACE_SECRET_DB"] = SECRET
    machine = await kit.machine()
    kit.work.script(a=leaks(how))
    templated = task("a", config={"password": "{{ secrets.DB }}"}, templated=True, secrets=frozenset({"DB"}))

    await machine.run(plan(templated, task("b", "a")))

    assert kit.work.journal[0].config == {"password": SECRET}
    for form in (SECRET, base64.b64encode(SECRET.encode()).decode(), quote(SECRET, safe="")):
        for table in tables.metadata.sorted_tables:
            rows = await kit.rows(f"select * from {table.name}")  # noqa: S608
            assert not [row for row in rows if form in str(tuple(row))], table.name
        assert form not in caplog.text
    assert await kit.value("select input from task_runs where path = 'a'") == '{"password":"***"}'


async def test_a_secret_that_is_not_defined_is_refused_by_name(kit: Kit) -> None:
    machine = await kit.machine()
    templated = task("a", config={"password": "{{ secrets.DB }}"}, templated=True, secrets=frozenset({"DB"}))

    run = await machine.run(plan(templated))

    failure = run.tasks["a"].failure
    assert failure is not None
    assert failure.kind is FailureKind.REFUSED
    assert "'DB'" in failure.message
    assert (await machine.run(chain(1))).status is RunStatus.COMPLETED
