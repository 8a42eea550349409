"""W2: every kind of fault, each alone: where it is, what it is called, what it says and what would be right."""

from typing import Any

import pytest

from tests.unit.definition.example import NOOP, faults, only, task, told, transform, workflow

GET = {"url": "https://example.com"}

FAULTS: dict[str, tuple[Any, str, str, str, str]] = {
    # name: (definition, path, code, words of the message, words of the remedy)
    "no mapping": ([], "", "type", "a workflow is a mapping, not a list", "tasks"),
    "no name": ({"tasks": [NOOP]}, "name", "missing", "name is missing", "any text"),
    "empty name": (workflow(name=""), "name", "value", "name must not be empty", "any text"),
    "blank name": (workflow(name=" "), "name", "name", "must not be blank", "write a name"),
    "long name": (workflow(name="x" * 256), "name", "value", "at most 255 characters", "any text"),
    "number as name": (workflow(name=5), "name", "type", "name must be text, not a number", "write text"),
    "no tasks": ({"name": "w"}, "tasks", "missing", "tasks is missing", "at least one task"),
    "empty tasks": ({"name": "w", "tasks": []}, "tasks", "value", "tasks must not be empty", "at least one task"),
    "tasks by id": ({"name": "w", "tasks": {"a": NOOP}}, "tasks", "type", "a list, not a mapping", "write a list"),
    "text as task": (workflow("a"), "tasks[0]", "type", "tasks[0] must be a mapping, not text", "write a mapping"),
    "nothing as task": (workflow(None), "tasks[0]", "type", "must be a mapping, not null", "write a mapping"),
    "unknown field": (workflow(descripton=""), "descripton", "unknown_field", "did you mean 'description'?", "name, "),
    "unknown field of a task": (
        workflow(task("a", retires=1)), "tasks[0].retires", "unknown_field", "did you mean 'retry'?", "depends_on",
    ),
    "unknown field of retry": (
        workflow(task("a", retry={"max_attempt": 2})), "tasks[0].retry.max_attempt", "unknown_field",
        "did you mean 'max_attempts'?", "jitter",
    ),
    "unknown field of a trigger": (
        workflow(triggers=[{"type": "manual", "cron": 1}]), "triggers[0].cron", "unknown_field", "'cron'", "config",
    ),
    "empty key": (workflow(**{"": 1}), "['']", "unknown_field", "no field ''", "name, "),
    "odd key": (workflow(**{"a.b c": 1}), "['a.b c']", "unknown_field", "no field 'a.b c'", "name, "),
    "no type": (workflow({"id": "a"}), "tasks[0].type", "missing", "type is missing", "task type"),
    "number as type": (workflow({"id": "a", "type": 5}), "tasks[0].type", "type", "type must be text", "write text"),
    "unknown type": (
        workflow(task("a", "htttp")), "tasks[0].type", "unknown_type", "did you mean 'http'?",
        "database, email, foreach, http",
    ),
    "bad id": (workflow(task("1 a")), "tasks[0].id", "task_id", "'1 a' is not a task id", "write for example task_1_a"),
    "bad id of a trigger": (
        workflow(triggers=[{"id": "1 a", "type": "manual"}]), "triggers[0].id", "trigger_id",
        "'1 a' is not a trigger id", "write for example trigger_1_a",
    ),
    "reserved id": (workflow(task("true")), "tasks[0].id", "task_id", "'true' is not", "none of false, in, null, true"),
    "long id": (workflow(task("x" * 201)), "tasks[0].id", "task_id", "is not a task id", "at most 200"),
    "number as id": (workflow({"id": 5, "type": "noop"}), "tasks[0].id", "type", "id must be text", "write text"),
    "id used twice": (
        workflow(NOOP, NOOP), "tasks[1].id", "duplicate", "also that of tasks[0]", "unique in the whole definition",
    ),
    "id used in a handler": (
        workflow(on_failure=[NOOP]), "on_failure[0].id", "duplicate", "also that of tasks[0]", "unique",
    ),
    "unknown dependency": (
        workflow(task("fetch"), task("load", depends_on=["fetsh"])), "tasks[1].depends_on[0]", "unknown_task",
        "there is no task 'fetsh'; did you mean 'fetch'?", "same list",
    ),
    "dependency on itself": (
        workflow(task("a", depends_on=["a"])), "tasks[0].depends_on[0]", "cycle", "a depends on itself", "take it out",
    ),
    "dependency twice": (
        workflow(task("a"), task("b", depends_on=["a", "a"])), "tasks[1].depends_on[1]", "duplicate", "twice", "out",
    ),
    "dependency in another list": (
        {**workflow(), "finally": [task("f", depends_on=["a"])]}, "finally[0].depends_on[0]", "other_list",
        "a is a task of `tasks`", "name tasks of `finally`",
    ),
    "text as dependencies": (
        workflow(NOOP, task("b", depends_on="a")), "tasks[1].depends_on", "type", "a list, not text", "write a list",
    ),
    "number as dependency": (
        workflow(task("b", depends_on=[5])), "tasks[0].depends_on[0]", "type",
        "depends_on[0] must be text", "write text",
    ),
    "cycle": (
        workflow(task("a", depends_on=["c"]), task("b", depends_on=["a"]), task("c", depends_on=["b"])),
        "tasks[0].depends_on", "cycle", "a → c → b → a", "take one",
    ),
    "unknown join": (
        workflow(task("a", join="all_succes")), "tasks[0].join", "value", "did you mean 'all_success'?", "one_failed",
    ),
    "words as condition": (workflow(task("a", if_="yes")), "tasks[0].if", "condition", "one expression", "{{"),
    "two conditions": (workflow(task("a", if_="{{ true }}{{ true }}")), "tasks[0].if", "condition", "one", "{{"),
    "number as condition": (workflow(task("a", if_=5)), "tasks[0].if", "condition", "text or true or false", "{{"),
    "open condition": (workflow(task("a", if_="{{ true")), "tasks[0].if", "expression", "never closed", "}}"),
    "words as duration": (workflow(task("a", timeout="soon")), "tasks[0].timeout", "duration", "'soon'", "30s"),
    "no time": (workflow(timeout=0), "timeout", "duration", "no time", "30s"),
    "too much time": (workflow(timeout="400d"), "timeout", "duration", "longer than 366 days", "1d"),
    "endless digits": (workflow(timeout="9" * 400 + "s"), "timeout", "duration", "9999", "30s"),
    "negative time": (workflow(timeout=-1), "timeout", "duration", "-1 seconds is not between 0 and", "30s"),
    "truth as time": (workflow(timeout=True), "timeout", "duration", "text or a number", "30s"),
    "no attempts": (
        workflow(task("a", retry={"max_attempts": 0})), "tasks[0].retry.max_attempts", "value",
        "max_attempts must be at least 1, not 0", "how often",
    ),
    "shrinking delay": (
        workflow(task("a", retry={"multiplier": 0.5})), "tasks[0].retry.multiplier", "value", "at least 1, not 0.5", "",
    ),
    "large jitter": (
        workflow(defaults={"retry": {"jitter": 2}}), "defaults.retry.jitter", "value", "at most 1, not 2", "share",
    ),
    "unknown kind of failure": (
        workflow(task("a", retry={"on": ["eror"]})), "tasks[0].retry.on[0]", "value", "mean 'error'?", "timeout",
    ),
    "number as retry": (workflow(task("a", retry=3)), "tasks[0].retry", "type", "a mapping, not a number", "mapping"),
    "words as truth": (
        workflow(task("a", allow_failure="yes")), "tasks[0].allow_failure", "type", "true or false, not text", "true",
    ),
    "list as config": (workflow({"id": "a", "type": "http", "config": []}), "tasks[0].config", "type", "a list", ""),
    "number as label": (workflow(labels={"a": 1}), "labels.a", "type", "labels.a must be text, not a number", "text"),
    "list as variables": (
        workflow(transform("a", "{{ variables.x }}"), variables=["x"]), "variables", "type", "a mapping", "mapping",
    ),
    "no limit": (workflow(concurrency={}), "concurrency.limit", "missing", "limit is missing", "runs of the workflow"),
    "limit of none": (workflow(concurrency={"limit": 0}), "concurrency.limit", "value", "at least 1, not 0", "runs"),
    "unknown when_full": (
        workflow(concurrency={"limit": 1, "when_full": "queu"}), "concurrency.when_full", "value", "'queue'", "queue",
    ),
    "unknown trigger": (
        workflow(triggers=[{"type": "crom"}]), "triggers[0].type", "value", "did you mean 'cron'?", "webhook",
    ),
    "trigger id twice": (
        workflow(triggers=[{"id": "x", "type": "manual"}] * 2), "triggers[1].id", "duplicate", "triggers[0]", "own",
    ),
    "open expression of a trigger": (
        workflow(triggers=[{"type": "cron", "config": {"expression": "{{"}}]), "triggers[0].config.expression",
        "expression", "never closed", "}}",
    ),
    "unknown JSON type": (
        workflow(input={"properties": {"day": {"type": "strng"}}}), "input.properties.day.type", "schema",
        "strng", "json-schema.org",
    ),
    "broken closed schema": (
        workflow(transform("a", "{{ input.x }}"), input={"additionalProperties": False, "properties": []}),
        "input.properties", "schema", "is not of type", "json-schema.org",
    ),
    "schema elsewhere": (
        workflow(input={"properties": {"a": {"$ref": "https://example.com/a"}}}), "input.properties.a['$ref']",
        "outside_reference", "its own parts only", "$defs",
    ),
    "schema of a dialect nobody knows": (
        workflow(input={"$schema": "https://example.com/a"}), "input", "schema", "example.com", "2020-12",
    ),
    "NUL": (workflow(description="a\0"), "description", "value", "NUL", ""),
    "half a character": (workflow(metadata={"a": ["\ud800"]}), "metadata.a[0]", "value", "surrogate", ""),
    "huge number": (workflow(metadata={"a": 2**64}), "metadata.a", "value", "64 bits", "text"),
    "not a number": (workflow(metadata={"a": float("nan")}), "metadata.a", "value", "finite", ""),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "path", "code", "says", "remedy"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_once_with_its_place_and_remedy(raw: Any, path: str, code: str, says: str, remedy: str) -> None:
    fault = only(raw)
    assert (fault.path, fault.code) == (path, code)
    assert says in fault.message
    assert remedy.lower() in fault.remedy.lower()
    assert fault.remedy
    assert len(fault.message) < 200, "a message is a sentence"
    assert "input should" not in fault.message, "a message is in our own words"


TWENTY = {
    "name": "",
    "labels": {"a": 1},
    "colour": "red",
    "variables": {"region": "eu"},
    "concurrency": {"limit": 0, "when_full": "skip"},
    "timeout": "soon",
    "redact": 5,
    "triggers": [{"type": "crom"}],
    "tasks": [
        {"id": "1a", "type": "noop"},
        {"id": "a", "type": "htttp", "timeuot": "5s"},
        {"id": "b", "type": "http", "config": {"headers": []}, "depends_on": ["1a", "zz"]},
        {"id": "c", "type": "transform", "config": {"output": "{{ variables.regon }}"}, "if": "maybe"},
        {"id": "d", "type": "foreach", "config": {"items": "{{ input.x }}"}, "tasks": [{"id": "c", "type": "agent"}]},
        {"id": "c", "type": "noop", "join": "both"},
        {"type": "shell", "name": "S", "config": {"command": "echo {{ input.x }}"}},
    ],
    "output": "{{ tasks.e.output",
}


def test_all_faults_are_told_at_once_in_the_order_of_the_text() -> None:
    assert told(TWENTY) == [
        ("name", "value"),
        ("labels.a", "type"),
        ("colour", "unknown_field"),
        ("concurrency.limit", "value"),
        ("timeout", "duration"),
        ("redact", "type"),
        ("triggers[0].type", "value"),
        ("tasks[0].id", "task_id"),
        ("tasks[1].type", "unknown_type"),
        ("tasks[1].timeuot", "unknown_field"),
        ("tasks[2].config.url", "missing"),
        ("tasks[2].config.headers", "type"),
        ("tasks[2].depends_on[1]", "unknown_task"),
        ("tasks[3].config.output", "unknown_name"),
        ("tasks[3].if", "condition"),
        ("tasks[4].tasks[0].config.agent", "missing"),
        ("tasks[4].tasks[0].id", "duplicate"),
        ("tasks[5].id", "duplicate"),
        ("tasks[5].join", "value"),
        ("tasks[6].config.command", "literal_text"),
        ("output", "expression"),
    ]


CONSEQUENCES = {
    "a task of a bad id is known by it": workflow(task("1a"), task("b", depends_on=["1a"])),
    "what a misspelt dependency would have made readable": workflow(
        task("fetch"), task("b", depends_on=["fetsh"]), transform("c", "{{ tasks.fetch.output }}", depends_on=["b"])
    ),
    "what a task's own misspelt dependency would have made readable": workflow(
        task("fetch"), transform("b", "{{ tasks.fetch.output }}", depends_on=["fetsh"])
    ),
    "what dependencies that are no list would have made readable": workflow(
        NOOP, transform("b", "{{ tasks.a.output }}", depends_on="a")
    ),
    "what a cycle makes unreadable": workflow(
        task("a", depends_on=["b"]),
        task("b", depends_on=["a"]),
        transform("c", "{{ tasks.a.output }}", depends_on=["b"]),
    ),
    "an id that is used twice is no cycle": workflow(NOOP, NOOP, task("c", depends_on=["a"])),
    "which of two tasks is meant": workflow(
        task("b"),
        task("a", depends_on=["b"]),
        transform("a", "{{ tasks.a.output }}", depends_on=["a"]),
        transform("c", "{{ tasks.b.output }} {{ tasks.a.output }}", depends_on=["a"]),
        transform("d", "{{ tasks.b.output }}", depends_on=["c"]),
    ),
    "the fields of a config that is a list": workflow({"id": "a", "type": "http", "config": []}),
    "the variables of a list": workflow(transform("a", "{{ variables.x }}"), variables=["x"]),
    "the parts of a type that is not there yet": workflow(
        {"id": "each", "type": "foreach", "config": {"items": []}, "tasks": [transform("part", "{{ item }}")]},
        transform("z", "{{ tasks.part.output }}"),
    ),
    "the same name read twice": workflow(transform("a", "{{ variables.x }} and {{ variables.x }}")),
    "two tasks without a usable id": workflow({"id": 5, "type": "noop"}, task("b"), task("c")),
}


@pytest.mark.parametrize("raw", CONSEQUENCES.values(), ids=CONSEQUENCES.keys())
def test_what_only_follows_from_a_fault_is_not_told(raw: Any) -> None:
    only(raw)


CYCLE = [task("b", depends_on=["c"]), task("c", depends_on=["b"])]
UNORDERED = [task("y", depends_on=[]), transform("z", "{{ tasks.y.output }}", depends_on=[])]


def test_an_id_that_is_used_twice_hides_no_other_fault() -> None:
    assert told(workflow(NOOP, NOOP, *CYCLE, *UNORDERED, task("w", depends_on=["v"]))) == [
        ("tasks[1].id", "duplicate"),
        ("tasks[2].depends_on", "cycle"),
        ("tasks[5].config.output", "unknown_name"),
        ("tasks[6].depends_on[0]", "unknown_task"),
    ]


def test_a_cycle_through_an_id_that_is_used_twice_is_told_where_the_order_of_the_list_makes_it() -> None:
    found = faults(workflow(NOOP, task("a", depends_on=["c"]), task("c")))
    assert [(fault.path, fault.code) for fault in found] == [
        ("tasks[1].id", "duplicate"),
        ("tasks[1].depends_on", "cycle"),
    ]
    assert "tasks[1] → c → tasks[1]" in found[1].message


def test_a_cycle_hides_no_other_fault() -> None:
    assert told(workflow(*CYCLE, *UNORDERED)) == [
        ("tasks[0].depends_on", "cycle"),
        ("tasks[3].config.output", "unknown_name"),
    ]


def test_faults_beyond_the_limit_are_left_out() -> None:
    assert len(faults(workflow(*(task("a", "nothing") for _ in range(1000))))) == 200


def test_a_circle_is_told_beside_dependencies_that_are_no_list() -> None:
    found = told(workflow(task("a", depends_on="b"), task("b", depends_on=["a"])))
    assert found == [("tasks[0].depends_on", "type"), ("tasks[0].depends_on", "cycle")]


def test_what_says_nothing_of_the_order_makes_no_circle() -> None:
    assert told(workflow(task("a", depends_on=["b"]), task("b", depends_on=5))) == [("tasks[1].depends_on", "type")]
