"""The condition of a `while` is asked before the first iteration, when nothing in the loop has run."""

import asyncio

import pytest

from millrace.definition.controls.first_check import absent_at_first
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.ports.evaluator import ExpressionError, Scope
from tests.unit.definition.example import faults, only, task, told, workflow

WITHOUT_VALUE = [
    "tasks.page.output.more",
    "tasks['page'].output.more == true",
    "tasks.page.output.pages[index] != null",
    "previous.more",
    "!tasks.page.output.done",
    "!(!(tasks.page.output.done))",
    "index == 0 && tasks.page.output.more",
    "index > 0 || tasks.page.output.more",
    "previous == null && tasks.page.output.more",
    "previous != null ? index < 3 : tasks.page.output.more",
    "tasks.page.output.more ? true : false",
    "input.go ? previous.a : previous.b",
    "size(tasks.page.output.rows) > 0",
    "tasks.page.output.rows.exists(x, x > 0)",
    "default(previous.more, tasks.page.output.more)",
    "[tasks.page.output.more, true][1]",
    "{'a': previous.b}.a",
    "has(previous.more) || previous.less",
]
WITH_ONE = [
    "index < 3",
    "index == 0 || tasks.page.output.more",
    "tasks.page.output.more || index == 0",
    "tasks.page.output.more || true",
    "false && tasks.page.output.more",
    "default(tasks.page.output.more, true)",
    "has(tasks.page.output.more) ? tasks.page.output.more : true",
    "has(previous.more) && previous.more",
    "!has(previous.more) || previous.more",
    "previous == null || previous.more",
    "previous != null && previous.more",
    "index == 0 ? true : previous.more",
    "index >= 1 ? previous.more : true",
    "default(previous, {'more': true}).more",
    "[1, 2].exists(previous, previous > 1)",
    "true",
]
PERHAPS = [
    "input.go && index == 0 && previous.more && input.go",
    "index + 1 == 1 && tasks.page.output.more || tasks.page.output.less",
    "input.go || tasks.page.output.more",
    "input.go && tasks.page.output.more",
    "input.go ? tasks.page.output.more : true",
    "tasks.before.output.more",
    "index == input.first || previous.more",
    "input.rows[index].more",
]


def value_at_first(source: str) -> object:
    scope = Scope(input={"go": True}, locals={"index": 0, "previous": None})
    return asyncio.run(CelEvaluator().evaluate(source, scope, place=""))


@pytest.mark.parametrize("source", WITHOUT_VALUE)
def test_what_no_first_check_can_answer_is_found(source: str) -> None:
    assert absent_at_first(source, {"page"}) is not None
    with pytest.raises(ExpressionError):
        value_at_first(source)


@pytest.mark.parametrize("source", WITH_ONE)
def test_what_the_first_check_answers_is_let_through(source: str) -> None:
    assert absent_at_first(source, {"page"}) is None
    assert isinstance(value_at_first(source), bool)


@pytest.mark.parametrize("source", PERHAPS)
def test_what_depends_on_the_run_is_let_through(source: str) -> None:
    assert absent_at_first(source, {"page"}) is None


def test_such_a_condition_is_refused_with_what_would_be_right() -> None:
    page = task("page", "condition", config={"if": True}, then=[task("inner")])
    loop = task("pages", "while", config={"condition": "{{ tasks.inner.output.more }}"}, tasks=[page])
    fault = only(workflow(loop))
    assert (fault.path, fault.code) == ("tasks[0].config.condition", "absent")
    assert "no tasks.inner.output.more" in fault.message
    assert "default(tasks.inner.output.more, …)" in fault.remedy


def test_a_condition_may_read_what_ran_before_the_loop() -> None:
    loop = task("pages", "while", config={"condition": "{{ tasks.before.output.more }}"}, tasks=[task("page")])
    assert faults(workflow(task("before"), loop)) == []


def test_a_condition_with_a_slip_is_told_once() -> None:
    loop = task("pages", "while", config={"condition": "{{ tasks.page.output. }}"}, tasks=[task("page")])
    assert [code for _, code in told(workflow(loop))] == ["expression"]
