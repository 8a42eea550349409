"""From a definition to the plan that the core decides by."""

from typing import Any

import pytest

from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule, Phase, RetryPlan, TaskLimit
from millrace.core.values import SECOND
from millrace.definition import compile_plan, stored_definition
from tests.unit.definition.example import NOOP, faults, plan, task, transform, workflow


def needs(*tasks: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {task_id: one.needs for task_id, one in plan(workflow(*tasks)).tasks.items()}


def test_tasks_run_in_listed_order() -> None:
    made = plan(workflow(task("a"), task("b"), task("c")))
    assert made.tasks_of(Phase.MAIN) == ("a", "b", "c")
    assert {task_id: one.needs for task_id, one in made.tasks.items()} == {"a": (), "b": ("a",), "c": ("b",)}
    assert {task_id: one.dependents for task_id, one in made.tasks.items()} == {"a": ("b",), "b": ("c",), "c": ()}


def test_depends_on_replaces_the_listed_order_of_one_task() -> None:
    tasks = [task("a"), task("b", depends_on=[]), task("c"), task("d", depends_on=["c", "a"]), task("e")]
    assert needs(*tasks) == {"a": (), "b": (), "c": ("b",), "d": ("c", "a"), "e": ("d",)}


def test_a_dependency_may_be_listed_later() -> None:
    assert needs(task("a", depends_on=["b"]), task("b", depends_on=[])) == {"a": ("b",), "b": ()}


def test_each_part_of_a_run_has_its_own_order() -> None:
    undoing = [task("u"), task("v")]
    raw = workflow(task("a"), task("b", on_rollback=undoing), on_failure=[task("f"), task("g")])
    raw["finally"] = [task("y"), task("z", depends_on=[])]
    made = plan(raw)
    assert dict(made.phases) == {
        Phase.MAIN: ("a", "b"), Phase.ON_FAILURE: ("f", "g"), Phase.ROLLBACK: ("u", "v"), Phase.FINALLY: ("y", "z"),
    }  # fmt: skip
    assert all(made.tasks[path].phase is phase for phase, paths in made.phases.items() for path in paths)
    assert (made.rollbacks, made.tasks["u"].undoes, made.tasks["v"].needs) == ({"b": ("u", "v")}, "b", ("u",))
    assert (made.tasks["f"].needs, made.tasks["g"].needs, made.tasks["z"].needs) == ((), ("f",), ())


@pytest.mark.parametrize("join", [rule.value for rule in JoinRule])
def test_joins(join: str) -> None:
    assert plan(workflow(task("a", join=join))).tasks["a"].join == JoinRule(join)


def test_what_is_not_said() -> None:
    made = plan(workflow())
    one = made.tasks["a"]
    assert (one.join, one.condition, one.retry, one.timeout) == (JoinRule.ALL_SUCCESS, None, RetryPlan(), None)
    assert (one.total_timeout, one.allow_failure, one.config) == (None, False, None)
    assert (one.templated, one.secrets) == (False, frozenset())
    assert (made.output, made.timeout, made.max_concurrent_runs) == (None, None, None)


@pytest.mark.parametrize(
    ("condition", "source"),
    [
        (None, None),
        (True, None),
        (False, "false"),
        ("{{ input.day == 'x' }}", "input.day == 'x'"),
        ("{{true}}", "true"),
        ("{{ {'a': {'b': 1}}.a.b == 1 }}", "{'a': {'b': 1}}.a.b == 1"),
    ],
)
def test_conditions(condition: Any, source: str | None) -> None:
    assert plan(workflow({**NOOP, "if": condition})).tasks["a"].condition == source


def test_a_retry_replaces_the_default_field_by_field() -> None:
    default = {"max_attempts": 5, "delay": "2s", "on": ["timeout"], "on_crash": False}
    tasks = [
        task("plain"),
        task("own", retry={"delay": "500ms", "max_delay": "1m", "jitter": 1, "multiplier": 3}),
        task("all", retry={"on": ["error", "timeout"], "on_crash": True, "max_attempts": 1}),
        task("back", retry={"on": None}),
    ]
    made = plan(workflow(*tasks, defaults={"retry": default})).tasks
    on = frozenset({FailureKind.TIMEOUT})
    assert made["plain"].retry == RetryPlan(5, 2 * SECOND, 2.0, 60 * SECOND, 0.0, on, False)
    assert made["own"].retry == RetryPlan(5, SECOND // 2, 3.0, 60 * SECOND, 1.0, on, False)
    both = frozenset({FailureKind.ERROR, FailureKind.TIMEOUT})
    assert made["all"].retry == RetryPlan(1, 2 * SECOND, 2.0, 60 * SECOND, 0.0, both, True)
    assert made["back"].retry.on == on


def test_handlers_take_the_defaults_too() -> None:
    raw = workflow(on_failure=[task("f")], defaults={"retry": {"max_attempts": 2}, "timeout": "1s"})
    assert plan(raw).tasks["f"].retry.max_attempts == 2
    assert plan(raw).tasks["f"].timeout == SECOND


@pytest.mark.parametrize(
    ("own", "default", "timeout"),
    [(None, None, None), (None, "5s", 5), ("7s", "5s", 7), ("7s", None, 7), (0.5, None, 0.5)],
)
def test_timeouts(own: Any, default: Any, timeout: float | None) -> None:
    made = plan(workflow(task("a", timeout=own, total_timeout="PT1M"), defaults={"timeout": default}, timeout="1d"))
    assert made.tasks["a"].timeout == (None if timeout is None else timeout * SECOND)
    assert made.tasks["a"].total_timeout == 60 * SECOND
    assert made.timeout == 86_400 * SECOND


def test_limits_and_failures() -> None:
    made = plan(workflow(task("a", allow_failure=True), concurrency={"limit": 4}))
    assert made.max_concurrent_runs == 4
    assert made.tasks["a"].allow_failure is True


@pytest.mark.parametrize(
    ("config", "templated"),
    [
        ({"output": 1}, False),
        ({"output": "}} {"}, False),
        ({"output": "{{ input.x }}"}, True),
        ({"output": [{"a": ["b {{ input.x }}"]}]}, True),
        ({"output": "{{{{ literal"}, True),
        ({"output": {"{{ key }}": 1}}, False),
    ],
)
def test_a_config_with_expressions_is_rendered(config: dict[str, Any], templated: bool) -> None:
    made = plan(workflow(task("a", "transform", config=config))).tasks["a"]
    assert (made.config, made.templated) == (config, templated)


@pytest.mark.parametrize(("kind", "field"), [("shell", "command"), ("database", "sql")])
def test_text_for_an_interpreter_needs_no_rendering(kind: str, field: str) -> None:
    config = {"shell": {}, "database": {"connection_string": "sqlite:////tmp/a.db"}}[kind]
    made = plan(workflow(task("a", kind, config={**config, field: "echo '{{ .Name }}' '{{'"}))).tasks["a"]
    assert made.templated is False


def test_secrets_are_named_once() -> None:
    config = {
        "url": "https://{{ secrets.host }}/{{ secrets['odd name'] }}",
        "headers": {"A": "{{ secrets.host + default(secrets.maybe, '') }}", "B": "{{{{ secrets.none }}"},
        "query": {"q": ["the secrets of {{ input.x }}"]},
    }
    made = plan(workflow(task("a", "http", config=config))).tasks["a"]
    assert made.secrets == {"host", "odd name", "maybe"}


def test_what_is_stored_keeps_its_secrets_whatever_is_judged_since_it_was_saved() -> None:
    config = {
        "url": "https://a.example/{{ input.dry ? string(timestamp('never')) : secrets.token }}",
        "headers": {"A": "{{ format_date(run.created_at, 'YYYY', 'localtime') + secrets.other }} {{ nothing }}"},
    }
    raw = workflow(task("a", "http", config=config))
    assert faults(raw)
    assert compile_plan(stored_definition(raw)).tasks["a"].secrets == {"token", "other"}


def test_the_output_is_kept_as_it_is_written() -> None:
    output = {"a": ["{{ tasks.a.output }}"], "b": None}
    assert plan(workflow(transform("a", 1), output=output)).output == output


def test_a_plan_depends_on_the_definition_alone() -> None:
    raw = workflow(task("a"), transform("b", "{{ tasks.a.status }}"), output=1)
    assert plan(raw).tasks == plan(raw).tasks


def test_limits_and_queues_of_tasks() -> None:
    raw = workflow(
        task("a", queue="gpu", priority=3, queue_timeout="5m", concurrency={"key": "warehouse", "limit": 2}), task("b")
    )
    made = plan({**raw, "queue": "slow"})
    a, b = made.tasks["a"], made.tasks["b"]
    assert (a.queue, a.priority, a.queue_timeout, a.limit) == ("gpu", 3, 300 * SECOND, TaskLimit("warehouse", 2))
    assert (b.queue, b.priority, b.queue_timeout, b.limit) == ("slow", None, None, None)
    assert made.limited
    assert plan({**raw, "queue": "slow", "defaults": {"queue": "fast"}}).tasks["b"].queue == "fast"
