"""Which tasks a run that repeats another takes over, and where its control tasks go on."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from millrace.app.runs.adoption import ANOTHER_TASK, Adoption, Ended, adoption
from millrace.core.controls import TASKS
from millrace.core.plan import Plan
from millrace.core.run import Ahead
from tests.unit.core.plans import Listed, approval, child, condition, foreach, group, loop, plan_of, task, undoing, wait

OLD = "the old run"
BEGUN = "the new run begins with it"


@dataclass
class Old:
    """A finished run in a few words: of each path its status, or how else it ended."""

    plan: Plan
    ended: dict[str, Ended] = field(default_factory=dict)

    def __init__(self, *tasks: Listed, **ended: Any) -> None:
        self.plan = plan_of(*tasks)
        self.ended = {}
        self.came_to(**ended)

    def came_to(self, **ended: Any) -> "Old":
        self.ended |= {path: one if isinstance(one, Ended) else Ended(one, origin=OLD) for path, one in ended.items()}
        return self

    def again(self, *after: Listed, start: str | None = None, changed: dict[str, str] | None = None) -> Adoption:
        return adoption(
            self.plan, plan_of(*after) if after else self.plan, self.ended, settled=("skipped by if",),
            again={} if start is None else {start: BEGUN}, changed=changed or {},
        )  # fmt: skip


def failed(block: str, size: int | None = None) -> Ended:
    """A control task in which something failed."""
    return Ended("failed", block, size, origin=OLD)


def rounds(loop_path: str, *iterations: dict[str, str]) -> dict[str, str]:
    return {f"{loop_path}[{n}].{one}": status for n, inner in enumerate(iterations) for one, status in inner.items()}


DONE = {"a": "completed", "b": "completed"}
STOPPED = {"a": "completed", "b": "failed"}


# --- waits that were over ---------------------------------------------------------------------------------------------

ASKING = approval("ask", then=[task("a"), task("b", "a")], otherwise=[task("c")])


@pytest.mark.parametrize("first", ["completed", "failed"])
def test_what_was_decided_holds_whether_anything_after_it_completed_or_not(first: str) -> None:
    inner = {"a": first} | ({"b": "failed"} if first == "completed" else {"b": "skipped"})
    found = Old(ASKING, task("last", "ask"), ask=failed("then"), last="skipped", **inner).again()
    assert found.ahead == {"ask": Ahead("then", origin=OLD)}
    assert list(found.adopted) == (["a"] if first == "completed" else [])
    assert found.done_again == {}


def test_that_nothing_came_in_time_holds_as_well() -> None:
    old = Old(wait("w", then=[task("a")], otherwise=[task("b")]), w=failed("else"), b="failed")
    assert old.again().ahead == {"w": Ahead("else", origin=OLD)}
    assert old.again(wait("w", then=[task("a")])).ahead == {}
    assert old.again(wait("w", then=[task("a")])).done_again == {"w": ANOTHER_TASK}


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_wait_that_was_not_over_waits_anew(status: str) -> None:
    found = Old(ASKING, ask=status).again()
    assert (found.ahead, found.done_again) == ({}, {})


def test_people_are_asked_again_by_another_question() -> None:
    old = Old(ASKING, ask=failed("then"), a="completed", b="failed")
    other = approval("ask", then=[task("a"), task("b", "a")], otherwise=[task("c")], timeout=5)
    for found, why in (
        (old.again(other), ANOTHER_TASK),
        (
            old.again(changed={"ask": "it reads input.x, which is another now"}),
            "it reads input.x, which is another now",
        ),
        (old.again(start="ask"), BEGUN),
    ):
        assert (found.ahead, dict(found.adopted), found.done_again) == ({}, {}, {"ask": why})


def test_people_are_asked_again_about_what_is_done_again() -> None:
    asking = approval("ask", "first", then=[task("a")])
    found = Old(task("first"), asking, first="completed", ask=failed("then"), a="failed").again(start="first")
    assert (found.ahead, found.done_again) == ({}, {"first": BEGUN, "ask": "it comes after first"})


def test_a_run_begins_with_a_task_after_a_decision() -> None:
    found = Old(ASKING, ask=Ended("completed", "then", origin=OLD), **DONE).again(start="b")
    assert found.ahead == {"ask": Ahead("then", origin=OLD)}
    assert (list(found.adopted), found.done_again) == (["a"], {"ask": "b in it is done again", "b": BEGUN})


def test_a_decision_holds_within_branches_groups_and_loops() -> None:
    inner = condition("c", then=[approval("ask", then=[task("a")])])
    old = Old(group("g", of=[foreach("f", of=[inner])]), g=failed(TASKS), f=failed(TASKS, 2))
    old.came_to(**{f"f[1].{path}": ended for path, ended in
                   {"c": failed("then"), "ask": failed("then"), "a": "failed"}.items()})  # fmt: skip
    assert old.again().ahead == {
        "g": Ahead(TASKS), "f": Ahead(TASKS, 2, origin=OLD),
        "f[1].c": Ahead("then"), "f[1].ask": Ahead("then", origin=OLD),
    }  # fmt: skip


# --- while ------------------------------------------------------------------------------------------------------------

PAGES = loop("w", of=[task("a"), task("b", "a")])


def test_a_while_goes_on_in_the_iteration_in_which_it_failed() -> None:
    found = Old(PAGES, w=failed(TASKS), **rounds("w", DONE, DONE, STOPPED)).again()
    assert found.ahead == {"w": Ahead(TASKS, 3, origin=OLD)}
    assert list(found.adopted) == ["w[0].a", "w[0].b", "w[1].a", "w[1].b", "w[2].a"]
    assert found.done_again == {}


def test_a_while_whose_condition_failed_is_asked_again_after_its_iterations() -> None:
    found = Old(PAGES, w=failed(TASKS), **rounds("w", DONE, DONE)).again()
    assert (found.ahead["w"].size, len(found.adopted)) == (2, 4)


def test_an_iteration_that_had_begun_is_known_to_run_though_nothing_in_it_was_done() -> None:
    found = Old(PAGES, w=failed(TASKS), **rounds("w", DONE, {"a": "failed", "b": "skipped"})).again()
    assert (found.ahead["w"].size, list(found.adopted)) == (2, ["w[0].a", "w[0].b"])


def test_an_iteration_in_which_tasks_were_skipped_or_allowed_to_fail_is_over() -> None:
    pages = loop("w", of=[task("a", allow_failure=True), task("b"), task("c", "a")])
    done = {"a": "failed", "b": "skipped by if", "c": "skipped"}
    found = Old(pages, w=failed(TASKS), **rounds("w", done, {"a": "completed", "b": "failed", "c": "skipped"})).again()
    assert list(found.adopted) == ["w[0].a", "w[0].b", "w[0].c", "w[1].a"]


def test_a_run_begins_with_a_task_in_an_iteration_of_a_while() -> None:
    old = Old(PAGES, task("last", "w"), w=Ended("completed", TASKS, origin=OLD), last="completed")
    found = old.came_to(**rounds("w", DONE, DONE, DONE)).again(start="w[1].b")
    assert found.ahead == {"w": Ahead(TASKS, 2, origin=OLD)}
    assert list(found.adopted) == ["w[0].a", "w[0].b", "w[1].a"]
    assert found.done_again == {
        "w": "w[1].b in it is done again", "w[1].b": BEGUN,
        "w[2].a": "it comes after iteration 1", "w[2].b": "it comes after iteration 1", "last": "it comes after w",
    }  # fmt: skip


def test_what_the_first_iteration_reads_anew_makes_all_that_follow_new() -> None:
    changed = {"b": "it reads input.x, which is another now"}
    found = Old(PAGES, w=failed(TASKS), **rounds("w", DONE, STOPPED)).again(changed=changed)
    assert (found.ahead["w"].size, list(found.adopted)) == (1, ["w[0].a"])
    assert found.done_again == {"w[0].b": changed["b"], "w[1].a": "it comes after iteration 0"}


def test_a_while_with_another_condition_begins_anew_and_that_is_told_if_anything_was_done() -> None:
    other = loop("w", of=[task("a"), task("b", "a")], most=5)
    old = Old(PAGES, w=failed(TASKS), **rounds("w", STOPPED))
    found = old.again(other)
    assert (found.ahead, dict(found.adopted), found.done_again) == ({}, {}, {"w": ANOTHER_TASK})
    nothing_done = Old(PAGES, w=failed(TASKS), **rounds("w", {"a": "failed", "b": "skipped"}))
    assert nothing_done.again(other).done_again == {}


def test_loops_within_a_while_go_on_in_its_last_iteration() -> None:
    pages = loop("w", of=[foreach("f", of=[task("a")])])
    old = Old(pages, w=failed(TASKS), **{"w[0].f": Ended("completed", TASKS, 1), "w[0].f[0].a": "completed"})
    old.came_to(**{"w[1].f": failed(TASKS, 2), "w[1].f[0].a": "failed", "w[1].f[1].a": "completed"})
    found = old.again()
    assert list(found.adopted) == ["w[0].f", "w[0].f[0].a", "w[1].f[1].a"]
    assert found.ahead == {"w": Ahead(TASKS, 2, origin=OLD), "w[1].f": Ahead(TASKS, 2, origin=OLD)}


def test_of_a_later_iteration_what_was_decided_is_lost_too() -> None:
    pages = loop("w", of=[task("x"), approval("ask", then=[task("a")])])
    old = Old(
        pages, w=failed(TASKS), **rounds("w", {"x": "completed", "a": "completed"}, {"x": "completed", "a": "failed"})
    )
    old.came_to(**{"w[0].ask": Ended("completed", "then"), "w[1].ask": failed("then")})
    after = "it comes after iteration 0"
    assert old.again(start="w[0].x").done_again == {"w[0].x": BEGUN, "w[1].x": after, "w[1].ask": after}


# --- sub-workflows ----------------------------------------------------------------------------------------------------


def waited(status: str = "failed", run: str = "child") -> Ended:
    return Ended(status, child=run, origin=OLD)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_sub_workflow_goes_on_with_its_run(status: str) -> None:
    found = Old(child("s"), task("last", "s"), s=waited(status), last="skipped").again()
    assert (found.ahead, found.done_again) == ({"s": Ahead(child="child")}, {})


def test_a_sub_workflow_that_completed_is_taken_over_and_one_without_a_run_begins_anew() -> None:
    found = Old(child("s"), child("t"), s=waited("completed"), t="failed").again()
    assert (list(found.adopted), found.ahead) == (["s"], {})


def test_a_sub_workflow_that_is_another_loses_the_work_of_its_run_if_there_was_any() -> None:
    old = Old(child("s"), s=waited())
    found = old.again(child("s", timeout=5))
    assert (found.ahead, found.done_again, found.lost) == ({}, {"s": ANOTHER_TASK}, {"s": ("child",)})
    assert old.again(start="s").lost == {"s": ("child",)}


def test_what_does_not_go_on_loses_the_runs_of_sub_workflows_in_it() -> None:
    inner = foreach("f", "first", of=[child("s")])
    old = Old(task("first"), inner, first="completed", f=failed(TASKS, 2))
    old.came_to(**{"f[0].s": waited(run="one"), "f[1].s": waited(run="two")})
    found = old.again(start="first")
    assert found.done_again == {"first": BEGUN, "f": "it comes after first"}
    assert found.lost == {"f": ("one", "two")}
    old.came_to(**{"f[0].s": "completed"})
    assert old.again(start="first").lost == {}


# --- what does not go on ----------------------------------------------------------------------------------------------


def test_of_what_comes_after_a_task_that_is_done_again_nothing_goes_on() -> None:
    inner = group("g", "first", of=[task("a"), task("b", "a")])
    found = Old(task("first"), inner, first="completed", g=failed(TASKS), **STOPPED).again(start="first")
    assert (found.ahead, dict(found.adopted)) == ({}, {})
    assert found.done_again == {"first": BEGUN, "g": "it comes after first"}


def test_what_the_rollback_has_undone_does_not_go_on() -> None:
    old = Old(group("g", of=[task("a"), task("b")]), undoing("u", "g"), task("x"), g=Ended("completed", TASKS), **DONE)
    found = old.came_to(u="completed", x="failed").again()
    assert (found.ahead, found.done_again) == ({}, {"g": "the rollback has undone it"})
