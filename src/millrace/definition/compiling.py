"""From a checked definition to the plan that the core decides by. Knows no rule of its own: all were checked before."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from millrace.core.durations import parse_duration
from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule, Phase, Plan, RetryPlan, TaskLimit, TaskPlan
from millrace.core.values import Duration, JsonObject, JsonValue
from millrace.definition.expressions.check import compile_expression, readable_expressions
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.paths import PathRead
from millrace.definition.expressions.templates import has_expressions, parse_template, templates_in
from millrace.definition.graph import needs_of
from millrace.definition.stored import Definition

LITERAL_TEXT = {"database": "sql", "shell": "command", "script": "source"}
"""Fields of built-in task types whose text is no template. A plan must not depend on which task types a process has;
for a type that is not named here a `{{` in such a field only costs the worker a rendering that changes nothing."""

DEFAULT_QUEUE = "default"
PHASES = {Phase.MAIN: "tasks", Phase.ON_FAILURE: "on_failure", Phase.FINALLY: "finally"}


def compile_plan(definition: Definition) -> Plan:
    """The plan of a definition. It depends on nothing else, so it is the same wherever and whenever it is made."""
    canonical: dict[str, Any] = definition.canonical
    defaults = {"queue": canonical.get("queue"), **(canonical.get("defaults") or {})}
    tasks: dict[str, TaskPlan] = {}
    phases: dict[Phase, tuple[str, ...]] = {}
    for phase, name in PHASES.items():
        listed = canonical.get(name) or []
        tasks.update((task.id, task) for task in _task_plans(phase, listed, defaults))
        phases[phase] = tuple(task["id"] for task in listed)
    rollbacks: dict[str, tuple[str, ...]] = {}
    for task in canonical.get("tasks") or []:
        undoing = list(_task_plans(Phase.ROLLBACK, task.get("on_rollback") or [], defaults, undoes=task["id"]))
        if undoing:
            tasks.update((one.id, one) for one in undoing)
            rollbacks[task["id"]] = tuple(one.id for one in undoing)
    phases[Phase.ROLLBACK] = tuple(task_id for group in rollbacks.values() for task_id in group)
    return Plan(
        tasks=tasks,
        phases=phases,
        rollbacks=rollbacks,
        output=canonical.get("output"),
        timeout=_duration(canonical.get("timeout")),
        max_concurrent_runs=(canonical.get("concurrency") or {}).get("limit"),
        limited=any(task.limit is not None for task in tasks.values()),
    )


def _task_plans(
    phase: Phase, listed: Sequence[dict[str, Any]], defaults: dict[str, Any], *, undoes: str | None = None
) -> Iterator[TaskPlan]:
    needs = needs_of([(task["id"], task.get("depends_on")) for task in listed])
    dependents: dict[str, list[str]] = {task_id: [] for task_id in needs}
    for task_id, before in needs.items():
        for need in before:
            dependents[need].append(task_id)
    for task in listed:
        config = task.get("config") or {}
        templates = templates_of(task["type"], config)
        templated = has_expressions(templates)
        yield TaskPlan(
            id=task["id"],
            type=task["type"],
            phase=phase,
            needs=needs[task["id"]],
            dependents=tuple(dependents[task["id"]]),
            join=JoinRule(task.get("join", JoinRule.ALL_SUCCESS)),
            condition=condition_source(task.get("if")),
            retry=_retry({**(defaults.get("retry") or {}), **(task.get("retry") or {})}),
            timeout=_duration(task.get("timeout", defaults.get("timeout"))),
            total_timeout=_duration(task.get("total_timeout")),
            queue_timeout=_duration(task.get("queue_timeout")),
            allow_failure=task.get("allow_failure", False),
            queue=task.get("queue") or defaults.get("queue") or DEFAULT_QUEUE,
            priority=task.get("priority"),
            limit=_limit(task.get("concurrency")),
            undoes=undoes,
            config=config or None,
            templated=templated,
            secrets=secrets_in(templates) if templated else frozenset(),
        )


def condition_source(condition: JsonValue) -> str | None:
    """The CEL source of an `if`, without braces; `None` runs always."""
    if condition is None or condition is True:
        return None
    if condition is False:
        return "false"
    assert isinstance(condition, str), "an `if` is text or true or false"  # noqa: S101
    whole = parse_template(condition).whole
    assert whole is not None, "an `if` is one expression"  # noqa: S101
    return whole.source


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
    """What the `if` and the config of a task read, as far as it is known before the run."""
    if task.condition is not None:
        with suppress(ExpressionFault):
            yield from compile_expression(task.condition)[0].reads
    if task.templated and isinstance(task.config, dict):
        for _, text in templates_in(templates_of(task.type, task.config)):
            for found in readable_expressions(text):
                yield from found.reads


def _retry(given: dict[str, Any]) -> RetryPlan:
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
    )


def _limit(given: dict[str, Any] | None) -> TaskLimit | None:
    return None if given is None else TaskLimit(given["key"], given["limit"])


def _duration(text: str | None) -> Duration | None:
    return None if text is None else parse_duration(text)
