"""Configs of control tasks: what is told when a definition is saved, and what rendered ones mean."""

from typing import Any

import pytest

from millrace.core.controls import CONTROL_TYPES
from millrace.core.values import SECOND
from millrace.definition import CONTROL_CONFIGS, CONTROL_SUMMARIES, ControlMeanings
from millrace.ports.controls import (
    AskApproval,
    AwaitEvent,
    AwaitSignal,
    InvalidControl,
    Meaning,
    SendSignal,
    SleepFor,
    SleepUntil,
    StartChild,
)
from tests.unit.definition.example import accepted, faults, line, workflow
from tests.unit.definition.test_control_tasks import control

DAY = 86_400 * SECOND
SECRET = "hunter2hunter2"


def test_every_type_has_a_config_and_a_summary() -> None:
    assert CONTROL_CONFIGS.keys() == CONTROL_SUMMARIES.keys() == CONTROL_TYPES
    for model in CONTROL_CONFIGS.values():
        for field in model.model_fields.values():
            assert field.description


@pytest.mark.parametrize(
    ("kind", "config", "path", "says", "remedy"),
    [
        ("condition", {}, "if", "if is missing", "add if: `then` runs if this is true"),
        ("condition", {"if": 5}, "if", "text or true or false", 'if: "{{ input.day != null }}"'),
        ("condition", {"if": None}, "if", "text or true or false", ""),
        ("condition", {"if": "input.x"}, "if", "a condition is one expression in braces", 'write if: "{{ … }}"'),
        ("condition", {"if": "{{ input.x }} or so"}, "if", "one expression in braces and nothing else", ""),
        ("condition", {"if": "{{ input.x"}, "if", "never closed", ""),
        ("condition", {"when": "{{ true }}", "if": True}, "when", "did you mean 'if'?", ""),
        ("switch", {}, "value", "value is missing", ""),
        ("switch", {"value": ["a"]}, "value", "text, a number or true or false", "{{ input.region }}"),
        ("switch", {"value": None}, "value", "text, a number or true or false", ""),
        ("sequential", {"items": []}, "items", "there is no field 'items'", "take it out"),
        ("parallel", {"concurrency": 3}, "concurrency", "takes no `concurrency`", "take a foreach"),
        ("foreach", {}, "items", "items is missing", ""),
        ("foreach", {"items": 5}, "items", "a loop runs over a list", "one expression that gives one"),
        ("foreach", {"items": {"a": 1}}, "items", "a loop runs over a list", ""),
        ("foreach", {"items": "abc"}, "items", "a loop runs over a list", ""),
        ("foreach", {"items": "{{ input.a }}, {{ input.b }}"}, "items", "items is one expression in braces", "items: "),
        ("foreach", {"items": [], "concurrency": 0}, "concurrency", "at least 1, not 0", ""),
        ("foreach", {"items": [], "concurrency": 10_001}, "concurrency", "at most 10000", ""),
        ("foreach", {"items": [], "concurrency": "8"}, "concurrency", "a whole number, not text", ""),
        ("foreach", {"items": [], "key": "item.id"}, "key", "key is one expression in braces", 'key: "{{ … }}"'),
        ("foreach", {"items": [], "key": 1}, "key", "key must be text", "{{ item.id }}"),
        ("foreach", {"items": [], "stop_on_failure": "yes"}, "stop_on_failure", "true or false, not text", ""),
        ("foreach", {"items": [], "max_parallel": 3}, "max_parallel", "did you mean 'concurrency'?", ""),
        ("while", {}, "condition", "condition is missing", ""),
        ("while", {"condition": True}, "condition", "condition must be text", "{{ index == 0"),
        ("while", {"condition": ""}, "condition", "condition must not be empty", "{{ index == 0"),
        ("while", {"condition": "index < 3"}, "condition", "a condition is one expression", "condition: "),
        ("while", {"condition": "{{ true }}", "max_iterations": 10_001}, "max_iterations", "at most 10000", ""),
        ("while", {"condition": "{{ true }}", "max_iterations": 0}, "max_iterations", "at least 1", ""),
        ("sub_workflow", {}, "workflow", "workflow is missing", ""),
        ("sub_workflow", {"workflow": "w", "version": 0}, "version", "at least 1", ""),
        ("sub_workflow", {"workflow": "w", "version": []}, "version", "a whole number or text, not a list", ""),
        ("sub_workflow", {"workflow": "w", "input": []}, "input", "a mapping, not a list", ""),
        ("sub_workflow", {"workflow": "w", "priority": 1001}, "priority", "at most 1000", ""),
        ("sub_workflow", {"workflow": "w", "wait": "no"}, "wait", "true or false, not text", ""),
        ("sleep", {}, "duration", "duration is missing", ""),
        ("sleep", {"duration": "soon"}, "duration", "no duration of at most 10 years", "30s, 5m, 2h"),
        ("sleep", {"duration": "3654d"}, "duration", "at most 10 years", ""),
        ("sleep", {"duration": -1}, "duration", "between 0 and those of 10 years", ""),
        ("sleep", {"seconds": 5}, "seconds", "did you mean 'duration'?", ""),
        ("until", {"time": "2026-11-02T08:00:00"}, "time", "this time has no zone", "2026-11-02T08:00:00Z"),
        ("until", {"time": "tomorrow"}, "time", "this is no time", "2026-11-02T08:00:00Z"),
        ("until", {"time": 5}, "time", "time must be text", ""),
        ("wait_for_event", {}, "type", "not said what is waited for", "name the `type` of an event, or a `signal`"),
        ("wait_for_event", {"type": "a", "signal": "s"}, "signal", "an event or a signal, not for both", "take one"),
        ("wait_for_event", {"signal": "s", "key": "k"}, "key", "a signal has no key", "use `filter`"),
        ("wait_for_event", {"signal": "s", "source": "k"}, "source", "a signal has no source", ""),
        ("wait_for_event", {"type": "a*"}, "type", "at the end, after a dot", "orders.*"),
        ("wait_for_event", {"type": []}, "type", "type must not be empty", ""),
        ("wait_for_event", {"type": "a", "key": {}}, "key", "a key is text or a number", ""),
        ("wait_for_event", {"type": "a", "filter": "event.x"}, "filter", "filter is one expression", 'filter: "{{'),
        ("wait_for_event", {"type": "a", "filter": True}, "filter", "filter must be text", ""),
        ("wait_for_event", {"event_type": "a", "type": "b"}, "event_type", "did you mean 'type'?", ""),
        ("approval", {}, "message", "message is missing", ""),
        ("approval", {"message": ""}, "message", "message must not be empty", "Large day, publish?"),
        ("approval", {"message": "m", "form": {"type": "string"}}, "form", "is an object", "type: object"),
        ("approval", {"message": "m", "form": []}, "form", "a mapping, not a list", ""),
        (
            "approval", {"message": "m", "form": {"type": "object", "properties": {"a": 3}}}, "form.properties.a",
            "not valid JSON Schema", "{type: string}",
        ),
        (
            "approval", {"message": "m", "form": {"type": "object", "$ref": "https://e.com"}}, "form['$ref']",
            "refers to its own parts only", "$defs",
        ),
        ("approval", {"message": "m", "default": "reject"}, "default", "this task has no timeout", "write timeout"),
        ("approval", {"message": "m", "default": "yes"}, "default", "default cannot be 'yes'", "approve, reject"),
        ("signal", {"run": "r"}, "name", "name is missing", ""),
        ("signal", {"run": "r", "name": ""}, "name", "name must not be empty", ""),
        ("signal", {"run": "r", "name": "a\nb"}, "name", "line break", ""),
        ("signal", {"run": 5, "name": "n"}, "run", "run must be text", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_config(kind: str, config: Any, path: str, says: str, remedy: str) -> None:
    raw = workflow(control(kind, config=config))
    place = f"tasks[0].config{'' if path.startswith('[') else '.'}{path}"
    found = [fault for fault in faults(raw) if fault.path == place]
    assert len(found) == 1, "\n".join(map(line, faults(raw)))
    assert says in found[0].message, line(found[0])
    assert remedy in found[0].remedy, line(found[0])


def test_an_if_beside_config_is_not_what_a_condition_decides_by() -> None:
    (fault,) = faults(workflow(control("condition", config=..., if_="{{ input.x }}")))
    assert (fault.path, fault.code) == ("tasks[0].config.if", "missing")
    assert fault.remedy == "write config: {if: …}"


def test_expressions_stand_for_any_value_that_is_rendered() -> None:
    later = "{{ input.x }}"
    for kind, config in {
        "switch": {"value": later},
        "sub_workflow": {"workflow": later, "version": later, "input": later, "variables": later, "wait": later},
        "sleep": {"duration": later},
        "until": {"time": later},
        "wait_for_event": {"type": later, "key": later, "source": later, "subject": [later]},
        "approval": {"message": later, "form": {"type": "object", "properties": {"a": {"enum": later}}}},
        "signal": {"run": later, "name": later, "data": later},
    }.items():
        accepted(workflow(control(kind, config=config)))
    accepted(workflow(control("approval", timeout="1h", config={"message": "m", "default": later, "form": later})))


# --- what rendered configs mean ---


@pytest.mark.parametrize(
    ("kind", "config", "means"),
    [
        ("sleep", {"duration": "1h30m"}, SleepFor(5400 * SECOND)),
        ("sleep", {"duration": 0.5}, SleepFor(SECOND // 2)),
        ("sleep", {"duration": 0}, SleepFor(0)),
        ("sleep", {"duration": "3653d"}, SleepFor(3653 * DAY)),
        ("until", {"time": "1970-01-02T01:00:00+01:00"}, SleepUntil(DAY)),
        ("until", {"time": "1970-01-02T00:00:00.5Z"}, SleepUntil(DAY + SECOND // 2)),
        ("wait_for_event", {"type": "a.b"}, AwaitEvent(("a.b",))),
        (
            "wait_for_event", {"type": ["a.*", "*", "a.*"], "key": 5, "source": "s/*", "subject": ["x", "y"]},
            AwaitEvent(("a.*", "*"), "5", ("s/*",), ("x", "y")),
        ),
        ("wait_for_event", {"type": None, "signal": "go_on", "key": None}, AwaitSignal("go_on")),
        ("approval", {"message": "m"}, AskApproval("m")),
        (
            "approval", {"message": "m", "form": {"type": "object"}, "default": "approve"},
            AskApproval("m", {"type": "object"}, True),
        ),
        ("approval", {"message": "m", "default": "reject"}, AskApproval("m", None, False)),
        ("sub_workflow", {"workflow": "w"}, StartChild("w")),
        (
            "sub_workflow",
            {
                "workflow": "w", "version": 3, "input": {"a": 1}, "variables": {"b": None}, "wait": False,
                "correlation_id": "c", "priority": -3,
            },
            StartChild("w", 3, {"a": 1}, {"b": None}, False, "c", -3),
        ),
        ("signal", {"run": "r", "name": "n"}, SendSignal("r", "n")),
        ("signal", {"run": "r", "name": "n", "data": [1]}, SendSignal("r", "n", [1])),
    ],
)  # fmt: skip
def test_what_a_rendered_config_means(kind: str, config: Any, means: Meaning) -> None:
    assert ControlMeanings().meaning(kind, config) == means


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("sleep", {}, "config.duration: it is missing"),
        ("sleep", {"duration": SECRET}, "config.duration: this is no duration of at most 10 years; write a duration"),
        ("sleep", {"duration": None}, "config.duration: a duration is text or a number"),
        ("sleep", {"duration": True}, "config.duration: a duration is text or a number"),
        ("until", {"time": SECRET}, "config.time: this is no time; write a time with its zone"),
        ("until", {"time": "2026-11-02"}, "config.time: this time has no zone"),
        ("wait_for_event", {"type": f"{SECRET}*"}, "config.type: a * can only stand at the end"),
        ("wait_for_event", {"type": 5}, "config.type: it must be text, not a number or it must be a list"),
        ("wait_for_event", {"type": "a", "key": ""}, "config.key: a key is text or a number, and not empty"),
        ("wait_for_event", {"type": "a", "key": True}, "config.key: a key is text or a number"),
        ("wait_for_event", {"type": None}, "config.type: it is not said what is waited for"),
        ("approval", {"message": 5}, "config.message: it must be text, not a number"),
        ("approval", {"message": "m", "default": SECRET}, "config.default: write one of approve, reject"),
        ("approval", {"message": "m", "form": {"type": "object", "properties": {SECRET: 5}}}, "config.form.properties"),
        ("approval", {"message": "m", "form": {"type": SECRET}}, "config.form: what is filled in is an object"),
        ("sub_workflow", {"workflow": "w" * 256}, "config.workflow: it must have at most 255 characters"),
        ("sub_workflow", {"workflow": "w", "version": -7}, "config.version: it must be at least 1"),
        ("sub_workflow", {"workflow": "w", SECRET: 1}, "there is no such field"),
        ("signal", {"run": None, "name": f"{SECRET}\n"}, "config.run: it must be text, not null; config.name: this"),
    ],
)
def test_what_a_rendered_config_cannot_be(kind: str, config: Any, said: str) -> None:
    with pytest.raises(InvalidControl) as caught:
        ControlMeanings().meaning(kind, config)
    assert said in str(caught.value)
    of_fields = str(caught.value).count(f".{SECRET}")
    assert str(caught.value).count(SECRET) == of_fields, "it holds a value"
