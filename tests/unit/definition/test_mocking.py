"""Deriving the definition of a test run: what is left of it, and what runs alone is given."""

from typing import Any

from millrace.core.controls import ForEach, Settled, Wait, While
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import Mock, Plan
from millrace.definition.alone import alone
from millrace.definition.compiling import compile_plan
from millrace.definition.faults import FaultList
from millrace.definition.mocking import Asked, Derived, all_tasks, check_mocks, derived
from millrace.definition.mocks import Terms
from millrace.definition.stored import stored_definition
from tests.unit.definition.example import task, transform, workflow

DEEP = workflow(
    transform("a", 1),
    {
        **task("outer", type="foreach", config={"items": "{{ input.groups }}"}),
        "tasks": [
            transform("before", "{{ item }}"),
            {
                **task("gate", type="condition", config={"if": "{{ item.ok }}"}),
                "then": [
                    {
                        **task("inner", type="foreach", config={"items": "{{ item.list }}", "key": "{{ item.id }}"}),
                        "tasks": [transform("leaf", "{{ item }} of {{ tasks.outer.item }} and {{ tasks.a.output }}")],
                    }
                ],
            },
        ],
    },
    transform("last", "{{ tasks.a.output }}"),
)


NOTHING = {"output": None}


def whole(definition: dict[str, Any], **asked: Any) -> Derived:
    found = stored_definition(definition)
    return derived(found, Asked(**{"mocks": {}, **asked}), all_tasks(found.canonical))


def only(definition: dict[str, Any], **asked: Any) -> Derived | list[str]:
    """What was derived for one task alone, or the places of what is missing."""
    found, faults = stored_definition(definition), FaultList()
    made = alone(found, Asked(**{"mocks": {}, **asked}), all_tasks(found.canonical), faults)
    return made or [fault.path for fault in faults.found]


def plan_of(made: Derived | list[str]) -> Plan:
    assert isinstance(made, Derived), made
    return compile_plan(made.definition, made.terms)


def test_a_mocked_loop_is_there_without_what_is_in_it() -> None:
    plan = plan_of(whole(DEEP, mocks={"gate": {"output": {"branch": "else"}}, "inner": {"output": [1]}}))
    assert list(plan.tasks) == ["a", "outer", "before", "gate", "inner", "last"]
    assert (plan.tasks["inner"].control, plan.tasks["inner"].blocks) == (Settled([1]), {})
    assert plan.tasks["gate"].control == Settled({"branch": "else"}, "else")
    assert plan.tasks["outer"].mock is None


def test_what_a_worker_runs_keeps_its_policy_and_takes_no_place() -> None:
    policy = {"max_attempts": 3, "delay": "1h", "jitter": 0.5}
    asked = task("a", "http", config={"url": "{{ secrets.x }}"}, retry=policy, queue="far", allow_failure=True)
    definition = workflow({**asked, "concurrency": {"key": "k", "limit": 1}}, defaults={"queue": "also_far"})
    mock = {"fail": {"message": "no", "kind": "timeout"}, "times": 2, "output": 5}
    own = plan_of(whole(definition, mocks={"a": mock}, virtual_time=True)).tasks["a"]
    assert own.mock == Mock(5, Failure(FailureKind.TIMEOUT, "no"), 2)
    assert (own.queue, own.limit, own.control, own.allow_failure) == ("default", None, None, True)
    assert (own.retry.max_attempts, own.retry.delay, own.retry.max_delay, own.retry.jitter) == (3, 0, 0, 0)
    assert own.secrets == {"x"}
    real = plan_of(whole(definition)).tasks["a"]
    assert (real.queue, real.mock, real.retry.delay) == ("far", None, 3_600_000_000)


def test_where_no_time_passes_sleeps_are_over_and_other_waits_are_not() -> None:
    waits = [task("s", "sleep", config={"duration": "1d"}), task("w", "wait_for_event", config={"signal": "go"})]
    plan = plan_of(whole(workflow(*waits), virtual_time=True))
    assert plan.tasks["s"].control == Wait("sleep", {"duration": "1d"}, at_once=True)
    assert plan.tasks["w"].control == Wait("wait_for_event", {"signal": "go"})


def test_what_nobody_mocks_is_mocked_where_it_would_be_done() -> None:
    made = whole(DEEP, mocks={"inner": {"output": []}}, mock_others=True)
    assert made.terms.mocks == {"inner": {"output": []}, "a": NOTHING, "before": NOTHING, "last": NOTHING}


def test_terms_are_what_they_were_when_they_are_read_again() -> None:
    terms = Terms({"a": {"output": 1}}, frozenset({"a"}), {"l": {"item": 1, "index": 0}}, True, "b")
    assert Terms.from_json(terms.to_json()) == terms


def test_a_task_alone_is_lifted_out_of_what_decides_about_it_but_not_out_of_its_loop() -> None:
    plan = plan_of(only(DEEP, only="before", names={"item": 5, "index": 3}))
    assert plan.tasks["outer"].control == ForEach(["{{ trigger.item }}"], 100, names={"item": 5, "index": 3})
    assert (plan.tasks["before"].loops, plan.tasks["before"].needs) == (("outer",), ())
    plan = plan_of(only(DEEP, only="inner", mocks={"a": {"output": 1}}, names={"item": {"list": []}}))
    assert (list(plan.tasks), plan.tasks["inner"].parent) == (["a", "outer", "inner", "leaf"], "outer")
    assert isinstance(plan.tasks["a"].control, Settled)
    paging = workflow(
        {**task("w", "while", config={"condition": "{{ previous.more }}"}), "tasks": [transform("p", "{{ index }}")]}
    )
    plan = plan_of(only(paging, only="p", names={"previous": 1}))
    assert plan.tasks["w"].control == While("index == 0", 1, names={"index": 0, "previous": 1})


def test_what_a_task_alone_reads_must_be_given() -> None:
    assert only(DEEP, only="last") == ["mocks.a"]
    assert only(DEEP, only="before") == ["item"]
    assert only(DEEP, only="leaf", names={"item": 1}) == ["only", "mocks.a"], "an outer loop cannot be given"
    assert only(DEEP, only="before", names={"item": 1, "previous": 2}) == ["previous"]
    assert only(DEEP, only="before", names={"item": 1}, mocks={"outer": {"output": 1}}) == ["mocks.outer"]
    assert only(DEEP, only="lost") == ["only"]
    optional = workflow(transform("a", 1), transform("b", "{{ default(tasks.a.output, 0) }}"))
    assert isinstance(only(optional, only="b"), Derived)


def test_mocks_that_say_nothing_or_two_things_are_refused() -> None:
    definition = workflow(
        task("a"), task("s", "sleep", config={"duration": "1s"}), task("ask", "approval", config={"message": "?"}),
        {**task("which", "switch", config={"value": "{{ input.x }}"}), "cases": {"eu": [task("e")]}},
    )  # fmt: skip
    fail = {"message": "no"}
    wrong: dict[str, list[dict[str, Any]]] = {
        "mocks.a": [{}],
        "mocks.a.times": [{"output": 1, "times": 2}],
        "mocks.a.output": [{"output": 1, "fail": fail}],
        "mocks.s.output": [{"output": 1}],
        "mocks.s.times": [{"fail": fail, "times": 1}],
        "mocks.ask.output": [{"output": True}],
        "mocks.ask.output.approved": [{"output": {}}, {"output": {"approved": "yes"}}],
        "mocks.ask.output.aproved": [{"output": {"aproved": True}}],
        "mocks.ask.output.form": [{"output": {"approved": True, "form": 1}}],
        "mocks.which.output": [{"output": {"case": "us"}}, {"output": None}],
    }
    tasks = all_tasks(definition)
    for path, mocks in wrong.items():
        for mock in mocks:
            faults = FaultList()
            check_mocks(tasks, {path.split(".")[1]: mock}, faults)
            assert path in [fault.path for fault in faults.found], (path, mock)
