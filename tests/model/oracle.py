"""What must come of a run, by the sentences of the specification alone: the second opinion on the core.

Nothing here is taken from the core's rules: it looks at endings only when they are all known, where the core counts
while they come in. Words stand for endings, so that a sentence of the specification and a line here can be compared.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from millrace.core.plan import JoinRule, Phase, RetryPlan

SUCCESS, FAILURE, CANCELLED = "success", "failure", "cancelled"
SKIPPED_BY_IF, SKIPPED_BY_JOIN = "skipped by its if", "skipped by its join"

RUNS = "runs"
MOST_CRASHES = 10


def join_is_met(join: JoinRule, predecessors: Sequence[str]) -> bool:
    """Whether a task runs, once all of its predecessors have ended. (`allow_failure` was counted as success.)"""
    if not predecessors:
        return True
    match join:
        case JoinRule.ALL_SUCCESS:
            # "A task skipped by its own `if` satisfies `all_success`; one skipped because its join cannot be met
            # passes the skip on."
            return all(ending in (SUCCESS, SKIPPED_BY_IF) for ending in predecessors)
        case JoinRule.ALL_DONE:
            return True
        case JoinRule.ONE_SUCCESS:
            return SUCCESS in predecessors
        case JoinRule.ONE_FAILED:
            return FAILURE in predecessors


def fate(join: JoinRule, predecessors: Sequence[str], answer: object) -> str:
    """What comes of a task that is not cancelled. `answer` is the value of its `if`: True without one."""
    if not join_is_met(join, predecessors):
        return SKIPPED_BY_JOIN
    if answer is True:
        return RUNS
    return SKIPPED_BY_IF if answer is False else FAILURE


def gives_up(policy: RetryPlan, attempts: Sequence[str]) -> bool:
    """Whether no attempt may follow these, which did not succeed: failure kinds, `lost`, `stopped`, `withdrawn`."""
    own = [kind for kind in attempts if kind not in ("lost", "stopped", "withdrawn")]
    match attempts[-1]:
        case "withdrawn":  # it had never started
            return False
        case "stopped":  # counted neither as failure nor crash, but it had started
            return not policy.on_crash
        case "lost":
            return not policy.on_crash or attempts.count("lost") >= MOST_CRASHES
        case kind:
            retried = ("error", "timeout") if policy.on is None else [named.value for named in policy.on]
            return len(own) >= policy.max_attempts or kind not in retried


@dataclass
class Story:
    """What happened to a run as a whole, in order."""

    admitted: bool = False
    asked: list[tuple[Phase, str]] = field(default_factory=list)
    """In which phase a cancel was asked for (`cancel`) or a time limit passed (`timeout`)."""
    output_failed: bool = False

    def cancels(self, *phases: Phase) -> int:
        return self.asked_in(phases).count("cancel")

    def asked_in(self, phases: Sequence[Phase]) -> list[str]:
        return [what for phase, what in self.asked if phase in phases]

    def cut(self, phase: Phase) -> str | None:
        """Why a phase was ended before its time. The first cancel of a run spares the rollback and `finally`."""
        earlier = self.cancels(*BEFORE[phase]) if phase in BEFORE else 1
        for what in self.asked_in([phase]):
            if what == "timeout" or earlier >= 1:
                return what
            earlier += 1
        return None


BEFORE = {
    Phase.ROLLBACK: (Phase.MAIN, Phase.ON_FAILURE),
    Phase.FINALLY: (Phase.MAIN, Phase.ON_FAILURE, Phase.ROLLBACK),
}


def outcome(story: Story, failed: Mapping[Phase, bool]) -> str:
    """How the run ends. `failed`: whether a task of the phase failed that was not allowed to."""
    decided = main_outcome(story, failed[Phase.MAIN])
    if decided == "completed" and (story.cut(Phase.FINALLY) == "timeout" or failed[Phase.FINALLY]):
        return "failed"
    return decided


def main_outcome(story: Story, failed: bool) -> str:
    if not story.admitted or story.cut(Phase.MAIN) == "cancel":
        return "cancelled"
    if story.cut(Phase.MAIN) == "timeout" or failed or story.output_failed:
        return "failed"
    return "completed"


def phase_ran(story: Story, phase: Phase, failed: Mapping[Phase, bool]) -> bool:
    """Whether a phase (that has tasks) had its turn. A second cancel skips handlers, the first skips `on_failure`."""
    match phase:
        case Phase.MAIN:
            return story.admitted
        case Phase.ON_FAILURE:
            return main_outcome(story, failed[Phase.MAIN]) == "failed" and story.cancels(Phase.MAIN) == 0
        case Phase.ROLLBACK:
            undoes = main_outcome(story, failed[Phase.MAIN]) != "completed"
            return story.admitted and undoes and story.cancels(*BEFORE[phase]) < 2
        case Phase.FINALLY:
            return story.admitted and story.cancels(*BEFORE[phase]) < 2


# --- control tasks ----------------------------------------------------------------------------------------------------


def of_block(endings: Sequence[str]) -> str:
    """What a list of tasks comes to that counts as one. (`allow_failure` was counted as success.)"""
    assert CANCELLED not in endings, "a task was cancelled in a block that was not ended before its time"
    return FAILURE if FAILURE in endings else SUCCESS


def branch(answer: object) -> str | None:
    """Which block of a condition runs; `None` when it fails."""
    return ("then" if answer else "else") if isinstance(answer, bool) else None


def case(answer: object, fails: object, cases: Collection[str]) -> str | None:
    """Which block of a switch runs; `None` when it fails. "The case whose name is the text of `value`"."""
    if answer is fails or not isinstance(answer, str | int | float):
        return None
    text = {True: "true", False: "false"}[answer] if isinstance(answer, bool) else str(answer)
    return f"cases.{text}" if text in cases else "default"


def foreach(items: int, outcomes: Sequence[str], *, stops: bool, results: object, fails: object) -> str:
    """What a foreach comes to whose iterations came to this."""
    if FAILURE in outcomes:
        assert stops or len(outcomes) == items, "only `stop_on_failure` keeps iterations from running"
        return FAILURE
    assert len(outcomes) == items, "an iteration is missing"
    return FAILURE if results is fails else SUCCESS


def while_(
    most: int, again: Callable[[int], object], iteration: Callable[[int], str], results: Callable[[int], object],
    fails: object,
) -> tuple[int, str]:  # fmt: skip
    """How many iterations a while runs, and what it comes to."""
    for number in range(most):
        if again(number) is not True:
            return number, SUCCESS if again(number) is False and results(number) is not fails else FAILURE
        if iteration(number) == FAILURE:
            return number + 1, FAILURE
    return most, SUCCESS if again(most) is False and results(most) is not fails else FAILURE


CAME, DID_NOT_COME = "came", "did not come"
"""How a wait ends that has something to follow. "`then` runs when it came, `else` when it did not come in time or was
refused. Without an `else` the task fails then." One that has nothing to follow ends as a task does."""


def after_wait(way: str, blocks: Mapping[str, Sequence[str]]) -> str | None:
    """The block that follows; `None` when none does."""
    return {CAME: "then" if blocks.get("then") else None, DID_NOT_COME: "else" if "else" in blocks else None}.get(way)


def without_block(way: str) -> str:
    """What a wait comes to after which nothing follows."""
    return {CAME: SUCCESS, DID_NOT_COME: FAILURE}.get(way, way)
