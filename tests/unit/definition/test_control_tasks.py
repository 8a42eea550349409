"""The shape of control tasks: which lists of tasks each takes, how they nest, and how far."""

from typing import Any

import pytest

from tests.unit.definition.example import NOOP, accepted, canonical, faults, line, only, task, told, transform, workflow

INNER = task("inner")
OTHER = task("other")

GOOD: dict[str, dict[str, Any]] = {
    "condition": task("a", "condition", config={"if": "{{ input.x > 1 }}"}, then=[INNER], else_=[OTHER]),
    "condition with one branch": task("a", "condition", config={"if": True}, else_=[INNER]),
    "condition with an empty branch": task("a", "condition", config={"if": False}, then=[INNER], else_=[]),
    "switch": task("a", "switch", config={"value": "{{ input.x }}"}, cases={"eu": [INNER], "1": []}, default=[OTHER]),
    "sequential": task("a", "sequential", tasks=[INNER, OTHER]),
    "parallel": task("a", "parallel", tasks=[INNER, OTHER]),
    "foreach": task("a", "foreach", config={"items": "{{ input.x }}"}, tasks=[INNER]),
    "foreach over what is written": task(
        "a", "foreach",
        config={
            "items": ["eu", "{{ input.x }}"], "concurrency": 8, "key": "{{ item + string(index) }}",
            "output": {"status": "{{ tasks.inner.status }}", "item": "{{ item }}"}, "stop_on_failure": True,
        },
        tasks=[INNER],
    ),
    "while": task(
        "a", "while", tasks=[INNER],
        config={"condition": "{{ index < 3 }}", "max_iterations": 10_000, "output": "{{ tasks.inner.output }}"},
    ),
    "sub_workflow": task(
        "a", "sub_workflow",
        config={
            "workflow": "load {{ input.x }}", "version": 3, "input": {"day": "{{ input.day }}"}, "wait": False,
            "variables": {"region": "eu"}, "correlation_id": "c", "priority": -5,
        },
    ),
    "sub_workflow of a tag": task("a", "sub_workflow", config={"workflow": "w", "version": "1.0"}),
    "sleep": task("a", "sleep", config={"duration": "3650d"}),
    "sleep for seconds": task("a", "sleep", config={"duration": 0.5}),
    "sleep as told": task("a", "sleep", config={"duration": "{{ input.minutes }}m"}),
    "until": task("a", "until", config={"time": "2026-11-02T08:00:00+01:00"}),
    "wait_for_event": task(
        "a", "wait_for_event", timeout="4h", then=[INNER], else_=[OTHER],
        config={
            "type": ["orders.*", "stock.low"], "key": "{{ input.order }}", "source": "shops/*", "subject": ["a", "b*"],
            "filter": "{{ event.data.total > input.least }}",
        },
    ),
    "wait for a signal": task("a", "wait_for_event", config={"signal": "go_on", "filter": "{{ event.data.ok }}"}),
    "approval": task(
        "a", "approval", timeout="4h", then=[INNER], else_=[OTHER],
        config={
            "message": "Publish {{ input.x }}?", "default": "reject",
            "form": {"type": "object", "properties": {"why": {"type": "string"}}},
        },
    ),
    "signal": task("a", "signal", config={"run": "{{ input.run }}", "name": "go_on", "data": {"x": "{{ input.x }}"}}),
    "what all take": task(
        "a", "sleep", name="A nap", config={"duration": 1}, depends_on=[], join="all_done", if_="{{ input.x }}",
        timeout="1h", allow_failure=True, on_rollback=[INNER],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_control_tasks_are_accepted_as_they_are(name: str) -> None:
    raw = workflow(GOOD[name])
    assert canonical(raw) == raw
    assert canonical(canonical(raw)) == raw


@pytest.mark.parametrize("place", ["on_failure", "finally"])
@pytest.mark.parametrize("name", [name for name in GOOD if name != "what all take"])
def test_control_tasks_are_accepted_in_handlers(name: str, place: str) -> None:
    accepted({**workflow(), "tasks": [task("main", on_rollback=[])], place: [GOOD[name]]})


def test_control_tasks_undo_tasks() -> None:
    undo = task("b", "foreach", config={"items": "{{ tasks.a.output }}"}, tasks=[transform("c", "{{ item }}")])
    accepted(workflow(task("a", on_rollback=[undo])))


def test_any_nests_in_any() -> None:
    kinds = [raw for raw in GOOD.values() if any(raw.get(key) == [INNER] for key in ("then", "tasks"))]
    assert len(kinds) >= 7
    for outer in kinds:
        for within in kinds:
            renamed = {**within, "id": "b"}
            nested = {key: [renamed] if value == [INNER] else value for key, value in outer.items() if value != [OTHER]}
            if "output" in outer.get("config", {}):
                nested["config"] = {key: value for key, value in outer["config"].items() if key != "output"}
            accepted(workflow(nested))


def test_ids_are_made_from_names_for_nested_tasks_too() -> None:
    raw = workflow(
        {"type": "foreach", "name": "Each order", "config": {"items": []}, "tasks": [{"type": "noop"}] * 2},
        {"type": "switch", "config": {"value": 1}, "cases": {"1": [{"type": "noop", "name": "Each order"}]}},
        {"type": "noop"},
        on_failure=[{"type": "condition", "config": {"if": True}, "then": [{"type": "noop"}]}],
    )  # fmt: skip
    made = canonical(raw)
    each, which, last = made["tasks"]
    assert (each["id"], which["id"], last["id"]) == ("each_order", "task", "task_2")
    assert made["on_failure"][0]["id"] == "task_3"
    assert [one["id"] for one in each["tasks"]] == ["task_4", "task_5"]
    assert which["cases"]["1"][0]["id"] == "each_order_2"
    assert canonical(made) == made


def test_null_lists_are_left_out_and_empty_ones_stay() -> None:
    raw = workflow(task("a", "condition", config={"if": True}, then=[INNER], else_=[]), task("b", then=None))
    first, second = canonical(raw)["tasks"]
    assert first["else"] == []
    assert second == task("b")


def control(kind: str, /, **fields: Any) -> dict[str, Any]:
    """A control task that is good but for what is given."""
    usual: dict[str, dict[str, Any]] = {
        "condition": {"config": {"if": True}, "then": [INNER]},
        "switch": {"config": {"value": 1}, "cases": {"1": [INNER]}},
        "sequential": {"tasks": [INNER]},
        "parallel": {"tasks": [INNER]},
        "foreach": {"config": {"items": []}, "tasks": [INNER]},
        "while": {"config": {"condition": "{{ false }}"}, "tasks": [INNER]},
        "sleep": {"config": {"duration": 1}},
        "until": {"config": {"time": "2026-11-02T08:00:00Z"}},
        "sub_workflow": {"config": {"workflow": "w"}},
        "wait_for_event": {"config": {"type": "a.b"}},
        "approval": {"config": {"message": "m"}},
        "signal": {"config": {"run": "r", "name": "n"}},
    }
    made = {"id": "a", "type": kind, **usual[kind], **{key.rstrip("_"): value for key, value in fields.items()}}
    return {key: value for key, value in made.items() if value is not ...}


@pytest.mark.parametrize(
    ("raw", "path", "says", "remedy"),
    [
        (control("foreach", retry={"max_attempts": 2}), "retry", "a foreach is run by the engine", "the tasks in it"),
        (control("condition", queue="big"), "queue", "not by a worker, and takes no `queue`", "on the tasks in it"),
        (control("parallel", queue_timeout="1h"), "queue_timeout", "takes no `queue_timeout`", "on the tasks in it"),
        (control("sleep", retry=3), "retry", "a sleep is run by the engine", "take retry out"),
        (control("until", total_timeout="1h"), "total_timeout", "an until is run by the engine", "write `timeout`"),
        (control("approval", priority=5), "priority", "an approval is run by the engine", "on the tasks in it"),
        (control("sub_workflow", priority=5), "priority", "takes no `priority`", "write it into config: {priority: …}"),
        (
            control("foreach", concurrency={"key": "k", "limit": 2}), "concurrency", "takes no `concurrency`",
            "write it into config: {concurrency: …}",
        ),
        (control("foreach", concurrency=8), "concurrency", "takes no `concurrency`", "write it into config"),
        (control("approval", default="reject"), "default", "takes no `default`", "write it into config: {default: …}"),
        (control("foreach", stop_on_failure=True), "stop_on_failure", "belongs into config", ""),
        (control("sequential", then=[OTHER]), "then", "takes no `then`, which is of approval, condition,", "`tasks`"),
        (control("condition", tasks=[OTHER]), "tasks", "takes no `tasks`, which is of foreach, parallel", "`then` and"),
        (control("condition", default=[OTHER]), "default", "takes no `default`, which is of switch", "`then` and"),
        (control("switch", else_=[OTHER]), "else", "takes no `else`", "its tasks stand under `cases` and `default`"),
        (control("sleep", then=[OTHER]), "then", "a sleep takes no `then`", "take then out, or write one of these"),
        (control("sub_workflow", then=[OTHER]), "then", "a sub_workflow takes no `then`", "take then out"),
        (task("a", then=[OTHER]), "then", "a noop takes no `then`", "take then out, or write one of these types"),
        (task("a", cases={"x": [OTHER]}), "cases", "a noop takes no `cases`, which is of switch", "take cases out"),
        (control("foreach", tasks=...), "tasks", "tasks is missing", "write tasks: [{id: …, type: …}]"),
        (control("foreach", tasks=[]), "tasks", "tasks must not be empty", "a foreach needs some"),
        (control("foreach", tasks={"a": INNER}), "tasks", "tasks must be a list", "a dash before each entry"),
        (control("switch", cases=...), "cases", "cases is missing", "write cases: {eu: [{id: …, type: …}]}"),
        (control("switch", cases={}, default=[INNER]), "cases", "cases must not be empty", "a switch needs some"),
        (control("switch", cases=[INNER]), "cases", "cases must be a mapping, not a list", ""),
        (control("switch", cases={"eu": INNER}), "cases.eu", "eu must be a list, not a mapping", ""),
        (control("switch", cases={"x" * 256: [INNER]}), f"cases['{'x' * 100}']", "at most 255", "something shorter"),
        (control("condition", then=...), "then", "`then` and `else` are empty", "into one of them or both"),
        (control("condition", then=[], else_=[]), "then", "`then` and `else` are empty", ""),
        (control("foreach", tasks=[{**INNER, "on_rollback": [OTHER]}]), "tasks[0].on_rollback", "the list `tasks`", ""),
        (control("foreach", tasks=[5]), "tasks[0]", "a mapping", ""),
        (control("foreach", tasks=[{"id": "x"}]), "tasks[0].type", "type is missing", ""),
        (control("foreach", tasks=[task("x", "nop")]), "tasks[0].type", "did you mean 'noop'?", "foreach"),
        (control("foreach", tasks=[task("x", "log", config={"mesage": ""})]), "tasks[0].config.mesage", "mean", ""),
        (control("switch", cases={"eu": [task("1x")]}), "cases.eu[0].id", "'1x' is not a task id", ""),
        (control("foreach", tasks=[task("a")]), "tasks[0].id", "the id a is also that of tasks[0]", "unique"),
        (
            control("condition", else_=[INNER]), "else[0].id", "inner is also that of tasks[0].then[0]", "another",
        ),
        (
            control("foreach", tasks=[task("x", depends_on=["y"]), task("y", depends_on=["x"])]), "tasks[0].depends_on",
            "x → y → x", "",
        ),
        (control("parallel", tasks=[task("x", depends_on=["x"])]), "tasks[0].depends_on[0]", "x depends on itself", ""),
        (
            control("condition", else_=[task("x", depends_on=["inner"])]), "else[0].depends_on[0]",
            "inner is a task of `tasks[0].then`", "name tasks of `tasks[0].else`",
        ),
        (control("foreach", tasks=[task("x", depends_on=["a"])]), "tasks[0].depends_on[0]", "is a task of `tasks`", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_control_task(raw: dict[str, Any], path: str, says: str, remedy: str) -> None:
    found = [fault for fault in faults(workflow(raw)) if fault.path == f"tasks[0].{path}"]
    assert len(found) == 1, "\n".join(map(line, faults(workflow(raw))))
    assert says in found[0].message, line(found[0])
    assert remedy in found[0].remedy, line(found[0])


def test_who_depends_on_what_stands_in_a_task_is_told_the_task() -> None:
    fault = only(workflow(control("foreach"), task("b", depends_on=["inner"])))
    assert fault.path == "tasks[1].depends_on[0]"
    assert "inner is a task of `tasks[0].tasks`" in fault.message
    assert fault.remedy == "depend on a, in which it stands"


@pytest.mark.parametrize(
    "place", ["on_failure", "finally", "tasks[0].on_rollback", "tasks[0].then"],
)  # fmt: skip
def test_only_tasks_of_the_main_list_are_undone(place: str) -> None:
    inner = {**INNER, "on_rollback": [OTHER]}
    raw: dict[str, Any] = workflow(control("condition", then=[NOOP | {"id": "t"}]))
    if place in ("on_failure", "finally"):
        raw[place] = [inner]
    else:
        raw["tasks"][0][place.partition(".")[2]] = [inner]
    fault = only(raw)
    assert fault.path == f"{place}[0].on_rollback"
    assert "only tasks of the list `tasks` itself are undone" in fault.message


def test_every_fault_in_nested_tasks_is_told_at_once() -> None:
    raw = workflow(
        control(
            "switch", default=[{"type": "nop"}],
            cases={
                "eu": [control("foreach", id="b", config={"items": 3}, tasks=[task("c", "http", config={})])],
                "us": [task("d", timeuot=1), task("e", "transform", config={"output": "{{ item }}"})],
            },
        )
    )  # fmt: skip
    assert told(raw) == [
        ("tasks[0].cases.eu[0].config.items", "items"),
        ("tasks[0].cases.eu[0].tasks[0].config.url", "missing"),
        ("tasks[0].cases.us[0].timeuot", "unknown_field"),
        ("tasks[0].cases.us[1].config.output", "unknown_name"),
        ("tasks[0].default[0].type", "unknown_type"),
    ]


def nested(kind: str, depth: int, **fields: Any) -> dict[str, Any]:
    """So many tasks of a kind in one another, and one in the last."""
    made: dict[str, Any] = task("last")
    for number in reversed(range(depth)):
        field = "then" if kind == "condition" else "tasks"
        made = control(kind, id=f"t{number}", **{field: [made]}, **fields)
    return made


def test_tasks_stand_in_at_most_twenty_others() -> None:
    accepted(workflow(nested("condition", 20)))
    fault = only(workflow(nested("condition", 21)))
    assert fault.path == "tasks[0]" + ".then[0]" * 20 + ".then"
    assert "at most 20 others, and these stand in 21" in fault.message
    assert told(workflow(nested("sequential", 25))) == [("tasks[0]" + ".tasks[0]" * 20 + ".tasks", "value")]


def test_loops_stand_in_one_another_at_most_five_deep() -> None:
    accepted(workflow(nested("foreach", 5)))
    fault = only(workflow(nested("foreach", 6)))
    assert fault.path == "tasks[0]" + ".tasks[0]" * 5 + ".type"
    assert "at most 5 deep, and this stands in 5 others" in fault.message


def test_paths_of_task_runs_are_not_too_long() -> None:
    """`loop[99999].` twice and the id: 512 characters at most."""
    longest = 512 - 2 * (200 + len("[99999]."))
    inner = control("foreach", id="b" * 200, tasks=[task("c" * longest)])
    accepted(workflow(control("foreach", id="a" * 200, tasks=[inner])))
    inner["tasks"] = [task("c" * (longest + 1))]
    fault = only(workflow(control("foreach", id="a" * 200, tasks=[inner])))
    assert fault.path == "tasks[0].tasks[0].tasks[0].id"
    assert "at most 512 characters, not 513" in fault.message
    accepted(workflow(task("a" * 200), nested("condition", 20)))


def test_nested_tasks_count() -> None:
    inner = [task(f"t{number}") for number in range(9_999)]
    accepted(workflow(control("parallel", tasks=inner)))
    fault = only(workflow(control("parallel", tasks=inner), task("b")))
    assert (fault.path, fault.code) == ("tasks", "value")
    assert "10000 tasks, those within others included, not 10001" in fault.message


def test_items_that_are_written_have_a_limit() -> None:
    accepted(workflow(control("foreach", config={"items": [0] * 100_000})))
    fault = only(workflow(control("foreach", config={"items": [0] * 100_001})))
    assert fault.path == "tasks[0].config.items"
    assert "at most 100000 items, and these are 100001" in fault.message


def test_what_stands_in_a_task_of_no_type_is_looked_at_all_the_same() -> None:
    raw = workflow(
        task("a", "foreech", config={"items": []}, tasks=[transform("b", "{{ item.id + previous + nope }}")])
    )
    assert told(raw) == [("tasks[0].type", "unknown_type"), ("tasks[0].tasks[0].config.output", "expression")]
    assert "did you mean 'foreach'?" in faults(raw)[0].message


def test_credentials_in_nested_tasks_are_told() -> None:
    inner = task("b", "http", config={"url": "https://e.com", "headers": {"Authorization": "Bearer x"}})
    found = accepted(workflow(control("switch", cases={"eu": [control("foreach", id="l", tasks=[inner])]}))).warnings
    assert len(found) == 1
    assert found[0].startswith("tasks[0].cases.eu[0].tasks[0].config.headers.Authorization holds a credential")


def test_in_the_task_list_a_control_task_has_no_limit_that_was_not_given() -> None:
    raw: dict[str, Any] = {"name": "w", "tasks": [{"name": "nap", "task_type": "SLEEP", "config": {"duration": "1h"}}]}
    assert canonical(raw)["tasks"] == [task("nap", "sleep", name="nap", config={"duration": "1h"})]
    raw["tasks"][0]["timeout_seconds"] = 60
    assert canonical(raw)["tasks"][0]["timeout"] == "60s"
