"""The config of a task against the real task types: what is wrong whatever the expressions in it will give."""

from typing import Any

import pytest

from tests.unit.definition.example import accepted, faults, line, only, task, workflow

URL = {"url": "https://example.com"}
SQL = {"connection_string": "sqlite:////tmp/a.db", "sql": "select 1"}
LATER = "{{ input.x }}"


def with_config(kind: str, config: Any) -> dict[str, Any]:
    return workflow(task("a", kind, config=config))


@pytest.mark.parametrize(
    ("kind", "config", "place", "code", "says"),
    [
        ("http", {}, "url", "missing", "url is missing"),
        ("http", {"headers": {"a": LATER}}, "url", "missing", "url is missing"),
        ("http", {**URL, "hedaers": {}}, "hedaers", "unknown_field", "did you mean 'headers'?"),
        ("http", {**URL, "hedaers": {"a": LATER}}, "hedaers", "unknown_field", "did you mean 'headers'?"),
        ("http", {**URL, "headers": ["a"]}, "headers", "type", "headers must be a mapping, not a list"),
        ("http", {**URL, "expected_status": []}, "expected_status", "value", "expected_status must not be empty"),
        ("http", {"url": 5}, "url", "type", "url must be text, not a number"),
        ("http", {"url": ""}, "url", "missing", "url is missing"),
        ("http", {**URL, "method": "PSOT"}, "method", "value", "'PSOT'"),
        ("http", {**URL, "max_bytes": "many"}, "max_bytes", "type", "max_bytes must be a whole number, not text"),
        ("http", {**URL, "max_bytes": 0}, "max_bytes", "value", "max_bytes must be at least 1, not 0"),
        ("http", {**URL, "verify_tls": "perhaps"}, "verify_tls", "type", "true or false"),
        ("http", {**URL, "expected_status": [200, 999]}, "expected_status", "value", "999 is no status"),
        ("http", {**URL, "expected_status": [[]]}, "expected_status[0]", "type", "a whole number or text, not a list"),
        ("http", {**URL, "auth": {"type": "basic", "username": "u"}}, "auth.password", "missing", "password"),
        (
            "http", {**URL, "auth": {"type": "basic", "username": LATER}}, "auth.password", "missing",
            "password is missing",
        ),
        ("http", {**URL, "auth": {"type": "bearer", "token": 5}}, "auth.token", "type", "token must be text"),
        (
            "http", {**URL, "auth": {"type": "bearer", "token": LATER, "tokne": 1}}, "auth.tokne", "unknown_field",
            "did you mean 'token'?",
        ),
        ("http", {**URL, "auth": {"type": "baerer", "token": "t"}}, "auth.type", "value", "did you mean 'bearer'?"),
        ("http", {**URL, "auth": {"token": "t"}}, "auth.type", "missing", "type is missing"),
        ("http", {**URL, "auth": "me"}, "auth", "type", "auth must be a mapping, not text"),
        (
            "http", {**URL, "auth": {"type": "api_key", "key": "k", "in": "cookie"}}, "auth.in", "value",
            "in cannot be 'cookie'",
        ),
        ("http", {**URL, "body": {"json": 1, "text": "a"}}, "body", "value", "one of json, form, text and file"),
        ("http", {**URL, "body": {"form": [1]}}, "body.form", "type", "form must be a mapping, not a list"),
        ("http", {**URL, "body": {"text": {"a": LATER}}}, "body.text", "type", "text must be text, not a mapping"),
        ("http", {**URL, "body": 5}, "body", "type", "body must be a mapping, not a number"),
        ("shell", {"command": 5}, "command", "type", "command must be text or a list, not a number"),
        ("http", {**URL, "expected_status": [200, None]}, "expected_status[1]", "type", "text, not null"),
        ("shell", {"command": []}, "command", "value", "there is no command"),
        ("shell", {"command": "a", "env": {"A=B": 1}}, "env", "value", "'A=B' cannot be the name"),
        ("shell", {"command": "a", "environment": {}}, "environment", "unknown_field", "'environment'"),
        ("shell", {"env": {"A": LATER}}, "command", "missing", "command is missing"),
        ("database", {"sql": "select 1"}, "connection_string", "missing", "connection_string is missing"),
        ("database", {**SQL, "parameters": "x"}, "parameters", "type", "a list or a mapping, not text"),
        ("database", {**SQL, "fetch": "many"}, "fetch", "value", "fetch cannot be 'many'"),
        ("database", {**SQL, "row_limit": 0}, "row_limit", "value", "row_limit must be at least 1, not 0"),
        ("database", {**SQL, "sql": ""}, "sql", "value", "sql must not be empty"),
        ("log", {"message": "m", "level": "warn"}, "level", "value", "did you mean 'warning'?"),
        ("log", {}, "message", "missing", "message is missing"),
        ("noop", {"outptu": 1}, "outptu", "unknown_field", "did you mean 'output'?"),
        ("transform", {}, "output", "missing", "output is missing"),
    ],
)  # fmt: skip
def test_a_config_that_nothing_can_mend(kind: str, config: Any, place: str, code: str, says: str) -> None:
    fault = only(with_config(kind, config))
    assert (fault.path, fault.code) == (f"tasks[0].config.{place}", code)
    assert says in fault.message, line(fault)
    assert fault.remedy
    assert "nput should" not in fault.message


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("http", {"url": LATER, "method": LATER, "headers": LATER, "query": LATER, "max_bytes": LATER}),
        ("http", {**URL, "headers": {"a": LATER}, "expected_status": [LATER], "verify_tls": LATER}),
        ("http", {**URL, "auth": LATER, "body": LATER}),
        ("http", {**URL, "auth": {"type": LATER, "token": "t"}}),
        ("http", {**URL, "body": {"json": {"a": [LATER]}}}),
        ("http", {**URL, "body": {"form": LATER}}),
        ("http", {**URL, "body": [1, LATER]}),
        ("http", {**URL, "body": {"any": "mapping"}}),
        ("http", {**URL, "method": "post"}),
        ("shell", {"command": [LATER], "env": LATER, "expected_exit_codes": LATER, "stdin": {"a": 1}}),
        ("shell", {"command": ["a"], "expected_exit_codes": [0, LATER]}),
        ("database", {**SQL, "parameters": LATER, "row_limit": LATER, "transaction": LATER, "fetch": LATER}),
        ("database", {**SQL, "parameters": [1, {"a": [None, LATER]}]}),
        ("log", {"message": {"a": LATER}, "level": LATER, "metadata": LATER}),
        ("noop", None),
    ],
)
def test_what_an_expression_gives_is_not_known_yet(kind: str, config: Any) -> None:
    accepted(with_config(kind, config))


def test_every_field_is_told_at_once() -> None:
    config = {"headers": [LATER], "query": 5, "method": "X", "max_bytes": -1, "nonsense": LATER, "body": 5}
    assert sorted(fault.path for fault in faults(with_config("http", config))) == [
        f"tasks[0].config.{place}" for place in ("body", "headers", "max_bytes", "method", "nonsense", "query", "url")
    ]


def test_the_remedy_says_what_a_missing_field_is() -> None:
    assert "http:// or https:// address" in only(with_config("http", {})).remedy
