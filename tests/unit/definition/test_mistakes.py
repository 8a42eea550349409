"""What people write who come from other tools, or begin: what was probably meant, and how it is written here."""

from typing import Any

import pytest

from tests.unit.definition.example import NOOP, accepted, faults, line, task, told, workflow

CRON = {"expression": "0 2 * * *"}


@pytest.mark.parametrize(
    ("definition", "place", "says", "remedy"),
    [
        (workflow(inputs={}), "inputs", "did you mean 'input'?", "the fields here are name"),
        (workflow(vars={}), "vars", "did you mean 'variables'?", ""),
        (workflow(schedule="0 2 * * *"), "schedule", "did you mean 'triggers'?", ""),
        (workflow(on_error=[NOOP]), "on_error", "did you mean 'on_failure'?", ""),
        (workflow(onFailure=[NOOP]), "onFailure", "did you mean 'on_failure'?", ""),
        ({"name": "w", "steps": [NOOP]}, "steps", "did you mean 'tasks'?", ""),
        (workflow(defaults={"retries": 3}), "defaults.retries", "did you mean 'retry'?", ""),
        (workflow(concurrency=1), "concurrency", "a mapping, not a number", "write a mapping: {limit: 1}"),
        (workflow(labels=["a"]), "labels", "a mapping, not a list", "write a mapping: {name: value}"),
        (workflow(on_failure=NOOP), "on_failure", "a list, not a mapping", "with a dash before each entry"),
        (workflow(task("a", needs=[])), "tasks[0].needs", "did you mean 'depends_on'?", ""),
        (workflow(task("a", **{"depends-on": []})), "tasks[0]['depends-on']", "did you mean 'depends_on'?", ""),
        (workflow(task("a", when="{{ true }}")), "tasks[0].when", "did you mean 'if'?", ""),
        (workflow(task("a", continue_on_error=True)), "tasks[0].continue_on_error", "mean 'allow_failure'?", ""),
        (workflow(task("a", depends_on="b")), "tasks[0].depends_on", "a list, not text", "write a list: [b]"),
        (workflow(task("a", depends_on="b c")), "tasks[0].depends_on", "a list, not text", "write a list"),
        (workflow(task("a", retry=3)), "tasks[0].retry", "a mapping, not a number", "{max_attempts: 3}"),
        (workflow(task("a", retry=[3])), "tasks[0].retry", "a mapping, not a list", "of max_attempts, delay"),
        (workflow(task("a", "HTTP")), "tasks[0].type", "did you mean 'http'?", "database, email, foreach, http"),
        (workflow(task("a", "python")), "tasks[0].type", "did you mean 'script'?", ""),
        (workflow(task("a", message="hi")), "tasks[0].message", "no field 'message' here", "the fields here are"),
        (workflow(task("a", "log", message="hi")), "tasks[0].message", "belongs into config", "{message: …}"),
        (
            workflow(finally_=[task("b", "log", message="hi")]), "finally[0].message", "it belongs into config",
            "config: {message: …}",
        ),
        (
            workflow(triggers=[{"type": "cron", **CRON}]), "triggers[0].expression", "it belongs into config",
            "config: {expression: …}",
        ),
        (
            workflow(triggers=[{"type": "cron", "config": {**CRON, "tz": "UTC"}}]), "triggers[0].config.tz",
            "did you mean 'timezone'?", "",
        ),
        (
            workflow(triggers=[{"type": "cron", "config": {**CRON, "input": {}}}]), "triggers[0].config.input",
            "it belongs beside config", "write input one level up",
        ),
        (workflow(triggers=[{"type": "schedule"}]), "triggers[0].type", "did you mean 'cron'?", ""),
        (
            workflow(task("a", "noop", config={"timeout": "5s"})), "tasks[0].config.timeout",
            "it belongs beside config", "write timeout one level up",
        ),
        (workflow(task("a", "shell", config={"cmd": "ls"})), "tasks[0].config.cmd", "did you mean 'command'?", ""),
        (workflow(task("a", "database", config={"query": "q"})), "tasks[0].config.query", "did you mean 'sql'?", ""),
        (
            workflow(task("a", "http", config={"url": "http://a.example", "json": {}})), "tasks[0].config.json",
            "did you mean 'body'?", "",
        ),
        (
            workflow(task("a", "switch", config={"value": "x"}, cases=["b", "c"])), "tasks[0].cases",
            "a mapping, not a list", "such as {eu: [{id: vat, type: noop}]}",
        ),
        (
            workflow(task("a", "condition", condition="{{ true }}", then=[NOOP])), "tasks[0].condition",
            "did you mean 'if'? It belongs into config", "write config: {if: …}",
        ),
        (
            workflow(task("a", "agent", config={"agent": "x", "method": "GET", "input": {}})), "tasks[0].config",
            "GET sends no input", "write method: POST",
        ),
    ],
)  # fmt: skip
def test_what_was_meant_is_told(definition: Any, place: str, says: str, remedy: str) -> None:
    definition = {key.rstrip("_"): value for key, value in definition.items()}
    (fault,) = [fault for fault in faults(definition) if fault.path == place]
    assert says in fault.message, line(fault)
    assert remedy in fault.remedy, line(fault)


LOOP = task("lp", "foreach", config={"items": [1]}, tasks=[NOOP])


@pytest.mark.parametrize(
    ("read", "says", "remedy"),
    [
        ("tasks.lp[0].a.output", "not read by the number of its iteration", "read tasks.lp.output.results[0]"),
        ("tasks['lp[7].a'].output", "not read by the number of its iteration", "read tasks.lp.output.results[7]"),
        ("tasks.a.output", "runs once in each iteration of lp", "read tasks.lp.output.results, "),
        ("tasks.b[1].c", "not by a number", "write tasks.b.output[1]"),
        ("tasks['b[1]'].c", "there is no task 'b[1]'", "name a task"),
        ("data.x", "'data' is not defined", "may begin with input, variables, tasks, run, trigger, secrets; "),
        ("itme.x", "'itme' is not defined (at", "may begin with input"),
    ],
)
def test_what_an_expression_means_is_told(read: str, says: str, remedy: str) -> None:
    (fault,) = faults(workflow(LOOP, task("b"), task("c", "log", config={"message": f"{{{{ {read} }}}}"})))
    assert says in fault.message, line(fault)
    assert remedy in fault.remedy, line(fault)


def test_the_last_iteration_of_a_while_alone_can_be_read() -> None:
    loop = task("w", "while", config={"condition": "{{ index < 3 }}"}, tasks=[NOOP])
    (fault,) = faults(workflow(loop, task("c", "log", config={"message": "{{ tasks.w[0].a.output }}"})))
    assert "read tasks.w.output.result, " in fault.remedy, line(fault)


def test_only_names_that_have_a_value_at_a_place_are_offered_there() -> None:
    inner = task("inner", "log", config={"message": "{{ itme }}"}, if_="{{ itme }}")
    loop = task("lp", "foreach", config={"items": "{{ itme }}"}, tasks=[inner])
    wait = task("wait", "wait_for_event", config={"type": "x", "filter": "{{ itme }}"})
    found = {fault.path: fault for fault in faults(workflow(loop, wait, concurrency={"limit": 1, "key": "{{ itme }}"}))}
    offered = {path: line(fault).split("begin with ")[1].split(";")[0] for path, fault in found.items()}
    assert offered == {
        "tasks[0].tasks[0].config.message": "input, variables, tasks, run, trigger, secrets, item, index",
        "tasks[0].tasks[0].if": "input, variables, tasks, run, trigger, item, index",
        "tasks[0].config.items": "input, variables, tasks, run, trigger",
        "tasks[1].config.filter": "input, variables, tasks, run, trigger, event",
        "concurrency.key": "input, variables, trigger",
    }
    assert "did you mean 'item'?" in found["tasks[0].tasks[0].if"].message
    assert "did you mean" not in found["tasks[0].config.items"].message


@pytest.mark.parametrize(
    ("definition", "places"),
    [
        (workflow(task("a", "log", message="hi")), ["tasks[0].message"]),
        (workflow(task("a", "http", url="https://a.example", config={})), ["tasks[0].url"]),
        (workflow(task("a", "http", url="nowhere", config={"method": "POST"})), ["tasks[0].url"]),
        (workflow(task("a", "http", connection="shop", config={"method": "POST"})), ["tasks[0].connection"]),
        (workflow(task("a", "http", url="nowhere", config={"mehtod": 1})), ["tasks[0].url", "tasks[0].config.mehtod"]),
        (workflow(task("a", "http", method="POST", config={})), ["tasks[0].method", "tasks[0].config.url"]),
        (workflow(task("a", "database", sql="select 1", connection="shop")), ["tasks[0].connection", "tasks[0].sql"]),
        (workflow(triggers=[{"type": "cron", **CRON}]), ["triggers[0].expression"]),
    ],
)
def test_a_field_beside_config_is_not_missing_in_it(definition: Any, places: list[str]) -> None:
    assert sorted(path for path, _ in told(definition)) == sorted(places)


def test_every_fault_of_a_schema_is_told_at_once() -> None:
    schema = {"type": "object", "properties": {"day": "string", "n": 5}, "required": "day"}
    found = faults(workflow(input=schema))
    assert [fault.path for fault in found] == ["input.properties.day", "input.properties.n", "input.required"]
    assert "{type: string}" in found[0].remedy


def test_a_schema_of_another_draft_is_judged_by_that_draft() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "required": "day"}
    assert told(workflow(input=schema)) == [("input.required", "schema")]
    accepted(workflow(input={**schema, "required": [], "dependencies": {"a": ["b"]}}))


@pytest.mark.parametrize(
    ("schema", "warning"),
    [
        ({"day": {"type": "string"}}, "input.day is no word of JSON Schema and has no effect; inputs are"),
        ({"type": "object", "requried": ["a"]}, "input.requried is no word of JSON Schema and has no effect; did you"),
    ],
)  # fmt: skip
def test_what_a_schema_passes_over_is_warned_of(schema: dict[str, Any], warning: str) -> None:
    (told_of,) = accepted(workflow(input=schema)).warnings
    assert told_of.startswith(warning)


def test_a_schema_may_have_notes_of_its_own() -> None:
    schema = {"type": "object", "$comment": "c", "x-form": {}, "title": "t", "properties": {"day": {"widget": "date"}}}
    assert accepted(workflow(input=schema)).warnings == ()


def test_a_remedy_makes_no_circle() -> None:
    """To wait for a task that comes later would be one."""
    (fault,) = faults(workflow(task("a", "log", config={"message": "{{ tasks.b.output }}"}), task("b")))
    assert "a does not wait for b, which comes after it" in fault.message, line(fault)
    assert fault.remedy == "let b come before it, or read it in a task that comes after b"
    (fault,) = faults(workflow(task("a", "log", config={"message": "{{ tasks.b.output }}"}), task("b", depends_on=[])))
    assert "add b to depends_on" in fault.remedy
