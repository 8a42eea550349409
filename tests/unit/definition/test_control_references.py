"""Who may read whom where tasks stand in tasks: the way outwards, loops, branches, and the names of an iteration."""

from typing import Any

import pytest

from tests.unit.definition.example import accepted, faults, line, only, task, told, transform, workflow

ITEMS = {"items": "{{ input.list }}"}


def reads(id: str, source: str, /, **fields: Any) -> dict[str, Any]:
    return transform(id, f"{{{{ {source} }}}}", **fields)


def foreach(id: str, *tasks: dict[str, Any], **config: Any) -> dict[str, Any]:
    return task(id, "foreach", config={**ITEMS, **config}, tasks=list(tasks))


def looping(id: str, *tasks: dict[str, Any], **config: Any) -> dict[str, Any]:
    return task(id, "while", config={"condition": "{{ index < 3 }}", **config}, tasks=list(tasks))


def condition(id: str, *then: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return task(id, "condition", config={"if": "{{ input.x }}"}, then=list(then), **fields)


def wait(id: str, source: str, /, **fields: Any) -> dict[str, Any]:
    return task(id, "wait_for_event", config={"type": "a", "filter": f"{{{{ {source} }}}}"}, **fields)


FIRST = transform("first", 1)
LATER = task("later")

GOOD: dict[str, dict[str, Any]] = {
    "from a branch what the condition waits for": workflow(FIRST, condition("c", reads("a", "tasks.first.output"))),
    "from a loop what the loop waits for": workflow(FIRST, foreach("l", reads("a", "tasks.first.output"))),
    "from a branch what is listed before in it": workflow(condition("c", FIRST, reads("a", "tasks.first.output"))),
    "a task in a branch that may not be taken": workflow(condition("c", FIRST), reads("a", "tasks.first.output")),
    "a task in a group in a branch": workflow(
        condition("c", task("g", "sequential", tasks=[FIRST])), reads("a", "default(tasks.first.output, 1)")
    ),
    "within one iteration": workflow(foreach("l", FIRST, reads("a", "tasks.first.output"))),
    "deeper in one iteration": workflow(foreach("l", FIRST, condition("c", reads("a", "tasks.first.output")))),
    "from an inner loop what stands in the outer": workflow(
        foreach("l", FIRST, foreach("m", reads("a", "tasks.first.output + item")))
    ),
    "out of a branch within one iteration": workflow(
        foreach("l", condition("c", FIRST), reads("a", "tasks.first.output"))
    ),
    "the result of a loop": workflow(foreach("l", FIRST), reads("a", "tasks.l.output.results[0]")),
    "the result of a loop within another": workflow(
        foreach("l", foreach("m", FIRST), reads("a", "tasks.m.output.results"))
    ),
    "item in a branch in a loop": workflow(foreach("l", condition("c", reads("a", "item.x + index")))),
    "item in the config of an inner loop": workflow(
        foreach("l", task("m", "foreach", config={"items": "{{ item }}"}, tasks=[FIRST]))
    ),
    "previous in a while": workflow(looping("l", reads("a", "default(previous.x, index)"))),
    "item in an `if`": workflow(foreach("l", task("a", if_="{{ item.ok }}"))),
    "the output of a loop": workflow(
        FIRST, foreach("l", task("a"), output={"x": "{{ tasks.a.output + tasks.first.output + item + index }}"})
    ),
    "the output of a loop reads into branches": workflow(
        foreach("l", condition("c", task("a")), output="{{ tasks.a.output }}")
    ),
    "the output of a loop reads the result of an inner one": workflow(
        foreach("l", foreach("m", task("a")), output="{{ tasks.m.output.results }}")
    ),
    "the key of a loop": workflow(
        FIRST, foreach("l", task("a"), key="{{ item.id + tasks.first.output + string(index) }}")
    ),
    "the condition of a while": workflow(
        FIRST,
        looping(
            "l", task("a"), condition="{{ index == 0 || (tasks.a.output.more && previous != tasks.first.output) }}"
        ),
    ),
    "the output of a while": workflow(looping("l", task("a"), output="{{ [previous, tasks.a.output, index] }}")),
    "event in a filter": workflow(FIRST, wait("w", "event.data.x == tasks.first.output")),
    "event in a filter within a loop": workflow(foreach("l", wait("w", "event.data.x == item"))),
    "in a handler what a branch did": workflow(condition("c", FIRST), on_failure=[reads("a", "tasks.first.error")]),
    "in a nested task of a handler": workflow(FIRST, on_failure=[foreach("l", reads("a", "tasks.first.output"))]),
    "in what undoes a condition, what stood in it": workflow(
        {**condition("c", FIRST), "on_rollback": [condition("d", reads("a", "tasks.first.output"))]}
    ),
    "a group of a branch waited for": workflow(
        task("p", "parallel", tasks=[FIRST, reads("a", "tasks.first.output", depends_on=["first"])])
    ),
    "output of the run out of a branch": workflow(condition("c", FIRST), output="{{ default(tasks.first.output, 0) }}"),
    "a loop's items given by a task that it waits for": workflow(
        FIRST, foreach("l", LATER, items="{{ tasks.first.output }}")
    ),
    "a variable of a comprehension called event": workflow(
        reads("a", "input.x.filter(event, event.y).map(previous, previous.z)")
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_read(name: str) -> None:
    accepted(GOOD[name])


RESULTS = "read tasks.l.output.results"

BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "into a loop": (
        workflow(foreach("l", FIRST), reads("a", "tasks.first.output")),
        "tasks[1].config.output",
        "it runs once in each iteration of l, and this stands outside of it",
        RESULTS,
    ),
    "into a loop, though it may be absent": (
        workflow(foreach("l", FIRST), reads("a", "default(tasks.first.output, 1)")),
        "tasks[1].config.output",
        "once in each iteration of l",
        RESULTS,
    ),
    "into a loop in a branch": (
        workflow(condition("c", foreach("l", condition("d", FIRST))), reads("a", "tasks.first.output")),
        "tasks[1].config.output",
        "once in each iteration of l",
        RESULTS,
    ),
    "into a loop from the one after it, in a loop": (
        workflow(foreach("o", foreach("l", FIRST), reads("a", "tasks.first.output"))),
        "tasks[0].tasks[1].config.output",
        "once in each iteration of l",
        RESULTS,
    ),
    "into a loop from the output of the outer": (
        workflow(foreach("o", foreach("l", FIRST), output="{{ tasks.first.output }}")),
        "tasks[0].config.output",
        "once in each iteration of l",
        RESULTS,
    ),
    "into a loop from the output of the run": (
        workflow(foreach("l", FIRST), output="{{ tasks.first.output }}"),
        "output",
        "once in each iteration of l",
        RESULTS,
    ),
    "into a loop from a handler": (
        workflow(foreach("l", FIRST), on_failure=[reads("a", "tasks.first.output")]),
        "on_failure[0].config.output",
        "once in each iteration of l",
        RESULTS,
    ),
    "into a loop from what undoes it": (
        workflow({**foreach("l", FIRST), "on_rollback": [reads("a", "tasks.first.output")]}),
        "tasks[0].on_rollback[0].config.output",
        "once in each iteration of l",
        RESULTS,
    ),
    "the loop around it": (
        workflow(foreach("l", reads("a", "tasks.l.output"))),
        "tasks[0].tasks[0].config.output",
        "a stands in it, and it ends later",
        "what it knows before is tasks.l.item or tasks.l.index",
    ),
    "itself": (
        workflow(foreach("l", reads("a", "tasks.a.output"))),
        "tasks[0].tasks[0].config.output",
        "its own result",
        "",
    ),
    "a branch that is not taken": (
        workflow(condition("c", FIRST, else_=[reads("a", "tasks.first.output")])),
        "tasks[0].else[0].config.output",
        "it stands in another branch of c",
        "default(…) in a task that comes after c",
    ),
    "what the condition around it does not wait for": (
        workflow(FIRST, condition("c", reads("a", "tasks.first.output"), depends_on=[])),
        "tasks[1].then[0].config.output",
        "c does not wait for it",
        "add first to depends_on of c",
    ),
    "in a group that is not waited for": (
        workflow(condition("c", FIRST), reads("a", "tasks.first.output", depends_on=[])),
        "tasks[1].config.output",
        "a does not wait for c",
        "add c to depends_on",
    ),
    "beside it in a parallel": (
        workflow(task("p", "parallel", tasks=[FIRST, reads("a", "tasks.first.output")])),
        "tasks[0].tasks[1].config.output",
        "a does not wait for it",
        "add first to depends_on",
    ),
    "listed after it in a loop": (
        workflow(foreach("l", reads("a", "tasks.later.output"), LATER)),
        "tasks[0].tasks[0].config.output",
        "a does not wait for later, which comes after it",
        "",
    ),
    "the items out of the loop": (
        workflow(foreach("l", FIRST, items="{{ tasks.first.output }}")),
        "tasks[0].config.items",
        "it stands in l, which reads this before any task in it runs",
        "",
    ),
    "the key out of the loop": (
        workflow(foreach("l", FIRST, key="{{ tasks.first.output }}")),
        "tasks[0].config.key",
        "it stands in l",
        "",
    ),
    "the decision out of the branch": (
        workflow(task("c", "condition", config={"if": "{{ tasks.first.output }}"}, then=[FIRST])),
        "tasks[0].config.if",
        "it stands in c",
        "",
    ),
    "item outside of loops": (
        workflow(condition("c", reads("a", "item"))),
        "tasks[0].then[0].config.output",
        "item has a value inside a loop only",
        "`tasks` of a foreach",
    ),
    "item in its own items": (
        workflow(foreach("l", FIRST, items="{{ item }}")),
        "tasks[0].config.items",
        "a loop only",
        "",
    ),
    "item in an `if` of the loop": (
        workflow({**foreach("l", FIRST), "if": "{{ item }}"}),
        "tasks[0].if",
        "inside a loop only",
        "",
    ),
    "item in a while": (
        workflow(looping("l", reads("a", "item"))),
        "tasks[0].tasks[0].config.output",
        "item has no value in a while such as l",
        "index and previous have one here",
    ),
    "item in a while in a foreach": (
        workflow(foreach("o", looping("l", reads("a", "item")))),
        "tasks[0].tasks[0].tasks[0].config.output",
        "item has no value in a while such as l, the innermost loop",
        "write tasks.o.item",
    ),
    "previous in a foreach": (
        workflow(foreach("l", reads("a", "previous"))),
        "tasks[0].tasks[0].config.output",
        "previous has no value in a foreach such as l",
        "item and index have one here",
    ),
    "item in the condition of a while": (
        workflow(foreach("o", looping("l", FIRST, condition="{{ item }}"))),
        "tasks[0].tasks[0].config.condition",
        "item has no value in a while",
        "",
    ),
    "item in the output of the run": (workflow(FIRST, output="{{ item }}"), "output", "a loop only", ""),
    "index in a limit": (
        workflow(FIRST, concurrency={"limit": 1, "key": "{{ index }}"}),
        "concurrency.key",
        "a loop only",
        "",
    ),
    "event in a task": (
        workflow(reads("a", "event.data")),
        "tasks[0].config.output",
        "event has a value in the `filter`",
        "trigger.event",
    ),
    "event in the branch of a wait": (
        workflow(wait("w", "true", then=[reads("a", "event.data")])),
        "tasks[0].then[0].config.output",
        "in the `filter`",
        "tasks.ID.output",
    ),
    "event in the key of a wait": (
        workflow(task("w", "wait_for_event", config={"type": "a", "key": "{{ event.id }}"})),
        "tasks[0].config.key",
        "in the `filter`",
        "",
    ),
    "event in a trigger": (
        workflow(FIRST, triggers=[{"type": "event", "config": {"event_type": "a"}, "if": "{{ event.x }}"}]),
        "triggers[0].if",
        "event has a value in the `filter`",
        "write trigger.event",
    ),
    "a secret in a control task": (
        workflow(task("s", "signal", config={"run": "r", "name": "n", "data": "{{ secrets.x }}"})),
        "tasks[0].config.data",
        "the engine, which renders this config, knows no secrets",
        "read it in the task that needs it",
    ),
    "a secret in a filter": (
        workflow(wait("w", "event.x == secrets.x")),
        "tasks[0].config.filter",
        "knows no secrets",
        "",
    ),
    "a secret in the `if` of a control task": (
        workflow({**foreach("l", FIRST), "if": "{{ secrets.x }}"}),
        "tasks[0].if",
        "in the `config` of tasks only",
        "",
    ),
    "a variable that there is not, deep inside": (
        workflow(foreach("l", condition("c", reads("a", "variables.x")))),
        "tasks[0].tasks[0].then[0].config.output",
        "there is no variable 'x'",
        "",
    ),
    "a task that there is not, deep inside": (
        workflow(foreach("l", condition("c", FIRST, reads("a", "tasks.frist.output")))),
        "tasks[0].tasks[0].then[1].config.output",
        "did you mean 'first'?",
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read(name: str) -> None:
    raw, path, says, remedy = BAD[name]
    fault = only(raw)
    assert fault.path == path, line(fault)
    assert says in fault.message, line(fault)
    assert remedy in fault.remedy, line(fault)


def test_secrets_are_read_in_tasks_of_workers_within_control_tasks() -> None:
    inner = task("a", "http", config={"url": "https://e.com", "headers": {"X-A": "{{ secrets.x + item }}"}})
    accepted(workflow(foreach("l", inner)))


def test_an_expression_that_no_value_can_stand_for_is_told() -> None:
    raw = workflow(
        foreach("l", FIRST, concurrency="{{ input.n }}"), looping("m", LATER, max_iterations="{{ input.n }}")
    )
    assert told(raw) == [
        ("tasks[0].config.concurrency", "expression"),
        ("tasks[1].config.max_iterations", "expression"),
    ]
    assert "is read when the definition is saved" in faults(raw)[0].message


def test_what_is_not_known_is_not_judged() -> None:
    """Two tasks of one id, a cycle, a dependency that is no list: told once, and not again for each who reads."""
    same = workflow(foreach("l", task("x")), condition("x", task("y")), reads("a", "tasks.x.output"))
    assert told(same) == [("tasks[0].tasks[0].id", "duplicate")]
    unsure = workflow(FIRST, condition("c", reads("a", "tasks.first.output"), depends_on="first"))
    assert told(unsure) == [("tasks[1].depends_on", "type")]
    cycle = workflow(FIRST, condition("c", reads("a", "tasks.d.output"), depends_on=["d"]), task("d", depends_on=["c"]))
    assert told(cycle) == [("tasks[1].depends_on", "cycle")]
