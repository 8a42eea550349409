"""W7 (d): the envelope around a definition, the words of its triggers, and what contradicts itself."""

import json
from typing import Any

import pytest

from millrace.app.workflows.requests import split
from millrace.core.errors import InvalidRequest
from millrace.definition import merged
from tests.unit.definition.example import NOOP, accepted, canonical, only, workflow
from tests.unit.definition.rewriting import changed, place, refusal, rewritten

KEYS = ["definition", "definition_json", "workflow_data"]
INNER: dict[str, Any] = {"tasks": [NOOP]}


def wrapped(inner: Any = INNER, **fields: Any) -> dict[str, Any]:
    return {"name": "w", "definition": inner, **fields}


def triggered(kind: Any, configuration: Any = None, **fields: Any) -> dict[str, Any]:
    given = {"trigger_type": kind, **fields}
    return wrapped(triggers=[given if configuration is None else {**given, "configuration": configuration}])


def only_trigger(raw: Any) -> dict[str, Any]:
    (made,) = rewritten(raw)["triggers"]
    assert isinstance(made, dict)
    return made


@pytest.mark.parametrize("key", KEYS)
def test_a_definition_in_an_envelope(key: str) -> None:
    raw = {"name": "w", "description": "d", "variables": {"a": 1}, key: {"labels": {"x": "y"}, "tasks": [NOOP]}}
    expected = {"name": "w", "description": "d", "labels": {"x": "y"}, "variables": {"a": 1}, "tasks": [NOOP]}
    assert canonical(raw) == canonical(expected)


@pytest.mark.parametrize("key", KEYS)
def test_a_definition_as_text(key: str) -> None:
    assert rewritten({"name": "w", key: json.dumps(INNER)}) == {"name": "w", **INNER}


def test_every_shape_fits_in() -> None:
    listed = {"cron_expression": "0 2 * * *", "tasks": [{"name": "a", "task_type": "NOOP", "config": {}}]}
    made = canonical(wrapped(listed))
    assert made["concurrency"] == {"limit": 1}
    assert made["triggers"][0]["config"] == {"expression": "0 2 * * *"}
    steps = {"start_step": "a", "steps": {"a": {"agent_name": "x"}}}
    assert rewritten(wrapped(steps))["tasks"][0]["config"] == {"agent": "x"}
    assert canonical(wrapped({"nodes": [{"type": "noop"}]}))["tasks"] == [{"id": "noop", "type": "noop"}]


@pytest.mark.parametrize(
    ("outer", "inner", "made"),
    [
        ({"name": "w"}, {}, "w"),
        ({}, {"name": "w"}, "w"),
        ({"name": "w"}, {"name": "w"}, "w"),
        ({"name": None}, {"name": "w"}, "w"),
        ({"name": "w"}, {"name": None}, "w"),
    ],
)
def test_what_one_says_holds_for_both(outer: Any, inner: Any, made: str) -> None:
    assert rewritten({**outer, "definition": {**INNER, **inner}})["name"] == made


@pytest.mark.parametrize(
    ("outer", "inner", "path"),
    [
        ({"name": "w"}, {"name": "v"}, "definition.name"),
        ({"description": "w"}, {"description": "v"}, "definition.description"),
        ({"variables": {"a": 1}}, {"variables": {"b": 1}}, "definition.variables"),
        ({"tasks": [{"type": "log"}]}, {}, "definition.tasks"),
        ({"triggers": [{"trigger_type": "MANUAL"}]}, {"triggers": [{"type": "manual"}]}, "definition.triggers"),
    ],
)
def test_contradictions(outer: Any, inner: Any, path: str) -> None:
    fault = refusal({**outer, "definition": {**INNER, **inner}})
    assert (fault.path, fault.code) == (path, "contradiction")
    assert "beside definition" in fault.message


@pytest.mark.parametrize(
    ("raw", "path", "code", "says"),
    [
        (wrapped([NOOP]), "definition", "type", "definition must be a definition, not a list"),
        (wrapped(5), "definition", "type", "not a number"),
        (wrapped("{"), "definition", "unreadable", "is not JSON"),
        (wrapped('{"name": 1, "name": 2}'), "definition", "unreadable", "given twice"),
        (wrapped('{"metadata": NaN}'), "definition", "unreadable", "NaN is not a JSON number"),
        (wrapped('"x"'), "definition", "type", "not text"),
        (wrapped("[" * 100_000), "definition", "unreadable", ""),
        (wrapped('{"metadata": {"n": 18446744073709551616}}'), "definition.metadata.n", "value", "64 bits"),
        (wrapped({"definition": INNER}), "definition.definition", "ambiguous_shape", "an envelope within an envelope"),
        (wrapped({"workflow_data": INNER}), "definition.workflow_data", "ambiguous_shape", "within an envelope"),
        (wrapped(workflow_data=INNER), "workflow_data", "ambiguous_shape", "leave out workflow_data or definition"),
        (wrapped(nodes=[]), "nodes", "ambiguous_shape", "a graph of nodes, and definition.tasks to a list of tasks"),
        (wrapped({"nodes": [{}]}, tasks=[NOOP]), "definition.nodes", "ambiguous_shape", "and tasks to a list of tasks"),
        (wrapped({**INNER, "nodes": [{}]}), "definition.nodes", "ambiguous_shape", "leave out nodes or tasks"),
    ],
)
def test_envelopes_that_cannot_be_opened(raw: Any, path: str, code: str, says: str) -> None:
    fault = refusal(raw)
    assert (fault.path, fault.code) == (path, code)
    assert says in f"{fault.message}; {fault.remedy}"


@pytest.mark.parametrize(
    ("raw", "path", "code"),
    [
        (wrapped({**INNER, "colour": 1}), "definition.colour", "unknown_field"),
        (wrapped(colour=1), "colour", "unknown_field"),
        (wrapped({}), "definition.tasks", "missing"),
        (wrapped({"tasks": []}), "definition.tasks", "value"),
        (wrapped({"tasks": [{"type": "nop"}]}), "definition.tasks[0].type", "unknown_type"),
        (wrapped(json.dumps({"tasks": [{"type": "nop"}]})), "definition.tasks[0].type", "unknown_type"),
        (wrapped({"tasks": [{"name": "a", "task_type": "x"}]}), "definition.tasks[0].task_type", "unknown_type"),
        (
            wrapped({"tasks": [{"name": "a", "task_type": "noop", "retry_count": -1}]}),
            "definition.tasks[0].retry_count", "value",
        ),
        (wrapped({"cron_expression": "x", **INNER}), "definition.cron_expression", "schedule"),
        (wrapped({"steps": {}, "start_step": "a"}), "definition.steps", "value"),
        (wrapped({"nodes": [{"type": "x"}]}), "definition.nodes[0].type", "unknown_type"),
        (wrapped(workflow(description=5)), "definition.description", "type"),
        (wrapped(variables=[1]), "variables", "type"),
        (triggered("CRON", {"cron_expression": "x"}), "triggers[0].configuration.cron_expression", "schedule"),
        (triggered("CRON", {"colour": 1, "cron": "* * * * *"}), "triggers[0].configuration.colour", "unknown_field"),
        (triggered("CRON", []), "triggers[0].configuration", "type"),
        (triggered("TIMER"), "triggers[0].trigger_type", "value"),
        (triggered(5), "triggers[0].trigger_type", "value"),
        (triggered("manual", is_active="no"), "triggers[0].is_active", "type"),
        (triggered("manual", colour=1), "triggers[0].colour", "unknown_field"),
    ],
)  # fmt: skip
def test_faults_name_what_was_written(raw: Any, path: str, code: str) -> None:
    fault = only(raw)
    assert (fault.path, fault.code) == (path, code)


@pytest.mark.parametrize("word", ["CRON", "cron", "Cron", "TRIGGER_CRON", " cron "])
def test_types_of_triggers_in_any_case(word: str) -> None:
    assert only_trigger(triggered(word, {"expression": "0 2 * * *"})) == {
        "type": "cron", "config": {"expression": "0 2 * * *"}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "given", "config"),
    [
        ("cron", {"cron_expression": "@daily", "tz": "UTC"}, {"expression": "@daily", "timezone": "UTC"}),
        ("cron", {"schedule": "@daily", "time_zone": None}, {"expression": "@daily"}),
        ("interval", {"interval_seconds": 90}, {"every": 90}),
        ("once", {"run_at": "2030-01-01T00:00"}, {"at": "2030-01-01T00:00"}),
        ("webhook", {"url_path": "a/b", "method": "PUT"}, {"path": "a/b", "methods": ["PUT"]}),
        ("webhook", {"webhook_path": "/x", "methods": ["GET"]}, {"path": "/x", "methods": ["GET"]}),
        ("webhook", {"path": "x", "require_auth": False}, {"path": "x"}),
        (
            "webhook", {"path": "x", "require_auth": True},
            {"path": "x", "authentication": {"type": "api_key", "value": "{{ secrets.webhook_api_key }}"}},
        ),
        (
            "webhook", {"require_auth": True, "auth": {"type": "api_key", "value": "{{ secrets.a }}"}},
            {"auth": {"type": "api_key", "value": "{{ secrets.a }}"}},
        ),
        ("event", {"event_types": ["a", "b"]}, {"event_type": ["a", "b"]}),
        ("email", {"email_filter": "from:a", "folder": "INBOX"}, {"email_filter": "from:a", "folder": "INBOX"}),
        ("github", {"repo": "a/b", "events": ["push"]}, {"repository": "a/b", "events": ["push"]}),
    ],
)  # fmt: skip
def test_names_in_configurations(kind: str, given: Any, config: Any) -> None:
    raw = triggered(kind.upper(), given)
    assert only_trigger(raw) == {"type": kind, "config": config}
    accepted(raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (triggered("CRON", {"expression": "a", "cron": "a"}), "triggers[0].configuration.cron"),
        (triggered("webhook", {"path": "a", "url_path": "a"}), "triggers[0].configuration.url_path"),
        (
            triggered("webhook", {"require_auth": True, "authentication": {"type": "none"}}),
            "triggers[0].configuration.require_auth",
        ),
        (
            triggered("webhook", {"require_auth": False, "authentication": {"type": "basic"}}),
            "triggers[0].configuration.require_auth",
        ),
        (triggered("manual", type="manual"), "triggers[0].trigger_type"),
        (triggered("manual", {}, config={}), "triggers[0].configuration"),
        (triggered("manual", is_active=True, enabled=False), "triggers[0].is_active"),
    ],
)
def test_one_thing_said_twice(raw: Any, path: str) -> None:
    fault = refusal(raw)
    assert (fault.path, fault.code) == (path, "contradiction")


def test_require_auth_is_true_or_false() -> None:
    fault = refusal(triggered("webhook", {"require_auth": "yes"}))
    assert (fault.path, fault.code) == ("triggers[0].configuration.require_auth", "type")


def test_a_trigger_that_is_not_active_is_not_enabled() -> None:
    assert only_trigger(triggered("manual", is_active=False)) == {"type": "manual", "enabled": False}
    assert only_trigger(triggered("manual", is_active=True)) == {"type": "manual"}


def test_triggers_that_do_not_fire_yet_are_told() -> None:
    warnings = accepted(triggered("EMAIL", {"email_filter": "from:a"})).warnings
    assert warnings == ("trigger `email` (email) is stored and does not fire in this release",)


def test_a_trigger_called_cron_is_changed_by_the_short_word() -> None:
    given = [{"id": "cron", "trigger_type": "CRON", "configuration": {"cron": "* * * * *", "timezone": "UTC"}}]
    made = rewritten(wrapped({**INNER, "cron_expression": "@daily"}, triggers=given))["triggers"]
    assert made == [{"id": "cron", "type": "cron", "config": {"expression": "@daily", "timezone": "UTC"}}]


def test_the_words_of_triggers_may_stand_in_any_shape() -> None:
    assert canonical(workflow(triggers=[{"trigger_type": "MANUAL"}]))["triggers"] == [
        {"id": "manual", "type": "manual"}
    ]
    assert place(workflow(triggers=[{"trigger_type": "MANUAL"}]), "triggers[0].type") == "triggers[0].trigger_type"


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [{**INNER, "is_active": False}, json.dumps({**INNER, "is_active": False})])
def test_what_an_inner_definition_says_about_the_request_counts(inner: Any) -> None:
    given, options = split(wrapped(inner))
    assert options.status == "paused"
    assert rewritten(given) == {"name": "w", **INNER}


def test_inner_and_outer_words_about_the_request_may_not_differ() -> None:
    given, options = split(wrapped({**INNER, "is_active": False}, is_active=True))
    assert options.status == "active"
    fault = refusal(given)
    assert (fault.path, fault.code) == ("definition.is_active", "contradiction")


def test_faults_of_inner_words_about_the_request_name_their_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        split(wrapped({**INNER, "is_active": "yes"}))
    assert [fault.path for fault in caught.value.faults] == ["definition.is_active"]


STORED = {
    "name": "w",
    "description": "d",
    "triggers": [{"id": "cron", "type": "cron", "config": {"expression": "0 1 * * *"}}],
    "tasks": [NOOP],
}


def test_a_change_in_an_envelope_takes_the_place_of_what_is_stored() -> None:
    made = changed(STORED, {"definition": {"name": "v", "tasks": [{"id": "b", "type": "noop"}]}})
    assert made == {**STORED, "name": "v", "tasks": [{"id": "b", "type": "noop"}]}


def test_a_change_around_no_definition_changes_what_it_says() -> None:
    made = changed(STORED, {"triggers": [{"trigger_type": "MANUAL"}], "description": None})
    assert made == {"name": "w", "triggers": [{"type": "manual"}], "tasks": [NOOP]}


def test_short_words_in_an_envelope_change_what_they_once_made() -> None:
    made = changed(STORED, {"definition": {"cron_expression": "@daily"}})
    assert made == {**STORED, "triggers": [{"id": "cron", "type": "cron", "config": {"expression": "@daily"}}]}
    assert "triggers" not in changed(STORED, {"definition": {"cron_expression": None, "tasks": [NOOP]}})


def test_a_change_that_contradicts_itself_is_refused() -> None:
    fault = refusal(merged(STORED, {"name": "u", "definition": {"name": "v"}}))
    assert (fault.path, fault.code) == ("definition.name", "contradiction")


def test_steps_or_nodes_in_an_envelope_take_the_place_of_stored_tasks() -> None:
    steps = {"start_step": "a", "steps": {"a": {"agent_name": "x"}}}
    assert [task["type"] for task in changed(STORED, {"definition": steps})["tasks"]] == ["agent"]
    nodes = {"nodes": [{"type": "TRIGGER_NODE", "subtype": "TRIGGER_MANUAL"}, {"type": "log"}]}
    made = changed(STORED, {"definition_json": json.dumps(nodes)})
    assert [trigger["type"] for trigger in made["triggers"]] == ["manual"]
    assert [task["type"] for task in made["tasks"]] == ["log"]
