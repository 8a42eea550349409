"""From a checked definition to the plan that the core decides by. Knows no rule of its own: all were checked before."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from millrace.core.controls import CONTROL_TYPES, SLEEP, UNTIL, Control, ForEach, Wait, While
from millrace.core.durations import parse_duration
from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule, Phase, Plan, RetryPlan, TaskLimit, TaskPlan
from millrace.core.redaction import Redaction
from millrace.core.values import Duration, JsonObject
from millrace.definition.controls.compiling import blocks_of, condition_source, control_of
from millrace.definition.controls.kinds import PARALLEL, is_loop
from millrace.definition.expressions.check import compile_expression, readable_expressions
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.paths import PathRead
from millrace.definition.expressions.templates import has_expressions, templates_in
from millrace.definition.graph import needs_of
from millrace.definition.mocks import AS_IT_IS, Terms, is_settled, settled
from millrace.definition.redaction import redaction_in
from millrace.definition.stored import Definition

LITERAL_TEXT = {"database": "sql", "shell": "command", "script": "source"}
"""Fields of built-in task types whose text is no template. A plan must not depend on which task types a process has;
for a type that is not named here a `{{` in such a field only costs the worker a rendering that changes nothing."""

DEFAULT_QUEUE = "default"
PHASES = {Phase.MAIN: "tasks", Phase.ON_FAILURE: "on_failure", Phase.FINALLY: "finally"}


def compile_plan(definition: Definition, terms: Terms = AS_IT_IS) -> Plan:
    """The plan of a definition, or of a test of it by these terms.

    It depends on nothing else, so it is the same wherever and whenever it is made.
    """
    canonical: dict[str, Any] = definition.canonical
    redaction = redaction_in(canonical)
    whole = _Whole({"queue": canonical.get("queue"), **(canonical.get("defaults") or {})}, terms, redaction)
    tasks: dict[str, TaskPlan] = {}
    phases: dict[Phase, tuple[str, ...]] = {}
    for phase, name in PHASES.items():
        listed = canonical.get(name) or []
        tasks.update((task.id, task) for task in _task_plans(listed, _Place(phase), whole))
        phases[phase] = _ids(listed)
    rollbacks: dict[str, tuple[str, ...]] = {}
    for task in canonical.get("tasks") or []:
        undoing = task.get("on_rollback") or []
        if undoing:
            place = _Place(Phase.ROLLBACK, undoes=task["id"])
            tasks.update((one.id, one) for one in _task_plans(undoing, place, whole))
            rollbacks[task["id"]] = _ids(undoing)
    phases[Phase.ROLLBACK] = tuple(task_id for group in rollbacks.values() for task_id in group)
    return Plan(
        tasks=tasks,
        phases=phases,
        rollbacks=rollbacks,
        output=canonical.get("output"),
        timeout=_duration(canonical.get("timeout")),
        max_concurrent_runs=(canonical.get("concurrency") or {}).get("limit"),
        limited=any(task.limit is not None for task in tasks.values()),
        has_controls=any(task.control is not None for task in tasks.values()),
        has_loops=any(task.loops for task in tasks.values()),
        redact=redaction.start,
    )


@dataclass(frozen=True, slots=True)
class _Whole:
    """What holds for all tasks of a definition."""

    defaults: dict[str, Any]
    terms: Terms
    redaction: Redaction


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list of tasks stands."""

    phase: Phase
    undoes: str | None = None
    parent: str | None = None
    loops: tuple[str, ...] = ()
    at_once: bool = False
    """A task that does not say what it depends on depends on none."""

    def within(self, task: dict[str, Any]) -> "_Place":
        loops = (*self.loops, task["id"]) if is_loop(task["type"]) else self.loops
        return _Place(self.phase, None, task["id"], loops, task["type"] == PARALLEL)


def _task_plans(listed: Sequence[dict[str, Any]], place: _Place, whole: _Whole) -> Iterator[TaskPlan]:
    """The plans of a list, each task before those within it."""
    needs = needs_of([(task["id"], task.get("depends_on")) for task in listed], at_once=place.at_once)
    dependents: dict[str, list[str]] = {task_id: [] for task_id in needs}
    for task_id, before in needs.items():
        for need in before:
            dependents[need].append(task_id)
    for task in listed:
        before, after = needs[task["id"]], tuple(dependents[task["id"]])
        control = _control(task, whole.terms)
        if control is None:
            yield _plan_for_a_worker(task, place, before, after, whole)
            continue
        blocks = dict(blocks_of(task))
        own = _plan_of_a_control(task, place, before, after, {name: _ids(tasks) for name, tasks in blocks.items()})
        yield replace(own, control=control, mock=whole.terms.mock_of(own.id))
        for tasks in blocks.values():
            yield from _task_plans(tasks, place.within(task), whole)


def _control(task: dict[str, Any], terms: Terms) -> Control | None:
    """What the engine does for a task; `None` for one that a worker runs."""
    mock, before = terms.mock_of(task["id"]), task["id"] in terms.before
    if mock is not None and (before or is_settled(task["type"])):
        return settled(task, mock, before=before)
    if task["type"] not in CONTROL_TYPES or mock is not None:
        return None
    control = control_of(task)
    match control:
        case ForEach() | While() if task["id"] in terms.names:
            return replace(control, names=terms.names[task["id"]])
        case Wait(kind=kind) if kind in (SLEEP, UNTIL):
            return replace(control, at_once=terms.virtual_time)
        case _:
            return control


def _plan_for_a_worker(
    task: dict[str, Any], place: _Place, needs: tuple[str, ...], dependents: tuple[str, ...], whole: _Whole
) -> TaskPlan:
    """A mocked one takes no place under a limit, and nobody's who serves another queue."""
    defaults, mock = whole.defaults, whole.terms.mock_of(task["id"])
    config = task.get("config") or {}
    templates = templates_of(task["type"], config)
    templated = has_expressions(templates)
    return TaskPlan(
        id=task["id"],
        type=task["type"],
        phase=place.phase,
        needs=needs,
        dependents=dependents,
        join=JoinRule(task.get("join", JoinRule.ALL_SUCCESS)),
        condition=condition_source(task.get("if")),
        retry=_retry({**(defaults.get("retry") or {}), **(task.get("retry") or {})}, whole.terms),
        timeout=_duration(task.get("timeout", defaults.get("timeout"))),
        total_timeout=_duration(task.get("total_timeout")),
        queue_timeout=_duration(task.get("queue_timeout")),
        allow_failure=task.get("allow_failure", False),
        queue=DEFAULT_QUEUE if mock is not None else task.get("queue") or defaults.get("queue") or DEFAULT_QUEUE,
        priority=task.get("priority"),
        limit=None if mock is not None else _limit(task.get("concurrency")),
        undoes=place.undoes,
        parent=place.parent,
        loops=place.loops,
        config=config or None,
        templated=templated,
        secrets=secrets_in(templates) if templated else frozenset(),
        redact=whole.redaction.of_task(task["id"]),
        mock=mock,
    )


def _plan_of_a_control(
    task: dict[str, Any],
    place: _Place,
    needs: tuple[str, ...],
    dependents: tuple[str, ...],
    blocks: dict[str, tuple[str, ...]],
) -> TaskPlan:
    """What the defaults say is for attempts; a control task has none. What it does is added by the caller."""
    return TaskPlan(
        id=task["id"],
        type=task["type"],
        phase=place.phase,
        needs=needs,
        dependents=dependents,
        join=JoinRule(task.get("join", JoinRule.ALL_SUCCESS)),
        condition=condition_source(task.get("if")),
        timeout=_duration(task.get("timeout")),
        allow_failure=task.get("allow_failure", False),
        undoes=place.undoes,
        blocks=blocks,
        parent=place.parent,
        loops=place.loops,
        config=task.get("config") or None,
    )


def _ids(listed: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(task["id"] for task in listed)


def templates_of(task_type: str, config: JsonObject) -> JsonObject:
    """The part of a config that may hold expressions."""
    literal = LITERAL_TEXT.get(task_type)
    if literal is None or not isinstance(config.get(literal), str):
        return config
    return {key: value for key, value in config.items() if key != literal}


def secrets_in(config: JsonObject) -> frozenset[str]:
    """Names of the secrets that a config refers to. Only texts that may name one are parsed: most do not.

    Of a stored definition it must miss none: a task gets the secrets that are named here, and no others.
    """
    return frozenset(
        str(read.keys[0])
        for _, text in templates_in(config)
        if "secrets" in text
        for found in readable_expressions(text)
        for read in found.reads
        if read.root == "secrets" and read.keys
    )


def reads_of(task: TaskPlan) -> Iterator[PathRead]:
    """What a task itself reads in `if` and config, as far as that is known before the run."""
    if task.condition is not None:
        with suppress(ExpressionFault):
            yield from compile_expression(task.condition)[0].reads
    if (task.templated or task.control is not None) and isinstance(task.config, dict):
        for _, text in templates_in(templates_of(task.type, task.config)):
            for found in readable_expressions(text):
                yield from found.reads


def _retry(given: dict[str, Any], terms: Terms) -> RetryPlan:
    """Where no time passes, the next attempt follows at once."""
    policy = _policy(given)
    return replace(policy, delay=0, max_delay=0, jitter=0.0) if terms.virtual_time else policy


def _policy(given: dict[str, Any]) -> RetryPlan:
    if not given:
        return RetryPlan()
    default = RetryPlan()
    kinds = given.get("on")
    return RetryPlan(
        max_attempts=given.get("max_attempts", default.max_attempts),
        delay=default.delay if "delay" not in given else parse_duration(given["delay"]),
        multiplier=float(given.get("multiplier", default.multiplier)),
        max_delay=default.max_delay if "max_delay" not in given else parse_duration(given["max_delay"]),
        jitter=float(given.get("jitter", default.jitter)),
        on=None if kinds is None else frozenset(FailureKind(kind) for kind in kinds),
        on_crash=given.get("on_crash", default.on_crash),
        given=True,
    )


def _limit(given: dict[str, Any] | None) -> TaskLimit | None:
    return None if given is None else TaskLimit(given["key"], given["limit"])


def _duration(text: str | None) -> Duration | None:
    return None if text is None else parse_duration(text)
