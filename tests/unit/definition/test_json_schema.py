"""The published JSON Schema: valid itself, and of one mind with validation on what editors can check."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from millrace.definition import definition_json_schema, read_yaml
from millrace.triggers.registry import TRIGGER_TYPES
from tests.unit.definition.example import NOOP, accepted, canonical, faults, registry, task, transform, workflow
from tests.unit.definition.test_canonical import FULL

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.yaml"))
SCHEMA = definition_json_schema(registry().types(), TRIGGER_TYPES)
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)
LATER = "{{ input.x }}"


def errors(raw: Any) -> list[str]:
    return [f"{list(error.instance_path)}: {error.message[:200]}" for error in VALIDATOR.iter_errors(raw)]


def test_it_is_a_valid_schema() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)


def test_it_refers_to_its_own_parts_only() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    found = set(references(SCHEMA))
    assert found
    definitions: Any = SCHEMA["$defs"]
    assert {reference.removeprefix("#/$defs/") for reference in found} <= set(definitions)


def test_every_field_is_described() -> None:
    definitions: Any = SCHEMA["$defs"]
    own = ("Canonical", "Task", "Trigger", "Retry", "Concurrency", "Defaults")
    parts = {"(top)": SCHEMA, **{name: part for name, part in definitions.items() if name in own}}
    bare = [
        f"{name}.{field}" for name, part in parts.items() for field, about in properties(part) if not described(about)
    ]
    assert bare == []


def properties(part: Any) -> list[tuple[str, Any]]:
    return list(part.get("properties", {}).items())


def described(about: Any) -> bool:
    return bool(about.get("description"))


GOOD: dict[str, Any] = {
    "full": FULL,
    "smallest": workflow(),
    "literals": workflow(task("a", "shell", config={"command": "docker ps --format '{{.Names}}'"})),
    "expressions for values": workflow(
        task(
            "a",
            "http",
            config={"url": "https://e.com", "max_bytes": LATER, "headers": LATER, "expected_status": [LATER]},
        )
    ),
    "expression for a union": workflow(
        task("a", "http", config={"url": "https://e.com", "auth": LATER, "body": LATER})
    ),
    "auth": workflow(task("a", "http", config={"url": "https://e.com", "auth": {"type": "bearer", "token": LATER}})),
    "body": workflow(task("a", "http", config={"url": "https://e.com", "body": {"json": {"a": LATER}}})),
    "parameters": workflow(
        task("a", "database", config={"connection_string": LATER, "sql": "select :a", "parameters": {"a": [1, LATER]}})
    ),
    "durations": workflow(task("a", timeout=1.5, total_timeout="PT1M"), timeout=30),
    "schedule": workflow(
        triggers=[
            {
                "type": "cron",
                "config": {
                    "expression": "0 2 * * *",
                    "timezone": "UTC",
                    "dst": {"gap": "skip"},
                    "jitter": 30,
                    "catch_up": {"policy": "all", "limit": 5},
                },
            },
            {"type": "manual", "config": {"require_confirmation": True}},
        ]
    ),
    "condition": workflow(task("a", if_=False), transform("b", 1, if_="{{ true }}")),
}


@pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD.keys())
def test_good_definitions_fit(raw: Any) -> None:
    accepted(raw)
    assert errors(raw) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_the_examples_fit(path: Path) -> None:
    """Each in its canonical form: the schema is that of the canonical shape."""
    assert errors(canonical(read_yaml(path.read_text()))) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


BAD: dict[str, Any] = {
    "no name": {"tasks": [NOOP]},
    "no tasks": {"name": "w"},
    "empty tasks": {"name": "w", "tasks": []},
    "unknown field": workflow(colour=1),
    "unknown field of a task": workflow({**NOOP, "colour": 1}),
    "unknown type": workflow(task("a", "htttp")),
    "no type": workflow({"id": "a"}),
    "bad id": workflow(task("a b")),
    "reserved id": workflow(task("null")),
    "long id": workflow(task("x" * 201)),
    "config without a required field": workflow(task("a", "http", config={})),
    "no config where one is required": workflow(task("a", "http")),
    "unknown field of a config": workflow(task("a", "noop", config={"outptu": 1})),
    "mistyped field of a config": workflow(task("a", "http", config={"url": 5})),
    "number for a union": workflow(task("a", "shell", config={"command": 5})),
    "unknown kind of auth": workflow(task("a", "http", config={"url": "https://e.com", "auth": {"type": "x"}})),
    "text as dependencies": workflow(NOOP, task("b", depends_on="a")),
    "unknown join": workflow(task("a", join="both")),
    "no attempts": workflow(task("a", retry={"max_attempts": 0})),
    "number as condition": workflow(task("a", if_=5)),
    "list as duration": workflow(timeout=[]),
    "number as label": workflow(labels={"a": 1}),
    "unknown trigger": workflow(triggers=[{"type": "crom"}]),
    "schedule without an expression": workflow(triggers=[{"type": "cron"}]),
    "unknown field of a schedule": workflow(
        triggers=[{"type": "cron", "config": {"expression": "@daily", "tz": "UTC"}}]
    ),
    "unknown rule for gaps": workflow(
        triggers=[{"type": "cron", "config": {"expression": "@daily", "dst": {"gap": "later"}}}]
    ),
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_faulty_definitions_do_not_fit(raw: Any) -> None:
    assert faults(raw)
    assert errors(raw)


def test_a_fault_in_a_config_is_told_for_its_own_type_only() -> None:
    assert len(errors(workflow(task("a", "noop", config={"outptu": 1})))) == 1
