"""From the config of a control task to what the core decides by. Knows no rule of its own: all were checked before."""

from collections.abc import Iterator
from typing import Any

from millrace.core.controls import (
    DEFAULT,
    ELSE,
    TASKS,
    THEN,
    WAIT_FOR_EVENT,
    Condition,
    Control,
    ForEach,
    Group,
    SignalRun,
    Switch,
    Wait,
    While,
    case_block,
)
from millrace.core.values import JsonValue
from millrace.definition.controls.configs import ForEachConfig, WhileConfig
from millrace.definition.expressions.templates import whole_source
from millrace.definition.model import CASES

FILTER = "filter"


def control_of(task: dict[str, Any]) -> Control:
    """What the engine does for a task of one of the `CONTROL_TYPES`."""
    config: dict[str, Any] = task.get("config") or {}
    match task["type"]:
        case "condition":
            return Condition(condition_source(config["if"]) or "true")
        case "switch":
            return Switch(config["value"], frozenset(task.get(CASES) or ()))
        case "sequential" | "parallel":
            return Group()
        case "foreach":
            return _foreach(config)
        case "while":
            most = config.get("max_iterations", WhileConfig.model_fields["max_iterations"].default)
            return While(whole_source(config["condition"]), most, config.get("output"), "output" in config)
        case "signal":
            return SignalRun(config)
        case kind:
            rest = {key: value for key, value in config.items() if not (kind == WAIT_FOR_EVENT and key == FILTER)}
            return Wait(kind, rest, _source(config.get(FILTER)))


def _foreach(config: dict[str, Any]) -> ForEach:
    usual = ForEachConfig.model_fields
    return ForEach(
        items=config["items"],
        concurrency=config.get("concurrency", usual["concurrency"].default),
        key=_source(config.get("key")),
        result=config.get("output"),
        has_result="output" in config,
        stop_on_failure=config.get("stop_on_failure", usual["stop_on_failure"].default),
    )


def blocks_of(task: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The lists of tasks in a task that were written, by the names that the core has for them."""
    for field in (TASKS, THEN, ELSE):
        if task.get(field) is not None:
            yield field, task[field]
    for name, listed in (task.get(CASES) or {}).items():
        yield case_block(name), listed
    if task.get(DEFAULT) is not None:
        yield DEFAULT, task[DEFAULT]


def condition_source(condition: JsonValue) -> str | None:
    """The CEL source of an `if`, without braces; `None` if it is always true."""
    if condition is None or condition is True:
        return None
    if condition is False:
        return "false"
    assert isinstance(condition, str), "an `if` is text or true or false"  # noqa: S101
    return whole_source(condition)


def _source(expression: JsonValue) -> str | None:
    return whole_source(expression) if isinstance(expression, str) else None
