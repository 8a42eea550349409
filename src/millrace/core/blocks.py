"""Control tasks that hold others: how they begin, how what is in them goes on, and what they come to.

    consider ──(its `if` holds)──> begin ──(the answer)──> enter a block ──(all of it has finished)──> leave it

A block begins when it is decided that it runs: only then are there task runs of it. When the last of them has finished
its task is done: it failed if one of them did that may not, and completed otherwise. A loop does so for each
iteration, and is done when the last iteration is.

Nothing here calls itself for what comes after: tasks that end are noted in the draft, and `phases.settle` takes them
one by one. So neither a chain of ten thousand tasks nor a loop of as many grows the stack.
"""

from collections.abc import Sequence
from typing import assert_never

from millrace.core.controls import (
    DEFAULT,
    ELSE,
    TASKS,
    THEN,
    Condition,
    ForEach,
    Group,
    Loop,
    Settled,
    SignalRun,
    Switch,
    Wait,
    While,
    case_block,
    loop_and_index,
    prefix_of,
)
from millrace.core.counting import scope_of
from millrace.core.draft import Draft
from millrace.core.effects import Alarm, Evaluate, Question, Unpark
from millrace.core.events import Evaluated
from millrace.core.failures import Failure, FailureKind
from millrace.core.outcomes import failure_of_loop, first_failure
from millrace.core.plan import TaskPlan
from millrace.core.readiness import NO_PREDECESSORS, Decision, Ending, Tally, decide
from millrace.core.run import Ahead, Rounds, SkipReason, TaskRun, ending_of
from millrace.core.states import TaskStatus
from millrace.core.values import JsonObject, JsonValue

# --- beginning --------------------------------------------------------------------------------------------------------


def consider(draft: Draft, task: TaskRun) -> None:
    """The task's join rule is met: start it, or first ask for the value of its `if`.

    An earlier run has begun what is `ahead`; so that was decided, as was what an adopted task came to.
    """
    condition = draft.plan_of(task.path).condition
    if condition is None or task.path in draft.ahead:
        begin(draft, task)
    else:
        draft.ask(Evaluate(task.path, condition))


def begin(draft: Draft, task: TaskRun) -> None:
    """A pending task may run. Of a control task ask what decides about it; a paused run leaves it ready for later."""
    if draft.plan_of(task.path).control is None:
        draft.make_ready(task)
        return
    task = draft.move(task, TaskStatus.READY, ready_at=draft.now)
    if draft.starts_tasks:
        open_control(draft, task)
    else:
        draft.record("task.ready", task.path)


def open_control(draft: Draft, task: TaskRun) -> None:
    """Begin a control task that is ready."""
    own, before = draft.plan_of(task.path), draft.ahead.get(task.path)
    assert own.control is not None, f"{task.path} is run by a worker"  # noqa: S101
    match own.control:
        case Group():
            _limit(draft, task, own)
            enter(draft, task, TASKS)
        case Condition() | Switch() if before is not None:
            _take_branch(draft, task, own, before)
        case Condition(expression=expression):
            draft.ask(Evaluate(task.path, expression, Question.BRANCH))
        case Switch(value=value):
            draft.ask(Evaluate(task.path, value, Question.BRANCH))
        case ForEach(items=items):
            draft.ask(Evaluate(task.path, items, Question.ITEMS))
        case While():
            _begin_while(draft, task, own, own.control)
        case Wait(config=config):
            was_over = before is not None and before.block is not None
            what = Question.DECIDED if was_over else Question.WAIT
            draft.ask(Evaluate(task.path, config, what))
        case SignalRun(config=config):
            draft.ask(Evaluate(task.path, config, Question.SIGNAL))
        case Settled():
            _settle(draft, task, own, own.control)
        case _:
            assert_never(own.control)


def _settle(draft: Draft, task: TaskRun, own: TaskPlan, settled: Settled) -> None:
    """Take what a task of a test run is said to come to."""
    if settled.output is not None:
        draft.outputs[task.path] = settled.output
    if settled.failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=settled.failure)
    elif settled.block is None:
        draft.finish(task, TaskStatus.COMPLETED)
    else:
        _limit(draft, task, own)
        enter(draft, task, settled.block, {"why": "mocked"})


def _limit(draft: Draft, task: TaskRun, own: TaskPlan) -> None:
    if own.timeout is not None:
        draft.effects.append(Alarm(task.path, draft.now + own.timeout))


def enter(draft: Draft, task: TaskRun, block: str, told: JsonObject | None = None) -> None:
    """Run a block of a task; one that has no tasks is over at once. `told` is said in the record."""
    draft.record("task.entered", task.path, {"block": block, **(told or {})})
    task = draft.move(task, TaskStatus.RUNNING, block=block)
    ids = draft.plan_of(task.path).blocks.get(block, ())
    if not _start_block(draft, prefix_of(task.path), task.path, ids):
        _settle_block(draft, task, ids)


def _start_block(draft: Draft, prefix: str, scope: str, ids: Sequence[str]) -> bool:
    """Make the task runs of a block and start those that wait for no other. What was adopted is there already.

    False if there is nothing to start: an earlier run has done with all of it, as with an empty block.
    """
    new = [TaskRun(prefix + task_id) for task_id in ids if not draft.has(prefix + task_id)]
    draft.open_scope(scope, len(new))
    for task in new:
        draft.add(task, _tally(draft, prefix, draft.plan_of(task.path)))
    for task in new:
        _decide(draft, task, draft.tally(task.path))
    return bool(new)


def _tally(draft: Draft, prefix: str, own: TaskPlan) -> Tally:
    if not own.needs:
        return NO_PREDECESSORS

    def ending(need: str) -> Ending | None:
        path = prefix + need
        return (
            ending_of(draft.task(path), allow_failure=draft.plan.tasks[need].allow_failure) if draft.has(path) else None
        )

    return Tally.of(ending(need) for need in own.needs)


def _decide(draft: Draft, task: TaskRun, tally: Tally) -> None:
    decision = decide(draft.plan_of(task.path).join, tally)
    if decision is Decision.RUN:
        consider(draft, task)
    elif decision is Decision.SKIP:
        draft.finish(task, TaskStatus.SKIPPED, skip=SkipReason.JOIN)


# --- what the answers come to -----------------------------------------------------------------------------------------


def branch(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """Which block of a condition or switch runs."""
    own = draft.plan_of(task.path)
    if isinstance(own.control, Switch):
        failure = event.failure or _no_case(event.value)
        name = _case(own.control, event.value)
        block = DEFAULT if name is None else case_block(name)
        told: JsonObject = {"case": name}
    else:
        failure = event.failure or no_boolean("the `if` of a condition", event.value)
        block = THEN if event.value is True else ELSE
        told = {"branch": block}
    if failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=failure)
        return
    draft.outputs[task.path] = told
    _limit(draft, task, own)
    enter(draft, task, block)


def _take_branch(draft: Draft, task: TaskRun, own: TaskPlan, before: Ahead) -> None:
    """The block that the earlier run took."""
    block = before.block
    assert block is not None, "a branch goes on in the block that was taken"  # noqa: S101
    if isinstance(own.control, Condition):
        draft.outputs[task.path] = {"branch": block}
    else:
        draft.outputs[task.path] = {"case": None if block == DEFAULT else block.removeprefix(case_block(""))}
    _limit(draft, task, own)
    enter(draft, task, block, {"why": "adopted"})


def _no_case(value: JsonValue) -> Failure | None:
    if isinstance(value, str | int | float):
        return None
    kind = "null" if value is None else "a list" if isinstance(value, list) else "a mapping"
    message = f"the `value` of a switch must be text, a number, or true or false, but it is {kind}"
    return Failure(FailureKind.EXPRESSION, message)


def _case(switch: Switch, value: JsonValue) -> str | None:
    """The case that is called like the text of the value, if there is one."""
    name = str(value).lower() if isinstance(value, bool) else str(value)
    return name if name in switch.cases else None


def no_boolean(what: str, value: JsonValue) -> Failure | None:
    if isinstance(value, bool):
        return None
    message = f"{what} must be true or false, but its value is of type {type(value).__name__}"
    return Failure(FailureKind.EXPRESSION, message)


def items(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """A foreach knows its items: begin as many iterations as may run at the same time."""
    if event.failure is not None:
        draft.finish(task, TaskStatus.FAILED, failure=event.failure)
        return
    assert isinstance(event.value, int), "the answer is how many items there are"  # noqa: S101
    own = draft.plan_of(task.path)
    _limit(draft, task, own)
    draft.record("task.entered", task.path, {"items": event.value})
    task = draft.move(task, TaskStatus.RUNNING, block=TASKS, size=event.value)
    draft.set_rounds(task.path, Rounds())
    _go_round(draft, task, own)


def _begin_while(draft: Draft, task: TaskRun, own: TaskPlan, loop: While) -> None:
    """Pass the iterations that an earlier run has done with, and go on with the next."""
    _limit(draft, task, own)
    task = draft.move(task, TaskStatus.RUNNING, block=TASKS)
    rounds, ids = Rounds(), own.blocks[TASKS]
    while rounds.begun < _known_to_run(draft, task.path) and _is_adopted(draft, task.path, rounds.begun, ids):
        rounds = _next_iteration(draft, task, ids, rounds)
    draft.set_rounds(task.path, rounds)
    draft.record("task.entered", task.path, {"adopted": rounds.begun} if rounds.begun else None)
    _ask_again(draft, task.path, loop, rounds.begun, adopted=rounds.begun)


def _known_to_run(draft: Draft, path: str) -> int:
    """How many iterations of a while an earlier run has begun of those that come again."""
    before = draft.ahead.get(path)
    return 0 if before is None else before.size or 0


def _is_adopted(draft: Draft, path: str, index: int, ids: Sequence[str]) -> bool:
    """Whether an iteration was adopted as a whole."""
    prefix = f"{path}[{index}]."
    return all(draft.has(prefix + task_id) for task_id in ids)


def again(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """Whether a while goes on."""
    own = draft.plan_of(task.path)
    assert isinstance(own.control, While), "only a while asks whether to go on"  # noqa: S101
    rounds = draft.rounds(task.path)
    failure = event.failure or no_boolean("the `condition` of a while", event.value)
    if failure is None and event.value is True and rounds.begun >= own.control.max_iterations:
        message = f"it was to go on after {rounds.begun} iterations, which are all that `max_iterations` allows"
        failure = Failure(FailureKind.ITERATIONS, message)
    if failure is not None:
        _close(draft, task, TaskStatus.FAILED, failure)
    elif event.value is True:
        rounds = _next_iteration(draft, task, own.blocks[TASKS], rounds)
        if rounds.open == 0:
            _ask_again(draft, task.path, own.control, rounds.begun)
    else:
        _ask_results(draft, task.path, own.control)


def results(draft: Draft, task: TaskRun, event: Evaluated) -> None:
    """The loop is over, and this is its output. What failed in it comes before what its output failed by."""
    failure = failure_of_loop(draft, task) or event.failure
    if event.failure is None:
        draft.outputs[task.path] = event.value
    _close(draft, task, TaskStatus.COMPLETED if failure is None else TaskStatus.FAILED, failure)


# --- going on ---------------------------------------------------------------------------------------------------------


def tell(draft: Draft, path: str, ending: Ending) -> None:
    """Tell those who wait for a task that has finished, and, if it was the last of its block, what is around it."""
    own = draft.plan_of(path)
    prefix = prefix_of(path)
    for dependent in own.dependents:
        task = draft.task(prefix + dependent)
        if task.status is TaskStatus.PENDING:
            _decide(draft, task, draft.count(task.path, ending))
    if own.parent is None:
        return
    scope = scope_of(draft.plan, own, path)
    if draft.unfinished_in(scope) == 0:
        _leave(draft, draft.plan.tasks[own.parent], scope)


def _leave(draft: Draft, container: TaskPlan, scope: str) -> None:
    """All tasks of a block have finished. They are told of one after the other, so this may be seen more than once."""
    if not isinstance(container.control, ForEach | While):
        task = draft.task(scope)
        if task.status is TaskStatus.RUNNING:
            _settle_block(draft, task, container.blocks[task.block or TASKS])
        elif task.status is TaskStatus.CANCELLING:
            _end_cancelled(draft, task)
        return
    _leave_iteration(draft, draft.task(loop_and_index(scope)[0]), container, scope)


def _settle_block(draft: Draft, task: TaskRun, ids: Sequence[str]) -> None:
    failed = first_failure(draft, prefix_of(task.path), ids)
    if failed is None:
        _complete(draft, task)
    else:
        _close(draft, task, TaskStatus.FAILED, failed)


def _leave_iteration(draft: Draft, task: TaskRun, own: TaskPlan, iteration: str) -> None:
    # Its number of open tasks goes below zero: an iteration is left once, however many of its tasks are told of later.
    draft.open_scope(iteration, -1)
    failed = first_failure(draft, f"{iteration}.", own.blocks[TASKS]) is not None
    rounds = draft.rounds(task.path)
    draft.set_rounds(task.path, Rounds(rounds.begun, rounds.open - 1, rounds.failed + failed))
    if task.status is TaskStatus.CANCELLING:
        _end_cancelled(draft, task)
    else:
        _go_round(draft, task, own)


def _go_round(draft: Draft, task: TaskRun, own: TaskPlan) -> None:
    """Begin the iterations that may begin now; when none is left, ask what the loop has come to."""
    control, rounds = own.control, draft.rounds(task.path)
    if isinstance(control, ForEach):
        while _may_begin(draft, task, control, own.blocks[TASKS], rounds):
            rounds = _next_iteration(draft, task, own.blocks[TASKS], rounds)
        if rounds.open == 0:
            _ask_results(draft, task.path, control)
        return
    assert isinstance(control, While), "only loops have iterations"  # noqa: S101
    if rounds.failed:
        _ask_results(draft, task.path, control)
    else:
        _ask_again(draft, task.path, control, rounds.begun)


def _may_begin(draft: Draft, task: TaskRun, loop: ForEach, ids: Sequence[str], rounds: Rounds) -> bool:
    """Whether the next iteration may. One that was adopted as a whole takes no place: it is passed when it is next."""
    if rounds.begun >= (task.size or 0):
        return False
    if rounds.open < loop.concurrency and not (loop.stop_on_failure and rounds.failed):
        return True
    return _is_adopted(draft, task.path, rounds.begun, ids)


def _next_iteration(draft: Draft, task: TaskRun, ids: Sequence[str], rounds: Rounds) -> Rounds:
    iteration = f"{task.path}[{rounds.begun}]"
    started = _start_block(draft, f"{iteration}.", iteration, ids)
    rounds = Rounds(rounds.begun + 1, rounds.open + started, rounds.failed)
    draft.set_rounds(task.path, rounds)
    return rounds


def _ask_again(draft: Draft, path: str, loop: While, number: int, *, adopted: int = 0) -> None:
    """That an iteration runs was decided when an earlier run began it: the condition may say something else now."""
    source = None if number < _known_to_run(draft, path) else loop.expression
    draft.ask(Evaluate(path, source, Question.AGAIN, number, adopted or None))


def _ask_results(draft: Draft, path: str, loop: Loop) -> None:
    draft.ask(Evaluate(path, loop.result, Question.RESULTS, draft.rounds(path).begun))


# --- ending -----------------------------------------------------------------------------------------------------------


def _complete(draft: Draft, task: TaskRun) -> None:
    _close(draft, task, TaskStatus.COMPLETED, None)


def _close(draft: Draft, task: TaskRun, target: TaskStatus, failure: Failure | None) -> None:
    """End a control task, and its time limit with it."""
    if draft.plan_of(task.path).timeout is not None:
        draft.effects.append(Unpark(task.path))
    draft.finish(task, target, failure=failure)


def _end_cancelled(draft: Draft, task: TaskRun) -> None:
    """What was in a task that is being ended has ended: in a loop, in all its iterations."""
    loop = isinstance(draft.plan_of(task.path).control, ForEach | While)
    if not (loop and draft.rounds(task.path).open):
        _close(draft, task, TaskStatus.CANCELLED if task.failure is None else TaskStatus.FAILED, task.failure)


def end_empty(draft: Draft, task: TaskRun) -> None:
    """End a task that is being ended, if nothing is left in it whose end would be told."""
    control = draft.plan_of(task.path).control
    if isinstance(control, ForEach | While):
        empty = draft.rounds(task.path).open == 0
    else:
        empty = draft.unfinished_in(task.path) == 0
    if empty:
        _end_cancelled(draft, task)
