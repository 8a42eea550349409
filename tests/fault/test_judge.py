"""The judge of the chaos says no: to each thing that must not be, told to it as if it had been."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.fault.chaos.evidence import Evidence, Life, Line
from tests.fault.chaos.faults import Fault
from tests.fault.chaos.judge import Case, judge
from tests.fault.chaos.load import Told
from tests.fault.chaos.workflows import Workflow

RUN, PID = "r", 7
SECOND = 1_000_000


def record(seq: int, kind: str, attempt: int | None = None) -> dict[str, Any]:
    path, data = (None, None) if attempt is None else ("t", f'{{"attempt": {attempt}}}')
    return {"seq": seq, "type": kind, "path": path, "data": data}


def attempt(number: int, status: str, since: int, until: int) -> dict[str, Any]:
    return {"run_id": RUN, "path": "t", "number": number, "token": f"token{number}", "status": status,
            "incarnation_id": f"worker{number}", "limit_key": "scarce", "limit_size": 1,
            "started_at": since * SECOND, "finished_at": until * SECOND}  # fmt: skip


def life(number: int, *moments: float) -> Life:
    words = ["begin", *["goes_on"] * (len(moments) - 2), "end"]
    return Life(
        [Line(round(at * 1e9), what, (RUN, "t"), f"worker{number}", f"token{number}")
         for at, what in zip(moments, words, strict=True)]
    )  # fmt: skip


@dataclass
class Story:
    """A run whose first attempt was lost with its worker, and whose second completed; all is well with it."""

    run: dict[str, Any] = field(default_factory=lambda: {
        "id": RUN, "name": "w", "status": "completed", "error": None, "output": None, "cancels": 0, "last_seq": 6,
        "finished_at": 30 * SECOND, "admission_key": None})  # fmt: skip
    task: dict[str, Any] = field(default_factory=lambda: {
        "run_id": RUN, "path": "t", "type": "shell", "status": "completed", "error": None,
        "output": '{"result": {"token": "i:worker2:token2"}}'})  # fmt: skip
    records: list[dict[str, Any]] = field(default_factory=lambda: [
        record(1, "run.created"), record(2, "task.started", 1), record(3, "task.lost", 1),
        record(4, "task.started", 2), record(5, "task.completed", 2), record(6, "run.completed")])  # fmt: skip
    attempts: list[dict[str, Any]] = field(
        default_factory=lambda: [attempt(1, "lost", 10, 20), attempt(2, "completed", 20, 25)]
    )
    lives: dict[str, Life] = field(default_factory=lambda: {"token1": life(1, 10, 15, 22), "token2": life(2, 21, 24)})
    faults: list[Fault] = field(default_factory=lambda: [Fault("SIGKILL", "up", PID, 12 * 10**9, 12 * 10**9)])
    firings: list[dict[str, Any]] = field(
        default_factory=lambda: [{"run_id": RUN, "due_at": at * SECOND} for at in (1, 2, 3)]
    )
    workflow: Workflow = field(default_factory=lambda: Workflow({"name": "w"}))

    def judged(self) -> list[str]:
        seen: Any = Evidence(
            {RUN: self.run}, {(RUN, "t"): self.task}, self.attempts, {RUN: self.records}, {"key": RUN}, self.firings,
            {"worker1": PID, "worker2": PID + 1}, self.lives, {},
        )  # fmt: skip
        told = Told(accepted={"key": RUN}, workflow={"key": "w"})
        return list(judge(Case({"w": self.workflow}, told, self.faults, seen)))


def test_all_is_well_with_a_run_that_went_on_after_its_worker_was_lost() -> None:
    assert Story().judged() == []


def test_a_claim_that_waited_for_its_turn_did_not_run_meanwhile() -> None:
    story = Story()
    story.attempts[1].update(started_at=15 * SECOND)
    assert story.judged() == []


TAMPERING: dict[str, tuple[Callable[[Story], Any], str]] = {
    "not finished": (lambda story: story.run.update(status="running", finished_at=None), "is running"),
    "a gap": (lambda story: story.records.pop(2), "gap"),
    "two at once": (lambda story: story.records[2].update(type="run.paused", path=None), "while it was running"),
    "the lost one won": (lambda story: story.attempts[0].update(status="completed"), "2 attempts completed"),
    "its result": (lambda story: story.task.update(output='{"result": {"token": "i:worker1:token1"}}'), "did not win"),
    "beside it": (lambda story: story.faults.clear(), "beside token2"),
    "after its end": (lambda story: story.lives.update(token2=life(2, 21, 26)), "went on for 1.000 s"),
    "unclaimed": (lambda story: story.attempts.pop(0), "nobody had claimed"),
    "executed twice": (lambda story: story.lives["token1"].lines.append(story.lives["token1"].lines[0]), "2 times"),
    "a limit": (lambda story: story.lives.update(token2=life(2, 15, 24)), "2 attempts ran at once"),
    "a second": (lambda story: story.firings.pop(1), "nothing was fired"),
    "a second twice": (lambda story: story.firings.append(story.firings[0]), "fired 2 times"),
    "at most once": (
        lambda story: setattr(story, "workflow", replace(story.workflow, at_most_once=("t",))),
        "in spite of `on_crash: false`",
    ),
}


@pytest.mark.parametrize(("tamper", "finding"), TAMPERING.values(), ids=TAMPERING)
def test_what_must_not_be_is_found(tamper: Callable[[Story], Any], finding: str) -> None:
    story = Story()
    tamper(story)
    assert any(finding in line for line in story.judged()), story.judged()
