"""The retry of a run whose sub-workflow failed: its new child repeats the earlier one, and so do children of that."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.repeat_kit import Repeats, Task, told
from tests.support.routing_kit import millrace_on


@pytest.fixture
async def kit(tmp_path: Path, database_url: str | None) -> AsyncIterator[Repeats]:
    async with millrace_on(tmp_path / "home", database_url) as millrace:
        yield Repeats(millrace, tmp_path)


def sub(workflow: str = "child", **config: Any) -> Task:
    return {"id": "sub", "type": "sub_workflow", "config": {"workflow": workflow, **config}}


async def child_of(kit: Repeats, run: str, path: str = "sub") -> Task:
    """The run that a sub-workflow task waited for."""
    found: Task = await kit.millrace.get(f"/runs/{(await kit.tasks(run))[path]['child_run_id']}")
    return found


async def a_child_that_fails(kit: Repeats, **fields: Any) -> None:
    tasks = [kit.works("first"), kit.fails("second", depends_on=["first"]), kit.works("third", depends_on=["second"])]
    await kit.millrace.deploy("child", tasks=tasks, **fields)


async def put(kit: Repeats, name: str, *tasks: Task) -> None:
    answer = await kit.millrace.api.put(f"/api/v1/workflows/{name}", json={"name": name, "tasks": list(tasks)})
    assert answer.status_code == 200, answer.text


async def test_only_what_failed_in_the_child_is_done_again(kit: Repeats) -> None:
    await a_child_that_fails(kit, output={"done": "{{ tasks.first.output.stdout }}"})
    await kit.millrace.deploy("parent", tasks=[kit.works("before"), sub(), kit.works("after")])
    run = await kit.fails_once("parent")
    assert kit.done() == ["before", "first", "second"]
    kit.mend()
    new = await kit.again(run, "completed")
    assert kit.done() == ["second", "third", "after"]
    assert told(new) == {}
    old_child, new_child = await child_of(kit, run), await child_of(kit, new["id"])
    assert (new_child["retry_of"], new_child["parent"]) == (old_child["id"], new["id"])
    assert new_child["done_again"] == []
    assert await kit.adopted(new_child["id"]) == {"first"}
    output = (await kit.tasks(new["id"]))["sub"]["output"]
    assert (output["run_id"], output["status"]) == (new_child["id"], "completed")
    assert output["output"] == {"done": "first\n"}


async def test_children_of_children_go_on_too_also_in_a_retry_of_a_retry(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    await kit.millrace.deploy("middle", tasks=[kit.works("between"), sub(), kit.works("late")])
    await kit.millrace.deploy("parent", tasks=[sub("middle"), kit.works("after")])
    run = await kit.fails_once("parent")
    assert kit.done() == ["between", "first", "second"]
    second = await kit.again(run, "failed")
    assert kit.done() == ["second"]
    kit.mend()
    third = await kit.again(second["id"], "completed")
    assert kit.done() == ["second", "third", "late", "after"]
    lines = []
    for one in (run, second["id"], third["id"]):
        middle = await child_of(kit, one)
        lines.append((middle, await child_of(kit, middle["id"])))
    assert [line[0]["retry_of"] for line in lines] == [None, lines[0][0]["id"], lines[1][0]["id"]]
    assert [line[1]["retry_of"] for line in lines] == [None, lines[0][1]["id"], lines[1][1]["id"]]
    assert (await kit.tasks(lines[2][1]["id"]))["first"]["adopted_from"] == lines[0][1]["id"]


async def test_a_child_in_a_loop_goes_on_with_the_run_of_its_item(kit: Repeats) -> None:
    tasks = [kit.works("first", "first-{{ input.n }}"),
             kit.fails("second", "second-{{ input.n }}", only="{{ input.n == 1 }}", depends_on=["first"])]  # fmt: skip
    await kit.millrace.deploy("child", tasks=tasks)
    each = {"id": "each", "type": "foreach", "config": {"items": "{{ [0, 1, 2] }}", "concurrency": 1},
            "tasks": [sub(input={"n": "{{ item }}"})]}  # fmt: skip
    await kit.millrace.deploy("parent", tasks=[each])
    run = await kit.fails_once("parent")
    assert len(kit.done()) == 6
    kit.mend()
    new = await kit.again(run, "completed")
    assert kit.done() == ["second-1"]
    before = await child_of(kit, run, "each[1].sub")
    assert (await child_of(kit, new["id"], "each[1].sub"))["retry_of"] == before["id"]


async def test_what_was_decided_in_the_child_holds(kit: Repeats) -> None:
    ask = {"id": "ask", "type": "approval", "config": {"message": "May it?"}, "then": [kit.fails("then")]}
    await kit.millrace.deploy("child", tasks=[ask])
    await kit.millrace.deploy("parent", tasks=[sub()])
    run = await kit.start("parent")
    await kit.waits(run, "sub")
    child = await child_of_waiting(kit, run)
    await kit.decide(child)
    await kit.ends(run, "failed")
    kit.mend()
    await kit.again(run, "completed")
    assert (kit.done(), await kit.asked()) == (["then", "then"], 0)


async def child_of_waiting(kit: Repeats, run: str) -> str:
    """The run of a sub-workflow, as soon as it is there."""

    async def there() -> str | None:
        found = (await kit.millrace.get("/runs", parent=run))["items"]
        return str(found[0]["id"]) if found else None

    found: str = await kit.millrace.until(there)
    return found


async def test_a_child_that_was_cancelled_with_its_parent_goes_on(kit: Repeats) -> None:
    ask = {"id": "ask", "type": "approval", "config": {"message": "May it?"}}
    await kit.millrace.deploy("child", tasks=[kit.works("first"), ask, kit.works("last")])
    await kit.millrace.deploy("parent", tasks=[sub()])
    run = await kit.start("parent")
    await kit.waits(await child_of_waiting(kit, run), "ask")
    await kit.millrace.post(f"/runs/{run}/cancel")
    await kit.ends(run, "cancelled")
    new = await kit.millrace.post(f"/runs/{run}/retry")
    await kit.decide(await child_of_waiting(kit, new["id"]))
    await kit.ends(new["id"], "completed")
    assert kit.done() == ["first", "last"]


async def test_the_newest_version_of_the_child_takes_over_what_is_the_same_in_it(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    await kit.millrace.deploy("parent", tasks=[sub()])
    run = await kit.fails_once("parent")
    await put(kit, "child", kit.works("first"), kit.works("second", "mended", depends_on=["first"]))
    new = await kit.again(run, "completed")
    assert kit.done() == ["first", "second", "mended"]
    assert (await child_of(kit, new["id"]))["workflow"]["version"] == 2


async def test_a_child_that_is_given_something_else_does_that_again_which_reads_it(kit: Repeats) -> None:
    tasks = [kit.works("plain"), kit.works("reads", "{{ input.n }}"), kit.fails("fails")]
    await kit.millrace.deploy("child", tasks=tasks)
    await kit.millrace.deploy("parent", tasks=[sub(input={"n": "{{ run.id }}"})])
    run = await kit.fails_once("parent")
    assert kit.done() == ["plain", run, "fails"]
    kit.mend()
    new = await kit.again(run, "completed")
    child = await child_of(kit, new["id"])
    assert kit.done() == [new["id"], "fails"]
    assert told(child) == {"reads": "it reads input.n, which is another now"}


async def test_what_reads_the_start_of_the_child_is_done_again(kit: Repeats) -> None:
    tasks = [kit.works("reads", "{{ trigger.run_id }}"), kit.fails("fails")]
    await kit.millrace.deploy("child", tasks=tasks)
    await kit.millrace.deploy("parent", tasks=[sub()])
    run = await kit.fails_once("parent")
    kit.mend()
    new = await kit.again(run, "completed")
    assert kit.done() == [run, "fails", new["id"], "fails"]
    assert told(await child_of(kit, new["id"])) == {"reads": "it reads trigger.run_id, which is another now"}


async def test_a_child_begins_anew_when_its_task_is_given_something_else_and_that_is_told(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    await kit.millrace.deploy("parent", tasks=[sub(input={"n": "{{ input.n }}"})])
    run = await kit.fails_once("parent", n=1)
    kit.mend()
    new = await kit.again(run, "completed", input={"n": 2})
    assert kit.done() == ["first", "second", "first", "second", "third"]
    assert told(new) == {"sub": "it reads input.n, which is another now"}
    assert (await child_of(kit, new["id"]))["retry_of"] is None


async def test_that_a_child_begins_anew_is_told_only_if_it_had_done_anything(kit: Repeats) -> None:
    await kit.millrace.deploy("child", tasks=[kit.fails("first")])
    await kit.millrace.deploy("parent", tasks=[sub(input={"n": "{{ input.n }}"})])
    run = await kit.fails_once("parent", n=1)
    kit.mend()
    assert told(await kit.again(run, "completed", input={"n": 2})) == {}


async def test_a_child_whose_outputs_are_gone_begins_anew_and_that_is_told(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    await kit.millrace.deploy("parent", tasks=[sub()])
    run = await kit.fails_once("parent")
    before = await child_of(kit, run)
    await forget_outputs(kit, before["id"])
    kit.mend()
    new = await kit.again(run, "completed")
    assert kit.done() == ["first", "second", "first", "second", "third"]
    assert told(new) == {"sub": "what the tasks of its run answered is not kept any more (retention)"}
    child = await child_of(kit, new["id"])
    assert child["retry_of"] == before["id"]
    assert told(child) == {"first": "what it answered is not kept any more (retention)"}


async def forget_outputs(kit: Repeats, run: str) -> None:
    """As retention does to runs that are old enough."""
    gone = text("update runs set payloads_deleted_at = 1 where id = :id")
    await kit.millrace.runtime.database.write(lambda connection: connection.execute(gone, {"id": run}))


async def test_a_child_of_another_workflow_repeats_nothing(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    await kit.millrace.deploy("parent", tasks=[sub("{{ run.id == '' ? 'other' : 'child' }}")])
    run = await kit.fails_once("parent")
    answer = await kit.millrace.api.delete("/api/v1/workflows/child")
    assert answer.status_code in (200, 204), answer.text
    await kit.millrace.deploy("child", tasks=[kit.works("other")])
    new = await kit.again(run, "completed")
    assert kit.done() == ["first", "second", "other"]
    assert (await child_of(kit, new["id"]))["retry_of"] is None


async def test_a_child_that_could_not_be_started_begins_when_it_can(kit: Repeats) -> None:
    await kit.millrace.deploy("parent", tasks=[kit.works("before"), sub()])
    run = await kit.fails_once("parent")
    await kit.millrace.deploy("child", tasks=[kit.works("first")])
    new = await kit.again(run, "completed")
    assert kit.done() == ["before", "first"]
    assert (await child_of(kit, new["id"]))["retry_of"] is None


async def test_a_child_that_a_retry_never_started_is_repeated_by_the_next(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    hold = {"id": "hold", "type": "approval", "config": {"message": "May it?"}, "if": "{{ input.hold }}"}
    tasks = [{**hold, "depends_on": []}, {**sub(), "depends_on": []}]
    await kit.millrace.deploy("parent", tasks=tasks, concurrency={"limit": 1})
    run = await kit.fails_once("parent", hold=False)
    before = await child_of(kit, run)
    holder = await kit.start("parent", hold=True)
    await kit.waits(holder, "hold")
    second = (await kit.millrace.post(f"/runs/{run}/retry"))["id"]
    for waiting in (second, holder):
        await kit.millrace.post(f"/runs/{waiting}/cancel")
        await kit.ends(waiting, "cancelled")
    kit.done()
    kit.mend()
    third = await kit.again(second, "completed")
    assert kit.done() == ["second", "third"]
    assert (await child_of(kit, third["id"]))["retry_of"] == before["id"]


async def test_a_retry_of_the_child_by_itself_is_a_run_of_its_own(kit: Repeats) -> None:
    await a_child_that_fails(kit)
    await kit.millrace.deploy("parent", tasks=[sub()])
    run = await kit.fails_once("parent")
    child = await child_of(kit, run)
    kit.mend()
    new = await kit.again(child["id"], "completed")
    assert (kit.done(), new["parent"]) == (["first", "second", "second", "third"], None)
