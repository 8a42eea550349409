"""X8 over the API: test runs with mocked tasks, with one task alone, and without time."""

import time
from functools import partial
from typing import Any

import httpx2
import pytest

from millrace.app.endings.repository import read_stretch
from millrace.app.plans import StoredPlans
from millrace.app.retention import repository as retention
from millrace.app.test_runs.repository import KeptTest, delete_orphans, find_test_run, insert_test_run
from millrace.core.values import SECOND
from tests.support.api import create, definition, problem, start, until_status
from tests.support.installation import Installation

URL = "/api/v1"


def echo(task_id: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "echo", "config": {"value": value}, **fields}


async def ended_test(api: httpx2.AsyncClient, workflow: str, **body: Any) -> dict[str, Any]:
    """A test run that has ended."""
    answer = await api.post(f"{URL}/workflows/{workflow}/test", json={"wait": True, **body})
    assert answer.status_code == 200, answer.text
    run: dict[str, Any] = answer.json()
    return run


async def tasks_of(api: httpx2.AsyncClient, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    page = (await api.get(f"{URL}/runs/{run['id']}/tasks")).json()
    return {task["path"]: task for task in page["items"]}


async def statuses(api: httpx2.AsyncClient, run: dict[str, Any]) -> dict[str, str]:
    return {path: task["status"] for path, task in (await tasks_of(api, run)).items()}


WHOLE = {
    "name": "whole",
    "tasks": [
        {"id": "extract", "type": "hold", "config": {"value": "{{ secrets.no_such }} of {{ input.day }}"}},
        {"id": "load", "type": "fail", "retry": {"max_attempts": 3, "delay": "1h"}, "queue": "elsewhere",
         "concurrency": {"key": "warehouse", "limit": 1}, "config": {"value": "{{ tasks.extract.output.rows[0] }}"}},
        echo("told", "{{ tasks.load.output.loaded }} loaded"),
    ],
    "output": "{{ tasks.told.output }}",
}  # fmt: skip


async def test_what_is_mocked_is_not_done_and_the_rest_is(api: httpx2.AsyncClient) -> None:
    await create(api, WHOLE)
    mocks = {
        "extract": {"output": {"rows": [7]}},
        "load": {"fail": {"message": "connection refused"}, "times": 2, "output": {"loaded": 1}},
    }
    run = await ended_test(api, "whole", input={"day": "monday"}, mocks=mocks, virtual_time=True)
    assert (run["status"], run["output"], run["trigger_type"]) == ("completed", "1 loaded", "test")
    assert run["test"] == {"mocked": ["extract", "load"], "only": None, "virtual_time": True}
    tasks = await tasks_of(api, run)
    assert {path: task["mocked"] for path, task in tasks.items()} == {"extract": True, "load": True, "told": False}
    assert tasks["extract"]["input"] == {"value": "*** of monday"}, "a secret that is not there does not matter"
    assert (tasks["load"]["input"], tasks["load"]["attempt"], tasks["load"]["failures"]) == ({"value": 7}, 3, 2)
    listed = (await api.get(f"{URL}/runs", params={"trigger_type": "test"})).json()["items"]
    assert [(one["id"], one["test"]) for one in listed] == [(run["id"], None)]
    # An input that cannot be rendered does not matter either: the log says so.
    run = await ended_test(
        api, "whole", input={"day": "m"}, mocks={**mocks, "extract": {"output": None}}, virtual_time=True
    )
    assert (run["status"], (await tasks_of(api, run))["load"]["input"]) == ("completed", None)
    logs = (await api.get(f"{URL}/runs/{run['id']}/logs", params={"task": "load"})).json()["items"]
    assert "its input is not shown" in logs[0]["text"]


async def test_a_mocked_failure_takes_the_way_of_failures(api: httpx2.AsyncClient) -> None:
    body = definition(
        "handled", {"id": "pay", "type": "hold", "on_rollback": [echo("refund")]}, {"id": "ship", "type": "hold"}
    )
    body |= {"on_failure": [echo("alarm", "{{ run.error.message }}")], "finally": [{"id": "close", "type": "hold"}]}
    await create(api, body)
    mocks = {
        "pay": {"output": 1},
        "ship": {"fail": {"message": "no stock", "kind": "refused"}},
        "close": {"output": None},
    }
    run = await ended_test(api, "handled", mocks=mocks)
    assert (run["status"], run["error"]["kind"]) == ("failed", "refused")
    tasks = await tasks_of(api, run)
    assert {path: task["status"] for path, task in tasks.items()} == {
        "pay": "completed", "ship": "failed", "alarm": "completed", "refund": "completed", "close": "completed",
    }  # fmt: skip
    assert "no stock" in tasks["alarm"]["output"]
    everything = await ended_test(api, "handled", others="mock")
    assert (everything["status"], len(everything["test"]["mocked"])) == ("completed", 5)


CONTROLS = [
    {
        "id": "fork",
        "type": "condition",
        "config": {"if": "{{ input.no_such }}"},
        "then": [echo("yes")],
        "else": [echo("no")],
    },
    {
        "id": "route",
        "type": "switch",
        "config": {"value": "{{ input.no_such }}"},
        "cases": {"eu": [echo("eu")]},
        "default": [echo("other")],
    },
    {
        "id": "each",
        "type": "foreach",
        "config": {"items": "{{ input.no_such }}"},
        "tasks": [{"id": "within", "type": "hold"}],
    },
    {"id": "child", "type": "sub_workflow", "config": {"workflow": "nobody", "input": {"day": "{{ input.day }}"}}},
    {"id": "nap", "type": "sleep", "config": {"duration": "1h"}},
    {
        "id": "ask",
        "type": "approval",
        "config": {"message": "?"},
        "then": [echo("print", "{{ tasks.ask.output.form.copies }}")],
        "else": [echo("drop")],
    },
    {
        "id": "paid",
        "type": "wait_for_event",
        "config": {"type": "paid"},
        "then": [echo("ship", "{{ tasks.paid.output.event.data }}")],
        "else": [echo("remind")],
    },
]


async def test_every_kind_of_control_task_comes_to_what_its_mock_says(api: httpx2.AsyncClient) -> None:
    await create(api, definition("controls", *CONTROLS))
    mocks: dict[str, Any] = {
        "fork": {"output": {"branch": "else"}},
        "route": {"output": {"case": "eu"}},
        "each": {"output": {"count": 2, "results": [1, 2], "failed": []}},
        "child": {"output": {"run_id": "r", "status": "completed", "output": 5}},
        "nap": {"output": None},
        "ask": {"output": {"approved": True, "form": {"copies": 2}}},
        "paid": {"output": {"event": {"data": 12}}},
    }
    run = await ended_test(api, "controls", input={"day": "monday"}, mocks=mocks)
    assert run["status"] == "completed", run["error"]
    tasks = await tasks_of(api, run)
    assert tasks.keys() == {*mocks, "no", "eu", "print", "ship"}
    assert tasks["child"]["input"] == {"workflow": "nobody", "input": {"day": "monday"}}
    assert (tasks["print"]["output"], tasks["ship"]["output"]) == (2, 12)
    assert tasks["ask"]["output"] == {
        "approved": True, "by": None, "comment": None, "form": {"copies": 2}, "timed_out": False,
    }  # fmt: skip
    others = {
        "route": {"output": {"case": None}},
        "ask": {"output": {"approved": False}},
        "paid": {"output": {"timed_out": True}},
    }
    run = await ended_test(api, "controls", mocks={**mocks, **others})
    assert run["status"] == "completed", run["error"]
    assert (await statuses(api, run)).keys() == {*mocks, "no", "other", "drop", "remind"}
    failing = {"each": {"fail": {"message": "one item was bad"}}, "fork": {"fail": {"message": "no"}}}
    for task_id, mock in failing.items():
        run = await ended_test(api, "controls", mocks={**mocks, task_id: mock})
        assert (run["status"], (await statuses(api, run))[task_id]) == ("failed", "failed")


@pytest.mark.parametrize(
    ("task", "output", "kind", "message"),
    [
        (
            {"id": "w", "type": "approval", "config": {"message": "?"}},
            {"approved": False, "comment": "too few"},
            "rejected",
            "it was rejected: too few",
        ),
        (
            {"id": "w", "type": "approval", "config": {"message": "?"}},
            {"timed_out": True},
            "timeout",
            "within its limit",
        ),
        (
            {"id": "w", "type": "wait_for_event", "config": {"type": "paid"}},
            {"timed_out": True},
            "timeout",
            "within its limit",
        ),
    ],
)
async def test_a_mocked_wait_without_an_else_fails_as_a_real_one(
    api: httpx2.AsyncClient, task: dict[str, Any], output: dict[str, Any], kind: str, message: str
) -> None:
    await create(api, definition("waiting", task))
    run = await ended_test(api, "waiting", mocks={"w": {"output": output}})
    assert (run["status"], run["error"]["kind"]) == ("failed", kind)
    assert message in run["error"]["message"]


async def test_no_time_passes_and_what_is_not_mocked_can_be_answered(api: httpx2.AsyncClient) -> None:
    year = {"id": "year", "type": "sleep", "config": {"duration": "{{ input.days }}d"}}
    until = {"id": "until", "type": "until", "config": {"time": "2999-01-01T00:00:00Z"}}
    failing = {"id": "flaky", "type": "fail", "retry": {"max_attempts": 3, "delay": "1h"}, "allow_failure": True}
    await create(
        api, definition("patient", year, until, failing, {"id": "ask", "type": "approval", "config": {"message": "?"}})
    )
    began = time.monotonic()
    answer = await api.post(f"{URL}/workflows/patient/test", json={"input": {"days": 365}, "virtual_time": True})
    assert answer.status_code == 202
    run = await until_status(api, answer.json(), "waiting")
    assert time.monotonic() - began < 20
    tasks = await tasks_of(api, run)
    assert (tasks["year"]["input"], tasks["flaky"]["failures"]) == ({"duration": "365d"}, 3)
    decision = await api.post(f"{URL}/runs/{run['id']}/tasks/ask/decision", json={"decision": "approve"})
    assert decision.status_code in (200, 202), decision.text
    await until_status(api, run, "completed")
    wrong = await ended_test(api, "patient", input={"days": "many"}, virtual_time=True)
    assert (wrong["status"], wrong["error"]["kind"]) == ("failed", "invalid_input"), (
        "its config is understood all the same"
    )


ALONE = {
    "name": "alone",
    "input": {"type": "object", "required": ["day"], "properties": {"day": {}, "limit": {"default": 3}}},
    "variables": {"region": "eu"},
    "tasks": [
        {"id": "extract", "type": "hold"},
        {"id": "gate", "type": "condition", "config": {"if": "{{ false }}"}, "then": [
            echo("load", ["{{ tasks.extract.output }}", "{{ input.limit }}", "{{ variables.region }}",
                          "{{ default(tasks.extra.output, 'none') }}"], **{"if": "{{ false }}"}),
        ]},
        {"id": "each", "type": "foreach", "config": {"items": "{{ [1] }}"}, "tasks": [
            echo("first", "{{ item }}"),
            echo("second", ["{{ item.id }}", "{{ index }}", "{{ tasks.first.output }}", "{{ tasks.extract.output }}"]),
        ]},
        {"id": "again", "type": "while", "config": {"condition": "{{ true }}"}, "tasks": [
            echo("page", ["{{ index }}", "{{ previous.next }}"]),
        ]},
        {"id": "extra", "type": "hold"},
    ],
    "on_failure": [{"id": "alarm", "type": "hold"}],
    "finally": [{"id": "close", "type": "hold"}],
}  # fmt: skip


async def test_one_task_runs_alone_with_what_it_reads(api: httpx2.AsyncClient) -> None:
    await create(api, ALONE)
    run = await ended_test(api, "alone", only="load", mocks={"extract": {"output": 5}}, variables={"region": "us"})
    assert (run["status"], run["output"], run["test"]["only"]) == ("completed", [5, 3, "us", "none"], "load")
    assert await statuses(api, run) == {"extract": "completed", "load": "completed"}
    # In a loop, with a value of the item that looks like a template and is none.
    given = {"extract": {"output": 5}, "first": {"output": "f"}}
    run = await ended_test(api, "alone", only="second", mocks=given, item={"id": "{{ 1 }}"}, index=4)
    assert (run["status"], run["output"]) == ("completed", ["{{ 1 }}", 4, "f", 5]), run["error"]
    assert (await statuses(api, run)).keys() == {"extract", "first", "each", "each[0].second"}
    run = await ended_test(api, "alone", only="page", index=2, previous={"next": "p3"})
    assert (run["output"], list(await statuses(api, run))) == ([2, "p3"], ["again", "again[0].page"])
    # What holds others runs with all that is in it.
    run = await ended_test(api, "alone", only="each", mocks={"extract": {"output": 5}})
    assert run["status"] == "failed", "item.id has no value"
    run = await ended_test(api, "alone", only="each", mocks={"extract": {"output": 5}, "second": {"output": "s"}})
    assert run["output"]["results"] == ["s"]


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({"mocks": {"exract": {"output": 1}}}, "mocks.exract", "did you mean 'extract'"),
        ({"mocks": {"each": {"output": 1}, "first": {"output": 1}}}, "mocks.first", "mocked with all that is in it"),
        ({"mocks": {"extract": {}}}, "mocks.extract", "not said"),
        ({"mocks": {"gate": {"output": {"branch": "maybe"}}}}, "mocks.gate.output", "which branch"),
        ({"only": "nobody"}, "only", "there is no task"),
        ({"only": "load"}, "mocks.extract", "load reads extract"),
        ({"only": "second", "mocks": {"extract": {"output": 1}, "first": {"output": 1}}}, "item", "reads item"),
        ({"only": "load", "mocks": {"extract": {"output": 1}}, "item": 1}, "item", "stands in no loop"),
        ({"item": 1}, "item", "runs alone"),
    ],
)
async def test_what_does_not_fit_is_named(api: httpx2.AsyncClient, body: dict[str, Any], path: str, says: str) -> None:
    await create(api, ALONE)
    answer = await api.post(f"{URL}/workflows/alone/test", json={"input": {"day": "monday"}, **body})
    faults = {fault["path"]: fault for fault in problem(answer, 422, "invalid_test")["faults"]}
    assert says in faults[path]["message"], faults
    assert faults[path]["remedy"]
    assert (await api.get(f"{URL}/runs")).json()["items"] == []


async def test_workflows_that_take_no_starts_are_tested_but_no_archived_ones(api: httpx2.AsyncClient) -> None:
    for status in ("draft", "inactive", "paused"):
        await create(api, {**definition(status), "status": status})
        assert (await ended_test(api, status))["status"] == "completed"
    await create(api, {**definition("old"), "status": "archived"})
    problem(await api.post(f"{URL}/workflows/old/test"), 409, "workflow_inactive")
    problem(await api.post(f"{URL}/workflows/nobody/test"), 404, "workflow_not_found")


async def test_a_test_run_goes_on_from_what_is_kept_wakes_nobody_and_goes_with_its_row(
    api: httpx2.AsyncClient, millrace: Installation
) -> None:
    await create(
        api,
        definition(
            "kept",
            {"id": "a", "type": "fail"},
            {"id": "ask", "type": "approval", "config": {"message": "?"}},
            {"id": "b", "type": "hold"},
        ),
    )
    mocks = {"a": {"output": 1}, "b": {"output": 2}}
    run = (await api.post(f"{URL}/workflows/kept/test", json={"mocks": mocks})).json()
    await until_status(api, run, "waiting")
    # Whoever goes on with it elsewhere has nothing but the database.
    elsewhere = await StoredPlans(millrace.database).plan(run["id"])
    assert [task.id for task in elsewhere.tasks.values() if task.mock is not None] == ["a", "b"]
    await api.post(f"{URL}/runs/{run['id']}/tasks/ask/decision", json={"decision": "approve"})
    await until_status(api, run, "completed")
    for verb in ("retry", "rerun"):
        problem(await api.post(f"{URL}/runs/{run['id']}/{verb}"), 409, "test_run")
    await create(api, definition("plain"))
    plain = await until_status(api, await start(api, "plain"), "completed")

    database = millrace.database
    told = await database.read(partial(read_stretch, after=0, limit=10_000))
    assert [one.run_id for one in told.ended] == [plain["id"]], "nobody is told of the end of a test"

    later = 10**16
    gone = await database.write(partial(retention.give_up_families, ids=[run["id"]], cutoff=later))
    assert gone["runs"] == 1
    assert await database.read(partial(find_test_run, run_id=run["id"])) is None
    for run_id, at in (("orphan", 0), (plain["id"], 0), ("young", 2 * SECOND)):
        await database.write(partial(insert_test_run, row=KeptTest(run_id, "{}", "{}", at)))
    assert await database.write(partial(delete_orphans, before=SECOND, limit=10)) == 1
    assert await database.read(partial(find_test_run, run_id="orphan")) is None
