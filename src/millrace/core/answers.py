"""Answers to the questions of a fold: each is given to those who asked."""

from typing import assert_never

from millrace.core import blocks, waits
from millrace.core.draft import Draft
from millrace.core.effects import Question
from millrace.core.events import Evaluated, Verdict
from millrace.core.phases import take_output
from millrace.core.run import SkipReason, TaskRun
from millrace.core.states import TaskStatus


def answer(draft: Draft, event: Evaluated) -> Verdict:
    """Take the value that was asked for. Whatever is no longer asked for was settled otherwise in the same fold."""
    question = draft.questions.pop(event.path, None)
    if question is None:
        return Verdict.ALREADY_APPLIED
    if event.path is None:
        take_output(draft, event.failure)
    else:
        _take(draft, draft.task(event.path), question.what, event)
    return Verdict.APPLIED


def _take(draft: Draft, task: TaskRun, what: Question, event: Evaluated) -> None:  # noqa: C901  as `transition._take`
    assert what is not Question.OUTPUT, "the output of a run is no task's"  # noqa: S101
    match what:
        case Question.IF:
            _condition(draft, task, event)
        case Question.BRANCH:
            blocks.branch(draft, task, event)
        case Question.ITEMS:
            blocks.items(draft, task, event)
        case Question.AGAIN:
            blocks.again(draft, task, event)
        case Question.RESULTS:
            blocks.results(draft, task, event)
        case Question.DECIDED:
            waits.decided_before(draft, task, event)
        case Question.WAIT:
            waits.park(draft, task, event)
        case Question.FILTER:
            waits.filtered(draft, task, event)
        case Question.CHILD:
            waits.child_answered(draft, task, event)
        case Question.SIGNAL:
            waits.signalled(draft, task, event)
        case _:
            assert_never(what)


def _condition(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    failure = event.failure or blocks.no_boolean("`if`", event.value)
    if failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=failure)
    elif event.value:
        blocks.begin(draft, task)
    else:
        draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.CONDITION)
