"""X8 over the API: what a run would do, told and not done."""

from typing import Any

import httpx2

from tests.support.api import create, definition, problem
from tests.support.installation import Installation

URL = "/api/v1"


def echo(task_id: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "echo", "config": {"value": value}, **fields}


async def dry_run(api: httpx2.AsyncClient, workflow: str, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"{URL}/workflows/{workflow}/dry-run", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def by_path(views: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """All tasks, those within others included."""
    found = {}
    for view in views:
        found[view["path"]] = view
        for block in view["blocks"].values():
            found |= by_path(block)
    return found


def fates(told: dict[str, Any], part: str = "tasks") -> dict[str, str]:
    return {path: view["status"] for path, view in by_path(told[part]).items()}


PLAIN = {
    "name": "plain",
    "input": {"type": "object", "required": ["day"], "properties": {"day": {}, "limit": {"default": 3}}},
    "variables": {"region": "eu"},
    "tasks": [
        echo("extract", "{{ secrets.db_password }} {{ input.day }} {{ variables.region }} {{ input.limit }}"),
        echo("load", {"rows": "{{ tasks.extract.output }}", "run": "{{ run.id }}", "day": "{{ input.day }}"}),
        echo("weekly", 1, **{"if": "{{ input.day == 'sunday' }}"}),
        echo("many", 1, depends_on=["load"], **{"if": "{{ size(tasks.load.output) > 3 }}"}),
        echo("after_weekly", 1, depends_on=["weekly"]),
        echo("if_any", 1, depends_on=["weekly"], join="one_success"),
        echo("after_many", 1, depends_on=["many"]),
        echo("if_many", 1, depends_on=["many"], join="one_success"),
        echo("rescue", 1, depends_on=["load"], join="one_failed"),
    ],
    "on_failure": [echo("alarm", "{{ run.error.message }}")],
    "finally": [echo("close", "{{ tasks.weekly.status }}")],
    "output": {"day": "{{ input.day }}", "rows": "{{ tasks.load.output }}"},
}  # fmt: skip


async def test_what_is_known_is_told_and_what_is_not_is_named(api: httpx2.AsyncClient, millrace: Installation) -> None:
    await create(api, PLAIN)
    told = await dry_run(api, "plain", input={"day": "monday"})
    assert (told["outcome"], told["why"], told["input"]) == ("completed", None, {"day": "monday", "limit": 3})
    assert fates(told) == {
        "extract": "runs", "load": "runs", "weekly": "skipped", "many": "unknown", "after_weekly": "runs",
        "if_any": "skipped", "after_many": "runs", "if_many": "unknown", "rescue": "skipped",
    }  # fmt: skip
    tasks = by_path(told["tasks"])
    assert tasks["extract"]["input"] == {"value": "*** monday eu 3"}
    assert tasks["load"]["input"]["value"]["day"] == "monday"
    assert tasks["load"]["unrendered"] == {
        "config.value.rows": "reads tasks.extract.output, which is known only when it has run",
        "config.value.run": "reads run.id, which is known only when the run is under way",
    }
    assert "reads tasks.load.output" in tasks["many"]["why"]
    assert fates(told, "on_failure") == {"alarm": "skipped"}
    assert by_path(told["finally"])["close"]["input"] == {"value": "skipped"}
    assert (told["output"]["day"], list(told["unrendered"])) == ("monday", ["output.rows"])
    (warning,) = told["warnings"]
    assert "db_password" in warning
    assert (await api.get(f"{URL}/runs")).json()["items"] == []
    # With what a task comes to, more is known.
    told = await dry_run(api, "plain", input={"day": "sunday"}, mocks={"load": {"output": [1, 2, 3, 4]}})
    assert {path for path, status in fates(told).items() if status != "runs"} == {"rescue"}
    assert (told["output"], told["unrendered"]) == ({"day": "sunday", "rows": [1, 2, 3, 4]}, {})


async def test_failures_are_followed_through_joins_and_handlers(api: httpx2.AsyncClient) -> None:
    await create(api, PLAIN)
    broken = {"load": {"fail": {"message": "no disk"}}}
    told = await dry_run(api, "plain", input={"day": "monday"}, mocks=broken)
    assert (told["outcome"], told["why"]) == ("failed", "load fails")
    assert {name: fates(told)[name] for name in ("load", "many", "rescue")} == {
        "load": "fails", "many": "skipped", "rescue": "runs",
    }  # fmt: skip
    assert fates(told, "on_failure") == {"alarm": "runs"}
    wrong = definition(
        "wrong", echo("a", "{{ input.no_such }}"), {**echo("b"), "depends_on": ["a"], "join": "all_done"}
    )
    await create(api, wrong)
    told = await dry_run(api, "wrong")
    assert (fates(told), told["outcome"]) == ({"a": "fails", "b": "runs"}, "failed")
    assert "no_such" in by_path(told["tasks"])["a"]["why"]
    retried = definition("retried", {"id": "a", "type": "fail", "retry": {"max_attempts": 3, "delay": "1h"}})
    await create(api, retried)
    for times, outcome in ((2, "completed"), (3, "failed")):
        told = await dry_run(api, "retried", mocks={"a": {"fail": {"message": "no"}, "times": times, "output": 1}})
        assert told["outcome"] == outcome, times


CONTROLS = definition(
    "controls",
    echo("first"),
    {
        "id": "fork",
        "type": "condition",
        "config": {"if": "{{ input.big }}"},
        "then": [echo("yes", "{{ input.big }}")],
        "else": [echo("no")],
    },
    {
        "id": "route",
        "type": "switch",
        "config": {"value": "{{ tasks.first.output }}"},
        "cases": {"eu": [echo("eu")]},
        "default": [echo("other")],
    },
    echo("said", "{{ tasks.fork.output.branch }} {{ tasks.fork.status }}"),
    echo("joined", "{{ default(tasks.eu.output, tasks.yes.status) }}"),
    {
        "id": "each",
        "type": "foreach",
        "config": {"items": "{{ input.list }}"},
        "tasks": [
            echo("inner", "{{ index }}: {{ item.id }}"),
            echo("outer", "{{ tasks.each.item }} {{ tasks.inner.output }}"),
        ],
    },
    {
        "id": "later",
        "type": "foreach",
        "config": {"items": "{{ tasks.first.output }}"},
        "tasks": [echo("x", "{{ item }}")],
    },
    {
        "id": "again",
        "type": "while",
        "config": {"condition": "{{ index == 0 }}"},
        "tasks": [echo("page", "{{ previous }}")],
    },
    {"id": "never", "type": "while", "config": {"condition": "{{ false }}"}, "tasks": [echo("none")]},
    {"id": "nap", "type": "sleep", "config": {"duration": "{{ input.wait }}"}},
    {
        "id": "ask",
        "type": "approval",
        "config": {"message": "Publish {{ input.day }}?"},
        "then": [echo("publish", "{{ tasks.ask.output.by }}")],
        "else": [echo("drop")],
    },
    echo("last", "{{ tasks.again.output.iterations }} {{ tasks.never.output.iterations }}"),
)
INPUT = {"big": True, "list": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}], "wait": "1h", "day": "monday"}


async def test_control_tasks_are_told_as_far_as_they_are_known(api: httpx2.AsyncClient) -> None:
    await create(api, CONTROLS)
    told = await dry_run(api, "controls", input=INPUT)
    tasks = by_path(told["tasks"])
    assert told["outcome"] == "completed", told["why"]
    assert (tasks["fork"]["branch"], "yes" in tasks, "no" in tasks) == ("then", True, False)
    assert tasks["said"]["input"] == {"value": "then completed"}
    assert {tasks[name]["status"] for name in ("eu", "other")} == {"unknown"}
    assert "whether cases.eu is taken" in tasks["eu"]["why"]
    assert list(tasks["joined"]["unrendered"]) == ["config.value"], "the branch may be taken, so nothing is known of it"
    assert (tasks["each"]["items"], list(tasks["each"]["blocks"])) == (4, ["[0]", "[1]", "[2]"])
    assert tasks["each[2].inner"]["input"] == {"value": "2: 3"}
    assert "tasks.inner.output" in tasks["each[2].outer"]["unrendered"]["config.value"]
    assert (tasks["later"]["items"], tasks["later[0].x"]["status"]) == (None, "unknown")
    assert tasks["again[0].page"]["input"] == {"value": None}
    assert (tasks["never"]["blocks"], tasks["never"]["output"]["iterations"]) == ({}, 0)
    assert (tasks["nap"]["input"], tasks["ask"]["input"]) == ({"duration": "1h"}, {"message": "Publish monday?"})
    assert (tasks["publish"]["status"], tasks["drop"]["status"]) == ("runs", "unknown")
    mocks = {
        "fork": {"output": {"branch": "else"}},
        "route": {"output": {"case": "eu"}},
        "each": {"output": {"count": 0}},
        "ask": {"output": {"approved": False}},
        "eu": {"output": 7},
    }
    told = await dry_run(api, "controls", input={"list": 1, "wait": "soon", "day": ""}, mocks=mocks)
    tasks = by_path(told["tasks"])
    assert (tasks["nap"]["status"], told["outcome"], told["why"]) == ("fails", "failed", "nap fails")
    assert tasks["joined"]["input"] == {"value": 7}
    assert (tasks["each"]["blocks"], "no" in tasks, tasks["ask"]["status"]) == ({}, True, "skipped")
    both = {"inner": {"output": 1}, "outer": {"output": 2}}
    told = await dry_run(api, "controls", input=INPUT, mocks=both, iterations=1)
    assert list(by_path(told["tasks"])["each"]["blocks"]) == ["[0]"]
    assert by_path(told["tasks"])["each"]["output"] == {"count": 4, "results": [2, 2, 2, 2], "failed": []}
    told = await dry_run(api, "controls", input={**INPUT, "list": 1, "big": "yes"})
    tasks = by_path(told["tasks"])
    assert {tasks[name]["status"] for name in ("fork",)} == {"fails"}


async def test_input_and_mocks_are_refused_as_a_start_does(api: httpx2.AsyncClient) -> None:
    await create(api, PLAIN)
    url = f"{URL}/workflows/plain/dry-run"
    assert problem(await api.post(url), 422, "invalid_input")["faults"]
    unknown = problem(
        await api.post(url, json={"input": {"day": "d"}, "mocks": {"lod": {"output": 1}}}), 422, "invalid_test"
    )
    assert [fault["path"] for fault in unknown["faults"]] == ["mocks.lod"]
    problem(await api.post(f"{URL}/workflows/nobody/dry-run"), 404, "workflow_not_found")


async def test_what_is_redacted_is_not_told_either(api: httpx2.AsyncClient) -> None:
    """I8: tasks of a run would not see it, so neither does what they would be given."""
    paying = {
        "name": "paying",
        "input": {"type": "object", "properties": {"card": {"type": "string"}}},
        "redact": ["$.input.card", "$.tasks.charge.output.token"],
        "tasks": [
            echo("mail", "card {{ input.card }}"),
            echo("charge"),
            echo("told", "{{ tasks.charge.output.token }} {{ input.card }}"),
        ],
    }
    await create(api, paying)
    told = await dry_run(api, "paying", input={"card": "4111"}, mocks={"charge": {"output": {"token": "t-77"}}})
    assert told["input"] == {"card": "[redacted]"}
    tasks = by_path(told["tasks"])
    assert tasks["mail"]["input"] == {"value": "card [redacted]"}
    assert tasks["told"]["input"] == {"value": "[redacted] [redacted]"}
    assert not any(known in str(tasks) for known in ("4111", "t-77"))
