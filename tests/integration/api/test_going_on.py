"""A run that repeats another goes on where that one stopped: after what was decided, in the iteration that failed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import problem
from tests.support.repeat_kit import Repeats, Task, told
from tests.support.routing_kit import millrace_on

pytestmark = pytest.mark.both_databases

ASK: Task = {"id": "ask", "type": "approval", "config": {"message": "May {{ input.who }}?"}}


@pytest.fixture
async def kit(tmp_path: Path, database_url: str | None) -> AsyncIterator[Repeats]:
    async with millrace_on(tmp_path / "home", database_url) as millrace:
        yield Repeats(millrace, tmp_path)


async def asked_and_failed(kit: Repeats, *then: Task, **fields: object) -> str:
    """A run that failed after somebody had approved."""
    await kit.millrace.deploy("asking", tasks=[{**ASK, "then": list(then), **fields}, kit.works("last")])
    run = await kit.start("asking", who="ann")
    await kit.decide(run, comment="certainly")
    await kit.ends(run, "failed")
    return run


# --- waits that were over ---------------------------------------------------------------------------------------------


async def test_people_are_not_asked_again_and_what_they_said_can_be_read(kit: Repeats) -> None:
    said = "{{ tasks.ask.output.comment }}"
    then = [kit.works("first", said), kit.fails("second", "second-" + said, depends_on=["first"])]
    await kit.millrace.deploy("asking", tasks=[{**ASK, "then": then}, kit.works("last", "last-" + said)])
    run = await kit.start("asking", who="ann")
    await kit.decide(run, comment="certainly")
    await kit.ends(run, "failed")
    assert kit.done() == ["certainly", "second-certainly"]

    kit.mend()
    new = await kit.again(run, "completed")
    assert (await kit.asked(), told(new)) == (0, {})
    assert kit.done() == ["second-certainly", "last-certainly"]
    assert await kit.adopted(new["id"]) == {"first"}
    before, after = (await kit.tasks(run))["ask"], (await kit.tasks(new["id"]))["ask"]
    assert (after["output"], after["input"]) == (before["output"], before["input"])
    assert after["output"]["by"]
    assert (after["status"], after["block"], after["adopted_from"]) == ("completed", "then", None)


async def test_a_decision_holds_although_nothing_after_it_was_done(kit: Repeats) -> None:
    run = await asked_and_failed(kit, kit.fails("first"))
    kit.mend()
    new = await kit.again(run, "completed")
    assert (kit.done(), await kit.adopted(new["id"]), await kit.asked()) == (["first", "first", "last"], set(), 0)


async def test_what_was_refused_is_not_asked_again(kit: Repeats) -> None:
    ask = {**ASK, "then": [kit.works("good")], "else": [kit.fails("bad", "{{ tasks.ask.output.comment }}")]}
    await kit.millrace.deploy("asking", tasks=[ask])
    run = await kit.start("asking", who="ann")
    await kit.decide(run, approved=False, comment="never")
    await kit.ends(run, "failed")
    kit.mend()
    new = await kit.again(run, "completed")
    assert (kit.done(), (await kit.tasks(new["id"]))["ask"]["output"]["approved"]) == (["never", "never"], False)


async def test_a_rejection_without_else_is_asked_again(kit: Repeats) -> None:
    await kit.millrace.deploy("asking", tasks=[{**ASK, "then": [kit.works("good")]}])
    run = await kit.start("asking", who="ann")
    await kit.decide(run, approved=False)
    await kit.ends(run, "failed")
    new = await kit.millrace.post(f"/runs/{run}/retry")
    await kit.decide(new["id"])
    await kit.ends(new["id"], "completed")
    assert kit.done() == ["good"]


async def test_an_event_and_a_signal_need_not_come_again(kit: Repeats) -> None:
    event = {"id": "event", "type": "wait_for_event", "config": {"type": "paid"}, "depends_on": [],
             "then": [kit.fails("a", "{{ tasks.event.output.event.data.n }}")]}  # fmt: skip
    signal = {"id": "signal", "type": "wait_for_event", "config": {"signal": "go"}, "depends_on": [],
              "then": [kit.fails("b", "{{ tasks.signal.output.signal.data }}")]}  # fmt: skip
    late = {"id": "late", "type": "wait_for_event", "timeout": "1ms", "config": {"type": "never"}, "depends_on": [],
            "else": [kit.fails("c", "{{ tasks.late.output.timed_out }}")]}  # fmt: skip
    await kit.millrace.deploy("waiting", tasks=[event, signal, late])
    run = await kit.start("waiting")
    await kit.waits(run, "event")
    await kit.millrace.publish("paid", data={"n": 7})
    await kit.millrace.post(f"/runs/{run}/signal", name="go", data="now")
    await kit.ends(run, "failed")
    assert sorted(kit.done()) == ["7", "now", "true"]
    kit.mend()
    new = await kit.again(run, "completed")
    assert (sorted(kit.done()), told(new)) == (["7", "now", "true"], {})


async def test_people_are_asked_again_by_another_question(kit: Repeats) -> None:
    run = await asked_and_failed(kit, kit.works("first"), kit.fails("second", depends_on=["first"]))
    kit.mend()
    new = await kit.millrace.post(f"/runs/{run}/retry", input={"who": "bob"})
    assert told(new) == {"ask": "it reads input.who, which is another now"}
    await kit.decide(new["id"])
    await kit.ends(new["id"], "completed")
    assert kit.done() == ["first", "second", "first", "second", "last"]


async def test_a_run_begins_with_a_task_after_a_decision(kit: Repeats) -> None:
    await kit.millrace.deploy("asking", tasks=[{**ASK, "then": [kit.works("a"), kit.works("b", depends_on=["a"])]}])
    run = await kit.start("asking", who="ann")
    await kit.decide(run)
    await kit.ends(run, "completed")
    new = await kit.again(run, "completed", "rerun", from_task="b")
    assert (kit.done(), await kit.adopted(new["id"])) == (["a", "b", "b"], {"a"})
    assert told(new) == {"ask": "b in it is done again", "b": "the new run begins with it"}


async def test_a_retry_of_a_retry_knows_what_was_decided_in_the_first(kit: Repeats) -> None:
    run = await asked_and_failed(kit, kit.works("first"), kit.fails("second", depends_on=["first"]))
    second = await kit.again(run, "failed")
    kit.mend()
    third = await kit.again(second["id"], "completed")
    assert kit.done() == ["first", "second", "second", "second", "last"]
    assert (await kit.tasks(third["id"]))["ask"]["output"]["comment"] == "certainly"
    assert (await kit.tasks(third["id"]))["first"]["adopted_from"] == run


async def test_a_retry_of_a_run_that_never_came_to_it_knows_what_was_decided(kit: Repeats) -> None:
    inner = {**ASK, "then": [kit.fails("first")]}
    group = {"id": "group", "type": "sequential", "tasks": [kit.works("before"), inner]}
    await kit.millrace.deploy("asking", tasks=[group], concurrency={"limit": 1})
    run = await kit.start("asking", who="ann")
    await kit.decide(run)
    await kit.ends(run, "failed")
    holder = await kit.start("asking", who="bob")
    await kit.waits(holder, "ask")
    second = (await kit.millrace.post(f"/runs/{run}/retry"))["id"]
    await kit.millrace.post(f"/runs/{second}/cancel")
    await kit.ends(second, "cancelled")
    assert set(await kit.tasks(second)) == {"group", "before"}
    await kit.millrace.post(f"/runs/{holder}/cancel")
    await kit.ends(holder, "cancelled")
    kit.done()
    kit.mend()
    third = await kit.again(second, "completed")
    assert (kit.done(), await kit.asked()) == (["first"], 0)
    assert (await kit.tasks(third["id"]))["before"]["adopted_from"] == run


async def test_a_decision_holds_in_the_new_version_that_mends_what_follows(kit: Repeats) -> None:
    run = await asked_and_failed(kit, kit.fails("first"))
    tasks = [{**ASK, "then": [kit.works("first", "mended")]}, kit.works("last")]
    answer = await kit.millrace.api.put("/api/v1/workflows/asking", json={"name": "asking", "tasks": tasks})
    assert answer.status_code == 200, answer.text
    await kit.again(run, "completed", version="newest")
    assert kit.done() == ["first", "mended", "last"]


async def test_a_run_begins_within_what_the_run_before_had_taken_over(kit: Repeats) -> None:
    inner = [kit.works("load", "{{ item }}"), kit.works("store", "{{ item }}", depends_on=["load"])]
    items = {"items": "{{ [run.id] }}"}
    each = {"id": "each", "type": "foreach", "config": items, "depends_on": [], "tasks": inner}
    ask = {**ASK, "then": [kit.works("a", "{{ tasks.ask.output.comment }}")], "depends_on": []}
    await kit.millrace.deploy("asking", tasks=[each, ask, kit.fails("last", depends_on=["each", "ask"])])
    first = await kit.start("asking", who="ann")
    await kit.decide(first, comment="certainly")
    await kit.ends(first, "failed")
    second = await kit.again(first, "failed")
    assert await kit.adopted(second["id"]) == {"each", "each[0].load", "each[0].store", "ask", "a"}
    kit.mend()
    for path, trace in (("each[0].store", first), ("a", "certainly")):
        kit.done()
        await kit.again(second["id"], "completed", "rerun", from_task=path)
        assert kit.done() == [trace, "last"]


# --- while ------------------------------------------------------------------------------------------------------------


def pages(*tasks: Task, **config: object) -> Task:
    return {"id": "pages", "type": "while", "config": {"condition": "{{ index < 5 }}", **config}, "tasks": list(tasks)}


async def test_a_while_goes_on_in_the_iteration_that_failed_with_what_came_before(kit: Repeats) -> None:
    so_far = "{{ default(previous, 'start') }}"
    loop = pages(
        kit.works("page", "page-{{ index }}"),
        kit.fails("store", "{{ index }}-after-" + so_far, only="{{ index == 3 }}", depends_on=["page"]),
        output="{{ default(previous, '') }}{{ index }}",
    )
    await kit.millrace.deploy("paged", tasks=[loop, kit.works("last", "{{ tasks.pages.output.result }}")])
    run = await kit.fails_once("paged")
    assert kit.done()[-2:] == ["page-3", "3-after-012"]

    kit.mend()
    new = await kit.again(run, "completed")
    assert kit.done() == ["3-after-012", "page-4", "4-after-0123", "01234"]
    assert await kit.adopted(new["id"]) == {f"pages[{n}].{one}" for n in range(4) for one in ("page", "store")} - {
        "pages[3].store"
    }
    assert (await kit.tasks(new["id"]))["pages"]["output"] == {"iterations": 5, "result": "01234"}
    assert told(new) == {}


async def test_what_iterations_came_to_is_as_it_was(kit: Repeats) -> None:
    loop = pages(kit.fails("store", "{{ previous }}", only="{{ index == 2 }}"), output="{{ run.id }}-{{ index }}")
    await kit.millrace.deploy("paged", tasks=[loop])
    run = await kit.fails_once("paged")
    second = await kit.again(run, "failed")
    assert kit.done()[-2:] == [f"{run}-1", f"{run}-1"]
    kit.mend()
    await kit.again(second["id"], "completed")
    assert kit.done()[0] == f"{run}-1"


async def test_what_an_iteration_came_to_that_is_done_again_is_made_anew(kit: Repeats) -> None:
    loop = pages(kit.works("store"), kit.fails("more", only="{{ index == 1 }}"), condition="{{ index < 2 }}",
                 output="{{ run.id }}-{{ index }}")  # fmt: skip
    await kit.millrace.deploy("paged", tasks=[loop, kit.works("last", "{{ tasks.pages.output.result }}")])
    run = await kit.fails_once("paged")
    kit.mend()
    kit.done()
    new = await kit.again(run, "completed", "rerun", from_task="pages[0].store")
    assert kit.done()[-1] == f"{new['id']}-1"
    assert (await kit.tasks(new["id"]))["pages"]["output"] == {"iterations": 2, "result": f"{new['id']}-1"}


async def test_an_iteration_that_had_begun_runs_whatever_the_condition_says_now(kit: Repeats) -> None:
    only_in_the_first_run = "{{ index == 0 || (index == 1 && previous == run.id) }}"
    loop = pages(
        kit.fails("store", "{{ index }}", only="{{ index == 1 }}"),
        condition=only_in_the_first_run,
        output="{{ run.id }}",
    )
    await kit.millrace.deploy("paged", tasks=[loop])
    run = await kit.fails_once("paged")
    kit.mend()
    await kit.again(run, "completed")
    assert kit.done() == ["0", "1", "1"]


async def test_a_run_begins_with_a_task_in_an_iteration_of_a_while(kit: Repeats) -> None:
    loop = pages(
        kit.works("page", "page-{{ index }}"),
        kit.works("store", "{{ index }}-after-{{ default(previous, 'start') }}", depends_on=["page"]),
        condition="{{ index < 4 }}", output="{{ default(previous, '') }}{{ index }}",
    )  # fmt: skip
    await kit.millrace.deploy("paged", tasks=[loop, kit.works("last", "{{ tasks.pages.output.result }}")])
    run = await kit.start("paged")
    await kit.ends(run, "completed")
    kit.done()
    new = await kit.again(run, "completed", "rerun", from_task="pages[2].store")
    assert kit.done() == ["2-after-01", "page-3", "3-after-012", "0123"]
    assert told(new) == {
        "pages": "pages[2].store in it is done again",
        "pages[2].store": "the new run begins with it",
        "pages[3].page": "it comes after iteration 2",
        "pages[3].store": "it comes after iteration 2",
        "last": "it comes after pages",
    }


async def test_a_while_begins_anew_when_what_it_reads_is_another(kit: Repeats) -> None:
    loop = pages(kit.fails("store", "{{ index }}", only="{{ index == 1 }}"), condition="{{ index < input.most }}")
    await kit.millrace.deploy("paged", tasks=[loop])
    run = await kit.fails_once("paged", most=2)
    kit.mend()
    new = await kit.again(run, "completed", input={"most": 3})
    assert kit.done() == ["0", "1", "0", "1", "2"]
    assert told(new) == {"pages": "it reads input.most, which is another now"}


async def test_a_decision_in_an_iteration_of_a_while_is_kept(kit: Repeats) -> None:
    ask = {**ASK, "then": [kit.fails("store", "{{ index }}-{{ tasks.ask.output.comment }}", only="{{ index == 1 }}")]}
    await kit.millrace.deploy("paged", tasks=[pages(ask, condition="{{ index < 2 }}")])
    run = await kit.start("paged", who="ann")
    for index in (0, 1):
        await kit.decide(run, f"pages[{index}].ask", comment=f"yes{index}")
    await kit.ends(run, "failed")
    kit.mend()
    new = await kit.again(run, "completed")
    assert (kit.done(), await kit.asked()) == (["0-yes0", "1-yes1", "1-yes1"], 0)
    assert (await kit.tasks(new["id"]))["pages"]["output"]["iterations"] == 2


@pytest.mark.parametrize("path", ["pages[9].store", "pages[-1].store"])
async def test_a_run_cannot_begin_in_an_iteration_that_there_was_not(kit: Repeats, path: str) -> None:
    await kit.millrace.deploy("paged", tasks=[pages(kit.works("store"), condition="{{ index < 1 }}")])
    run = await kit.start("paged")
    await kit.ends(run, "completed")
    answer = await kit.millrace.api.post(f"/api/v1/runs/{run}/rerun", json={"from_task": path})
    (fault,) = problem(answer, 422, "unknown_task")["faults"]
    assert fault["message"] == f"run {run} did not come to {path}"
