"""When a node of a graph runs: if something reaches it. Branches decide that, and nodes pass it on to those behind.

A branch is a task whose output is true or false, and what hangs on one of its outputs runs only if it says so. A task
that is skipped by its own `if` counts as done, so every task behind such a one asks the same question itself. A task
where several ways meet runs if any of them was taken:

    behind a branch, on output true      default(tasks.BRANCH.output, false)
    on output false                      !default(tasks.BRANCH.output, true)      neither, if it was skipped itself
    behind other tasks                   any of the questions that these ask; none, if one of them asks none
"""

from collections.abc import Mapping, Sequence, Set
from typing import TypeAlias

from millrace.core.values import JsonValue
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.templates import parse_template

Taken: TypeAlias = tuple[str, bool]
"""An output of a branch: the id of its task, and which of the two."""

Questions: TypeAlias = frozenset[Taken] | None
"""One of these outputs must have been taken; `None`: the task runs in any case."""


def questions_of(sources: Mapping[str, Sequence[tuple[str, bool | None]]]) -> dict[str, Questions]:
    """What each task asks. `sources`: by task, the tasks before it, and which output of those that are branches.

    Tasks on a cycle, or behind one, ask nothing: they are refused for it elsewhere.
    """
    asked: dict[str, Questions] = {}
    left = {task: {before for before, _ in ways if before in sources} for task, ways in sources.items()}
    ready = [task for task, before in left.items() if not before]
    behind: dict[str, list[str]] = {task: [] for task in sources}
    for task, before in left.items():
        for one in before:
            behind[one].append(task)
    for task in ready:
        asked[task] = _joined(sources[task], asked)
        for following in behind[task]:
            left[following].discard(task)
            if not left[following]:
                ready.append(following)
    return {task: asked.get(task) for task in sources}


def condition(questions: Questions, own: JsonValue) -> JsonValue:
    """The `if` of a task that asks these, and has this `if` of its own; `None` for no `if`."""
    if questions is None:
        return own
    asked = " || ".join(_asked(branch, output) for branch, output in sorted(questions))
    if own is None or own is True:
        return f"{{{{ {asked} }}}}"
    if not isinstance(own, str):
        return own
    try:
        whole = parse_template(own).whole
    except ExpressionFault:
        return own
    return own if whole is None else f"{{{{ ({whole.source}) && ({asked}) }}}}"


def _joined(ways: Sequence[tuple[str, bool | None]], asked: Mapping[str, Questions]) -> Questions:
    found: set[Taken] = set()
    for before, output in ways:
        if output is not None:
            found.add((before, output))
            continue
        passed_on = asked.get(before)
        if passed_on is None:
            return None
        found |= passed_on
    return _simplified(found, asked) if ways else None


def _simplified(found: Set[Taken], asked: Mapping[str, Questions]) -> Questions:
    """Where both outputs of a branch lead to a task, it runs whenever the branch does."""
    left = set(found)
    while both := next((branch for branch, output in sorted(left) if output and (branch, False) in left), None):
        left -= {(both, True), (both, False)}
        before = asked.get(both)
        if before is None:
            return None
        left |= before
    return frozenset(left)


def _asked(branch: str, output: bool) -> str:
    return f"default(tasks.{branch}.output, false)" if output else f"!default(tasks.{branch}.output, true)"
