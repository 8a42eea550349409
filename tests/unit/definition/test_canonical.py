"""The canonical form: what stays, what is left out, what makes two definitions the same."""

import copy
from typing import Any

import pytest

from millrace.definition import content_hash, read_yaml, stored_definition
from tests.unit.definition.example import NOOP, accepted, canonical, task, transform, workflow

FULL: dict[str, Any] = {
    "name": "Full",
    "description": "All of it",
    "category": "c",
    "labels": {"a": "b"},
    "metadata": {"cost": [1, 2.5, None]},
    "owner": "ada",
    "version_tag": "1.0",
    "input": {"type": "object", "properties": {"day": {"type": "string"}}},
    "variables": {"region": None},
    "concurrency": {"limit": 2, "when_full": "queue"},
    "timeout": "2h",
    "defaults": {"retry": {"max_attempts": 3, "delay": "1s"}, "timeout": "5m"},
    "triggers": [{"id": "t", "type": "manual", "enabled": False, "input": {"day": "{{ trigger.time }}"}}],
    "tasks": [
        {
            "id": "a",
            "name": "A",
            "type": "transform",
            "config": {"output": ["{{ input.day }}", None, {"x": 1}]},
            "depends_on": [],
            "join": "all_done",
            "if": "{{ variables.region == null }}",
            "retry": {"max_attempts": 2, "on": ["error"], "on_crash": False},
            "timeout": "30s",
            "total_timeout": "1h",
            "allow_failure": True,
        }
    ],
    "on_failure": [{"id": "f", "type": "noop"}],
    "finally": [{"id": "g", "type": "log", "config": {"message": "{{ run.status }}"}}],
    "output": {"a": "{{ tasks.a.output }}", "b": None},
}


def test_a_full_definition_stays_as_it_is() -> None:
    made = canonical(FULL)
    assert made == FULL
    assert list(made) == list(FULL)


def test_yaml_and_json_are_the_same() -> None:
    text = 'name: w\ntasks:\n  - {id: a, type: transform, config: {output: "{{ input.day }}"}, timeout: 30}\n'
    assert canonical(read_yaml(text)) == canonical(workflow(transform("a", "{{ input.day }}", timeout="30s")))


def test_the_given_definition_is_not_changed() -> None:
    raw = workflow({"type": "noop", "timeout": 5}, triggers=[{"type": "manual"}])
    before = copy.deepcopy(raw)
    accepted(raw)
    assert raw == before


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ([{"type": "noop"}, {"type": "noop"}], ["task", "task_2"]),
        ([{"type": "noop", "name": "Load it"}, {"type": "noop", "id": "load_it"}], ["load_it_2", "load_it"]),
        ([{"type": "noop", "name": "none"}, {"type": "noop", "id": None, "name": "x"}], ["none", "x"]),
    ],
)
def test_ids_are_made_where_there_are_none(given: list[Any], ids: list[str]) -> None:
    made = canonical(workflow(*given))
    assert [one["id"] for one in made["tasks"]] == ids
    assert canonical(made) == made


def test_ids_of_triggers_come_from_their_types() -> None:
    made = canonical(workflow(triggers=[{"type": "manual"}, {"type": "manual"}]))
    assert [trigger["id"] for trigger in made["triggers"]] == ["manual", "manual_2"]


NOTHING: dict[str, Any] = {
    **dict.fromkeys(("description", "category", "owner", "version_tag", "input", "concurrency", "timeout"), None),
    **{field: {} for field in ("labels", "metadata", "variables")},
    **{field: [] for field in ("triggers", "on_failure", "finally")},
    "defaults": None,
    "output": None,
}


@pytest.mark.parametrize(("field", "value"), NOTHING.items())
def test_nothing_said_is_nothing_stored(field: str, value: Any) -> None:
    assert canonical(workflow(**{field: value})) == canonical(workflow())


@pytest.mark.parametrize("field", ["name", "depends_on", "if", "retry", "timeout", "total_timeout"])
def test_null_in_a_task_is_the_same_as_nothing(field: str) -> None:
    raw = workflow({**NOOP, field: None}, defaults={"timeout": "5s"})
    assert canonical(raw) == canonical(workflow(defaults={"timeout": "5s"}))


@pytest.mark.parametrize("value", [None, 0, "", [], {}, False, {"a": None}, [None]])
def test_values_of_the_author_stay(value: Any) -> None:
    raw = workflow(transform("a", value), metadata={"a": value}, variables={"a": value})
    assert canonical(raw) == raw


@pytest.mark.parametrize("value", [0, "", [], {}, False, {"a": None}])
def test_an_output_that_is_empty_is_an_output(value: Any) -> None:
    assert canonical(workflow(output=value))["output"] == value


# --- the hash ---


def hash_of(raw: Any) -> str:
    return content_hash(canonical(raw))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"description": "other"},
        {"category": "other"},
        {"labels": {"x": "y"}},
        {"metadata": {"x": 1}},
        {"owner": "bob"},
        {"version_tag": "2.0"},
        *({field: None} for field in ("description", "category", "labels", "metadata", "owner", "version_tag")),
    ],
)
def test_what_describes_does_not_count(change: dict[str, Any]) -> None:
    changed = {key: value for key, value in {**FULL, **change}.items() if value is not None}
    assert hash_of(changed) == hash_of(FULL)


def test_the_order_of_keys_does_not_count() -> None:
    turned = {key: FULL[key] for key in reversed(FULL)}
    turned["tasks"] = [{key: FULL["tasks"][0][key] for key in reversed(FULL["tasks"][0])}]
    assert hash_of(turned) == hash_of(FULL)


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"type": "object"}},
        {"variables": {"region": "eu"}},
        {"concurrency": {"limit": 3}},
        {"timeout": "3h"},
        {"defaults": {"timeout": "6m"}},
        {"triggers": []},
        {"on_failure": []},
        {"finally": []},
        {"output": {"a": 1}},
        *({"tasks": [{**FULL["tasks"][0], **part}]} for part in (
            {"id": "b"}, {"name": "B"}, {"config": {"output": 1}}, {"join": "all_success"}, {"if": True},
            {"retry": {"max_attempts": 4}}, {"timeout": "31s"}, {"total_timeout": "2h"}, {"allow_failure": False},
        )),
        {"tasks": [{**FULL["tasks"][0], "type": "noop"}]},
        {"tasks": [*FULL["tasks"], {"id": "z", "type": "noop"}]},
    ],
)  # fmt: skip
def test_everything_else_counts(change: dict[str, Any]) -> None:
    base = {**FULL, "output": {"b": 1}}
    assert hash_of({**base, **change}) != hash_of(base)


def test_the_order_of_lists_counts() -> None:
    one, two = task("a", depends_on=[]), task("b", depends_on=[])
    assert hash_of(workflow(one, two)) != hash_of(workflow(two, one))


def test_a_stored_definition_shows_what_the_rest_needs() -> None:
    definition = stored_definition(canonical(FULL))
    assert (definition.name, definition.variables) == ("Full", {"region": None})
    assert definition.input_schema == FULL["input"]
    bare = stored_definition(canonical(workflow()))
    assert (bare.variables, bare.input_schema) == ({}, None)


def test_a_password_in_a_definition_is_warned_about_with_its_place() -> None:
    config = {"connection_string": "postgresql://app:hunter22@db.example.com/orders", "sql": "select 1"}
    found = accepted({"name": "n", "tasks": [{"id": "a", "type": "database", "config": config}]})
    assert [warning.partition(" ")[0] for warning in found.warnings] == ["tasks[0].config.connection_string"]
    assert "hunter22" not in found.warnings[0]
    config["connection_string"] = "postgresql://app:{{ secrets.password }}@db.example.com/orders"
    assert accepted({"name": "n", "tasks": [{"id": "a", "type": "database", "config": config}]}).warnings == ()


CREDENTIALS: dict[str, dict[str, Any]] = {
    "auth.token": {"auth": {"type": "bearer", "token": "VALUE"}},
    "auth.password": {"auth": {"type": "basic", "username": "me", "password": "VALUE"}},
    "auth.key": {"auth": {"type": "api_key", "name": "X-Key", "key": "VALUE"}},
    "headers.Authorization": {"headers": {"Authorization": "Bearer VALUE", "Accept": "text/csv"}},
    "headers['X-API-Key']": {"headers": {"X-API-Key": "VALUE", "X-Keyboard": "de"}},
    "query.access_token": {"query": {"access_token": "VALUE", "token_type": "short"}},
    "env.DB_PASSWORD": {"env": {"DB_PASSWORD": "VALUE", "PASSWORD_FILE": "/etc/password"}},
}


@pytest.mark.parametrize("place", CREDENTIALS)
def test_a_credential_in_a_definition_is_warned_about_with_its_place(place: str) -> None:
    config = CREDENTIALS[place]
    kind, usual = ("shell", {"command": "true"}) if "env" in config else ("http", {"url": "https://api.example.com"})
    for value, warned in (("hunter22", True), ("{{ secrets.api }}", False), ("{{ input.token }}", False)):
        given = {name: _with(part, value) for name, part in config.items()}
        task = {"id": "a", "type": kind, "config": {**usual, **given}}
        found = accepted({"name": "n", "tasks": [task]}).warnings
        assert [warning.partition(" ")[0] for warning in found] == ([f"tasks[0].config.{place}"] if warned else [])
        assert "hunter22" not in str(found)


def _with(part: dict[str, str], value: str) -> dict[str, str]:
    return {key: text.replace("VALUE", value) for key, text in part.items()}
