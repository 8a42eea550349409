"""W7 (b): the task list, its defaults, and faults in the words of who wrote it."""

from typing import Any

import pytest

from millrace.core.plan import Phase
from millrace.core.values import SECOND
from tests.unit.definition.example import accepted, canonical, faults, only, plan, told


def step(name: str, kind: str = "HTTP", **fields: Any) -> dict[str, Any]:
    config = {"HTTP": {"url": "https://example.com"}, "SHELL": {"command": "true"}}.get(kind.upper(), {})
    return {"name": name, "task_type": kind, "config": config, **fields}


def listed(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "w", "tasks": list(steps), **fields}


BODY = {"json": {"c": 1}}
"""Canonically; in the list it is `{"c": 1}`, which is what is sent."""


WHOLE: dict[str, Any] = {
    "name": "Daily",
    "description": "every day",
    "is_active": True,
    "cron_expression": "0 2 * * *",
    "max_concurrent_runs": 3,
    "tasks": [
        {
            "name": "Store it",
            "task_type": "database",
            "config": {"connection_string": "sqlite:////tmp/a.db", "sql": "select %s", "parameters": [1]},
            "order_index": 1,
        },
        {
            "name": "Fetch it",
            "task_type": "HTTP",
            "config": {"url": "https://example.com", "method": "POST", "headers": {"A": "b"}, "body": {"c": 1}},
            "order_index": 0,
            "retry_count": 2,
            "timeout_seconds": 10,
        },
        {
            "name": "Report",
            "task_type": "Shell",
            "config": {"command": "./report", "working_dir": "/srv", "env_vars": {"A": "b"}},
            "order_index": 2,
        },
    ],
}

CANONICAL = {
    "name": "Daily",
    "description": "every day",
    "concurrency": {"limit": 3},
    "triggers": [{"id": "cron", "type": "cron", "config": {"expression": "0 2 * * *"}}],
    "tasks": [
        {
            "id": "fetch_it",
            "name": "Fetch it",
            "type": "http",
            "config": {"url": "https://example.com", "method": "POST", "headers": {"A": "b"}, "body": BODY},
            "retry": {"max_attempts": 3},
            "timeout": "10s",
        },
        {
            "id": "store_it",
            "name": "Store it",
            "type": "database",
            "config": {"connection_string": "sqlite:////tmp/a.db", "sql": "select %s", "parameters": [1]},
            "timeout": "300s",
        },
        {
            "id": "report",
            "name": "Report",
            "type": "shell",
            "config": {"command": "./report", "working_dir": "/srv", "env": {"A": "b"}},
            "timeout": "300s",
        },
    ],
}


def test_a_whole_task_list() -> None:
    assert canonical(WHOLE) == CANONICAL
    made = plan(WHOLE)
    assert made.tasks_of(Phase.MAIN) == ("fetch_it", "store_it", "report")
    assert made.tasks["report"].needs == ("store_it",)
    assert made.max_concurrent_runs == 3
    assert made.tasks["fetch_it"].retry.max_attempts == 3
    assert made.tasks["store_it"].retry.max_attempts == 1
    assert made.tasks["store_it"].timeout == 300 * SECOND


def test_the_canonical_form_of_a_task_list_is_canonical() -> None:
    made = canonical(listed(step("a"), step("b"), cron_expression="* * * * *"))
    assert canonical(made) == made


def test_defaults() -> None:
    made = canonical(listed(step("a")))
    assert made["concurrency"] == {"limit": 1}
    assert made["tasks"][0]["timeout"] == "300s"
    assert "retry" not in made["tasks"][0]
    assert "triggers" not in made


@pytest.mark.parametrize("active", [True, False])
def test_is_active_is_not_part_of_the_definition(active: bool) -> None:
    assert canonical(listed(step("a"), is_active=active)) == canonical(listed(step("a")))


def test_null_is_the_same_as_nothing() -> None:
    optional = {"order_index": None, "retry_count": None, "timeout_seconds": None}
    whole = {"description": None, "cron_expression": None, "max_concurrent_runs": None}
    given = step("a", **optional)
    given["config"] = {**given["config"], "headers": None, "body": None}
    assert canonical(listed(given, **whole)) == canonical(listed(step("a")))


def test_a_cron_expression_is_checked_and_warns_of_nothing() -> None:
    assert accepted(listed(step("a"), cron_expression="0 2 * * *")).warnings == ()
    fault = only(listed(step("a"), cron_expression="0 24 * * *"))
    assert (fault.path, fault.message) == ("cron_expression", "hour: 24 is not between 0 and 23")


@pytest.mark.parametrize("kind", ["HTTP", "http", "Http", "SHELL", "shell"])
def test_task_types_in_any_case(kind: str) -> None:
    assert canonical(listed(step("a", kind)))["tasks"][0]["type"] == kind.lower()


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["Fetch orders!", "fetch-orders", "fetch orders"], ["fetch_orders", "fetch_orders_2", "fetch_orders_3"]),
        (["a", "a_2", "a"], ["a", "a_2", "a_3"]),
        (["1st", "true", "null"], ["task_1st", "task_true", "task_null"]),
        (["Übergröße"], ["ubergroe"]),
        (["x" * 300, "x" * 299], ["x" * 80, "x" * 80 + "_2"]),
    ],
)
def test_ids_come_from_names(names: list[str], ids: list[str]) -> None:
    steps = [step(name[:255]) for name in names]
    assert [task["id"] for task in canonical(listed(*steps))["tasks"]] == ids


def test_names_without_letters_still_give_ids_that_stay() -> None:
    made = [task["id"] for task in canonical(listed(step("加载"), step("报告"), step("!!!")))["tasks"]]
    assert len(set(made)) == 3
    assert all(task_id.startswith("task_") for task_id in made)
    assert made[0] == canonical(listed(step("加载")))["tasks"][0]["id"]


def test_order_indexes_are_sorted_and_may_have_gaps() -> None:
    steps = [step("c", order_index=30), step("a", order_index=-1), step("b", order_index=7)]
    assert [task["id"] for task in canonical(listed(*steps))["tasks"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("raw", "path", "code", "says"),
    [
        (
            listed(step("a", order_index=1), step("b", order_index=1)), "tasks[1].order_index", "duplicate",
            "order_index 1 is also that of tasks[0]",
        ),
        (listed(step("a", order_index="1")), "tasks[0].order_index", "type", "order_index must be a whole number"),
        (listed(step("a", order_index=True)), "tasks[0].order_index", "type", "order_index must be a whole number"),
        (listed(step("a", retry_count=-1)), "tasks[0].retry_count", "value", "retry_count"),
        (listed(step("a", retry_count="2")), "tasks[0].retry_count", "value", "retry_count cannot be"),
        (listed(step("a", retry_count=True)), "tasks[0].retry_count", "value", "retry_count cannot be"),
        (listed(step("a", timeout_seconds=0)), "tasks[0].timeout_seconds", "duration", "no time"),
        (listed(step("a", timeout_seconds="x")), "tasks[0].timeout_seconds", "duration", "'x' is not a duration"),
        (listed(step("a", "GRPC")), "tasks[0].task_type", "unknown_type", "there is no task type"),
        (listed(step("a", "AGENT", config={})), "tasks[0].config.agent", "missing", "agent is missing"),
        (listed(step("a", "FOREACH", config={"items": []})), "tasks[0].tasks", "missing", "tasks is missing"),
        (listed({**step("a"), "task_type": 5}), "tasks[0].task_type", "type", "task_type must be text, not a number"),
        (listed({**step("a"), "task_type": []}), "tasks[0].task_type", "type", "task_type must be text, not a list"),
        (listed(step("a"), {"name": "b"}), "tasks[1].task_type", "missing", "task_type is missing"),
        (listed(step("a"), "b"), "tasks[1]", "type", "tasks[1] must be a mapping, not text"),
        (listed({**step("a"), "config": []}), "tasks[0].config", "type", "config must be a mapping, not a list"),
        (listed({**step("a"), "config": {}}), "tasks[0].config.url", "missing", "url is missing"),
        (listed({**step("a"), "config": None}), "tasks[0].config.url", "missing", "url is missing"),
        (listed(step("a", retries=1)), "tasks[0].retries", "unknown_field", "no field 'retries'"),
        (listed(step("a"), max_concurrent_runs=0), "max_concurrent_runs", "value", "max_concurrent_runs must be"),
        (listed(step("a"), max_concurrent_runs="1"), "max_concurrent_runs", "type", "max_concurrent_runs must be"),
        (listed(step("a"), cron_expression="{{"), "cron_expression", "expression", "never closed"),
        (listed(step("a"), is_activ=True), "is_activ", "unknown_field", "no field 'is_activ'"),
        (
            listed({**step("a", "SHELL"), "config": {"command": "x", "env_vars": []}}), "tasks[0].config.env_vars",
            "type", "env_vars must be a mapping, not a list",
        ),
        (
            listed({**step("a", "SHELL"), "config": {"command": "x", "env_vars": {"A": "{{ variables.x }}"}}}),
            "tasks[0].config.env_vars.A", "unknown_name", "no variable 'x'",
        ),
    ],
)  # fmt: skip
def test_faults_are_told_in_the_words_of_the_list(raw: Any, path: str, code: str, says: str) -> None:
    fault = only(raw)
    assert (fault.path, fault.code) == (path, code)
    assert says in fault.message


def test_places_are_those_of_the_list_as_it_is_written() -> None:
    raw = listed(
        step("last", order_index=9, timeout_seconds="x"), step("first", "GRPC", order_index=1), step("b", order_index=5)
    )
    assert told(raw) == [("tasks[0].timeout_seconds", "duration"), ("tasks[1].task_type", "unknown_type")]


def test_messages_name_the_tasks_where_they_are_written() -> None:
    fault = only(listed(step("b", order_index=2), step("a", order_index=1, id="b")))
    assert (fault.path, fault.code) == ("tasks[0].id", "duplicate")
    assert "also that of tasks[1]" in fault.message


def test_a_long_list_of_faults_is_told_quickly() -> None:
    assert len(faults(listed(*(step(f"s{number}", "GRPC") for number in range(5000))))) == 200
