"""Plans of control tasks: what decides them, which blocks they have, and where each task stands."""

from typing import Any

from millrace.app.runs.adoption import Ended, adoption, changed_reads
from millrace.core.controls import (
    CONTROL_TYPES,
    Condition,
    ForEach,
    Group,
    SignalRun,
    Switch,
    Wait,
    While,
)
from millrace.core.plan import Phase, Plan, RetryPlan
from millrace.core.values import SECOND
from millrace.definition.compiling import reads_of
from tests.unit.definition.example import plan, task, transform, workflow
from tests.unit.definition.test_control_tasks import GOOD, control

ITEMS = {"items": "{{ input.list }}"}


def test_what_decides_each_type() -> None:
    def of(name: str) -> Any:
        return plan(workflow(GOOD[name])).tasks["a"].control

    assert of("condition") == Condition("input.x > 1")
    assert of("condition with one branch") == Condition("true")
    assert of("condition with an empty branch") == Condition("false")
    assert of("switch") == Switch("{{ input.x }}", frozenset({"eu", "1"}))
    assert of("sequential") == of("parallel") == Group()
    assert of("foreach") == ForEach("{{ input.x }}", 100)
    assert of("foreach over what is written") == ForEach(
        items=["eu", "{{ input.x }}"],
        concurrency=8,
        key="item + string(index)",
        result={"status": "{{ tasks.inner.status }}", "item": "{{ item }}"},
        has_result=True,
        stop_on_failure=True,
    )
    assert of("while") == While("index < 3", 10_000, "{{ tasks.inner.output }}", True)
    assert of("sleep") == Wait("sleep", {"duration": "3650d"})
    assert of("until") == Wait("until", {"time": "2026-11-02T08:00:00+01:00"})
    assert of("sub_workflow of a tag") == Wait("sub_workflow", {"workflow": "w", "version": "1.0"})
    assert of("wait for a signal") == Wait("wait_for_event", {"signal": "go_on"}, "event.data.ok")
    assert of("approval").kind == "approval"
    assert of("approval").config == GOOD["approval"]["config"]
    assert of("signal") == SignalRun({"run": "{{ input.run }}", "name": "go_on", "data": {"x": "{{ input.x }}"}})


def test_an_output_that_is_null_is_one() -> None:
    made = plan(workflow(control("foreach", config={"items": [], "output": None}))).tasks["a"].control
    assert isinstance(made, ForEach)
    assert (made.result, made.has_result) == (None, True)
    made = plan(workflow(control("while"))).tasks["a"].control
    assert isinstance(made, While)
    assert (made.max_iterations, made.has_result) == (1000, False)


def test_blocks_that_were_not_written_are_absent() -> None:
    def of(name: str) -> Any:
        return plan(workflow(GOOD[name])).tasks["a"].blocks

    assert of("condition") == {"then": ("inner",), "else": ("other",)}
    assert of("condition with one branch") == {"else": ("inner",)}
    assert of("condition with an empty branch") == {"then": ("inner",), "else": ()}
    assert of("switch") == {"cases.eu": ("inner",), "cases.1": (), "default": ("other",)}
    assert of("parallel") == {"tasks": ("inner", "other")}
    assert of("sleep") == {}


NESTED = workflow(
    task("first"),
    task(
        "outer", "foreach", config=ITEMS,
        tasks=[
            task("which", "condition", config={"if": "{{ item.x }}"}, then=[task("a"), task("b")], else_=[task("c")]),
            task("inner", "while", config={"condition": "{{ index < 2 }}"}, tasks=[task("d"), task("e")]),
        ],
    ),
    task("both", "parallel", tasks=[task("f"), task("g"), task("h", depends_on=["f"])]),
    on_failure=[task("tell", "sequential", tasks=[task("i"), task("j")])],
    defaults={"retry": {"max_attempts": 3}, "timeout": "5m", "queue": "big"},
)  # fmt: skip


def test_a_control_task_comes_before_what_is_in_it() -> None:
    made = plan(NESTED)
    assert list(made.tasks) == [
        "first", "outer", "which", "a", "b", "c", "inner", "d", "e", "both", "f", "g", "h", "tell", "i", "j",
    ]  # fmt: skip
    assert made.tasks_of(Phase.MAIN) == ("first", "outer", "both")
    assert made.tasks_of(Phase.ON_FAILURE) == ("tell",)
    assert {task.phase for name, task in made.tasks.items() if name in ["tell", "i", "j"]} == {Phase.ON_FAILURE}


def test_needs_stay_within_a_list() -> None:
    tasks = plan(NESTED).tasks
    assert {name: one.needs for name, one in tasks.items() if one.needs} == {
        "outer": ("first",),
        "both": ("outer",),
        "inner": ("which",),
        "b": ("a",),
        "e": ("d",),
        "h": ("f",),
        "j": ("i",),
    }
    for one in tasks.values():
        for need in one.needs:
            assert one.id in tasks[need].dependents
            assert tasks[need].parent == one.parent


def test_parents_and_loops() -> None:
    tasks = plan(NESTED).tasks
    assert [tasks[name].parent for name in ("first", "outer", "which", "a", "d", "h", "j")] == [
        None, None, "outer", "which", "inner", "both", "tell",
    ]  # fmt: skip
    assert [tasks[name].loops for name in ("outer", "which", "a", "inner", "d", "f")] == [
        (), ("outer",), ("outer",), ("outer",), ("outer", "inner"), (),
    ]  # fmt: skip


def test_defaults_are_for_attempts() -> None:
    tasks = plan(NESTED).tasks
    for one in tasks.values():
        if one.type in CONTROL_TYPES:
            assert (one.retry, one.timeout, one.queue) == (RetryPlan(), None, "default")
        else:
            assert (one.retry.max_attempts, one.timeout, one.queue) == (3, 300 * SECOND, "big")
    assert plan(workflow(control("approval", timeout="4h"))).tasks["a"].timeout == 4 * 3600 * SECOND


def test_configs_are_kept_as_they_are_written() -> None:
    for raw in GOOD.values():
        made = plan(workflow(raw)).tasks["a"]
        assert made.config == raw.get("config")
        assert (made.templated, made.secrets) == (False, frozenset())


def test_what_undoes_is_the_list_itself() -> None:
    undo = control("condition", id="undo", then=[task("b")])
    made = plan(workflow(control("foreach", on_rollback=[undo, task("c")])))
    assert made.rollbacks == {"a": ("undo", "c")}
    assert made.tasks_of(Phase.ROLLBACK) == ("undo", "c")
    assert [made.tasks[name].undoes for name in ("undo", "b", "c")] == ["a", None, "a"]
    assert [made.tasks[name].phase for name in ("undo", "b", "c", "inner")] == [Phase.ROLLBACK] * 3 + [Phase.MAIN]


# --- what a retry takes over ---


def outer(**inner: Any) -> dict[str, Any]:
    return task(
        "outer", "foreach", config=ITEMS, tasks=[task("group", "sequential", tasks=[transform("deep", 1, **inner)])]
    )


def adopted(before: Plan, after: Plan) -> set[str]:
    ended = {one.id: Ended("completed", size=1) for one in before.tasks.values() if one.parent is None}
    return set(adoption(before, after, ended, settled=()).adopted)


def test_a_task_is_another_if_one_in_it_is() -> None:
    before = plan(workflow(task("first"), outer(), task("last", depends_on=["first"])))
    assert adopted(before, before) == {"first", "outer", "last"}
    after = plan(workflow(task("first"), outer(timeout="5s"), task("last", depends_on=["first"])))
    assert adopted(before, after) == {"first", "last"}


INPUT_D = transform("t", "{{ input.d }}")


def test_a_task_reads_what_its_config_and_its_if_say() -> None:
    made = plan(
        workflow(
            task(
                "w", "while", config={"condition": "{{ variables.a > index }}", "output": "{{ input.b }}"},
                tasks=[
                    task("s", "switch", config={"value": "{{ input.c }}"}, cases={"x": [INPUT_D]}),
                    task(
                        "e", "wait_for_event", if_="{{ input.e }}",
                        config={"type": "{{ input.f }}", "filter": "{{ event.x == input.g }}"},
                    ),
                ],
            ),
            variables={"a": 1},
        )
    )  # fmt: skip
    found = {read.text for one in made.tasks.values() for read in reads_of(one) if read.root in ("input", "variables")}
    assert found == {"variables.a", *(f"input.{name}" for name in "bcdefg")}
    now: dict[str, Any] = {"input": {"d": 1}, "variables": {}}
    then: dict[str, Any] = {"input": {"d": 2}, "variables": {}}
    assert changed_reads(made, then, now) == {"t": "it reads input.d, which is another now"}
