"""What holds for all shapes: a canonical definition that is written in another shape comes back as it was; and whatever
is sent, the rewritings tell faults and never break.
"""

import json
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.definition.faults import FaultList
from millrace.definition.shapes.accepted import to_canonical
from tests.unit.definition.example import canonical, faults
from tests.unit.definition.rewriting import rewritten

LONG = timedelta(seconds=5)

_NAMES = st.text("ab ", min_size=1, max_size=4).filter(str.strip)
_IDS = st.sampled_from(["a", "b", "c", "load", "x_1"])
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab{}' \\", max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("kl"), inner, max_size=2),
    max_leaves=4,
)
_AROUND = st.fixed_dictionaries(
    {"name": _NAMES},
    optional={
        "description": st.just("d"),
        "labels": st.dictionaries(st.sampled_from("xy"), st.just("z"), min_size=1),
        "variables": st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), min_size=1),
        "timeout": st.just("30s"),
        "concurrency": st.just({"limit": 2}),
    },
)
_OF_TASKS = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.just("5s"),
        "retry": st.just({"max_attempts": 2}),
        "allow_failure": st.just(True),
        "if": st.sampled_from([False, "{{ input.x }}"]),
    },
)
_TRIGGERS = st.lists(
    st.sampled_from(
        [
            {"type": "cron", "config": {"expression": "0 2 * * *", "timezone": "UTC"}},
            {"type": "manual", "config": {"require_confirmation": True}},
            {"type": "manual", "enabled": False},
            {"type": "webhook", "config": {"path": "a", "methods": ["PUT"]}},
            {"type": "email", "config": {"email_filter": "from:a"}},
            {"type": "github", "config": {"repository": "a/b", "events": ["push"]}},
        ]
    ),
    max_size=3,
).map(lambda triggers: [{"id": f"t{number}", **one} for number, one in enumerate(triggers)])


def _with(around: Any, tasks: Any, triggers: Any) -> dict[str, Any]:
    return {**around, **({"triggers": triggers} if triggers else {}), "tasks": tasks}


@st.composite
def _graphs(draw: st.DrawFn) -> dict[str, Any]:
    """A canonical definition whose tasks say what goes before them."""
    tasks: list[dict[str, Any]] = []
    for task_id in draw(st.lists(_IDS, unique=True, min_size=1)):
        before = [task["id"] for task in tasks if draw(st.booleans())]
        made = draw(
            st.sampled_from(
                [
                    {"type": "noop"},
                    {"type": "transform", "config": {"output": "{{ input.a }}"}},
                    {"type": "shell", "config": {"command": "true", "env": {"A": "b"}}},
                    {"type": "http", "config": {"url": "https://example.com", "method": "POST", "body": {"json": {}}}},
                ]
            )
        )
        tasks.append({"id": task_id, **made, "depends_on": before, **draw(_OF_TASKS)})
    return _with(draw(_AROUND), tasks, draw(_TRIGGERS))


@st.composite
def _chains(draw: st.DrawFn) -> dict[str, Any]:
    """A canonical definition of agent tasks that follow each other."""
    tasks: list[dict[str, Any]] = []
    for task_id in draw(st.lists(_IDS, unique=True, min_size=1)):
        config: dict[str, Any] = {"agent": draw(_NAMES)}
        values = st.sampled_from(["{{ input.x }}", *(f"{{{{ tasks.{task['id']}.output.y }}}}" for task in tasks)])
        literals = _VALUE.map(_escaped)
        if draw(st.booleans()):
            config["input"] = draw(st.dictionaries(st.sampled_from("kl"), values | literals, max_size=2))
        needs = {"depends_on": [tasks[-1]["id"]]} if tasks else {}
        tasks.append({"id": task_id, "type": "agent", "config": config, **needs, **draw(_OF_TASKS)})
    return _with(draw(_AROUND), tasks, draw(_TRIGGERS))


def _escaped(value: Any) -> Any:
    """A literal as it stands in a canonical config."""
    match value:
        case str():
            return value.replace("{{", "{{{{")
        case list():
            return [_escaped(item) for item in value]
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
    return value


def _unescaped(value: Any) -> Any:
    match value:
        case str():
            return value.replace("{{{{", "{{")
        case list():
            return [_unescaped(item) for item in value]
        case dict():
            return {key: _unescaped(item) for key, item in value.items()}
    return value


def _as_mapped(value: Any) -> Any:
    """A value of a canonical config as `input_mapping` has it."""
    if not isinstance(value, str):
        return _unescaped(value)
    if value.startswith("{{ ") and value.endswith(" }}"):
        return value[3:-3].replace("tasks.", "steps.")
    text = _unescaped(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" if "\\" in text or "'" in text else f"'{text}'"


def as_steps(definition: dict[str, Any]) -> dict[str, Any]:
    tasks = definition["tasks"]
    steps: dict[str, Any] = {}
    for number, task in enumerate(tasks):
        step = {key: value for key, value in task.items() if key not in ("type", "config", "depends_on")}
        step["agent_name"] = task["config"]["agent"]
        if number + 1 < len(tasks):
            step["next_step"] = tasks[number + 1]["id"]
        if "input" in task["config"]:
            step["input_mapping"] = {key: _as_mapped(value) for key, value in task["config"]["input"].items()}
        steps[task["id"]] = step
    around = {key: value for key, value in definition.items() if key != "tasks"}
    return {**around, "start_step": tasks[0]["id"], "steps": dict(sorted(steps.items()))}


def as_nodes(definition: dict[str, Any], *, listed: bool) -> dict[str, Any]:
    triggers = definition.get("triggers", [])
    nodes = [_trigger_node(trigger) for trigger in triggers]
    ways = []
    for task in definition["tasks"]:
        node = {key: value for key, value in task.items() if key not in ("type", "config", "depends_on")}
        nodes.append({**node, "node_type": task["type"].upper(), "parameters": task.get("config")})
        ways += [(need, task["id"]) for need in task["depends_on"]]
        if triggers and not task["depends_on"]:
            ways.append((triggers[0]["id"], task["id"]))
    around = {key: value for key, value in definition.items() if key not in ("tasks", "triggers")}
    if listed:
        return {**around, "nodes": nodes, "connections": [{"source": one, "target": other} for one, other in ways]}
    outputs: dict[str, Any] = {}
    for one, other in ways:
        outputs.setdefault(one, {"main": [[]]})["main"][0].append({"node": other, "type": "main", "index": 0})
    return {**around, "nodes": nodes, "connections": outputs}


def _trigger_node(trigger: dict[str, Any]) -> dict[str, Any]:
    subtype = f"TRIGGER_{trigger['type'].upper()}"
    node = {"id": trigger["id"], "node_type": "TRIGGER_NODE", "subtype": subtype, "parameters": trigger.get("config")}
    return node if trigger.get("enabled", True) else {**node, "disabled": True}


def as_envelope(definition: dict[str, Any], *, text: bool, outside: set[str]) -> dict[str, Any]:
    outer = {key: value for key, value in definition.items() if key in outside}
    inner = {key: value for key, value in definition.items() if key not in outside}
    if "triggers" in outer:
        outer["triggers"] = [
            {
                "id": trigger["id"],
                "trigger_type": trigger["type"].upper(),
                "is_active": trigger.get("enabled", True),
                **({"configuration": trigger["config"]} if "config" in trigger else {}),
            }
            for trigger in outer["triggers"]
        ]
    return {**outer, **({"definition_json": json.dumps(inner)} if text else {"definition": inner})}


@settings(max_examples=150, deadline=LONG)
@given(_chains())
def test_a_chain_of_agents_comes_back_from_linked_steps(definition: Any) -> None:
    made = rewritten(as_steps(definition))
    for task in [*made["tasks"], *definition["tasks"]]:
        task["config"].setdefault("input", {})
        task["config"]["input"] = {key: _plain(value) for key, value in task["config"]["input"].items()}
    assert made == definition


def _plain(value: Any) -> Any:
    """A text in quotes that is left to the expression language, because of what is in it, as the text itself."""
    if isinstance(value, str) and value.startswith("{{ '") and value.endswith("' }}"):
        return _escaped(value[4:-4].replace("\\'", "'").replace("\\\\", "\\"))
    return value


@settings(max_examples=150, deadline=LONG, suppress_health_check=[HealthCheck.too_slow])
@given(_graphs(), st.booleans())
def test_a_graph_of_tasks_comes_back_from_nodes(definition: Any, listed: bool) -> None:
    connected = any(task["depends_on"] for task in definition["tasks"]) or "triggers" in definition
    expected = canonical(definition)
    if not connected and len(expected["tasks"]) > 1:
        return
    if not connected:
        expected["tasks"][0].pop("depends_on")
    assert in_any_order(canonical(as_nodes(definition, listed=listed))) == in_any_order(expected)


def in_any_order(definition: Any) -> Any:
    """Connections have no order among those that lead to one node."""
    tasks = [{**task, "depends_on": sorted(task["depends_on"])} for task in definition["tasks"] if "depends_on" in task]
    others = [task for task in definition["tasks"] if "depends_on" not in task]
    return {**definition, "tasks": [*tasks, *others]}


@settings(max_examples=150, deadline=LONG)
@given(_graphs() | _chains(), st.booleans(), st.sets(st.sampled_from(["name", "description", "variables", "triggers"])))
def test_any_definition_comes_back_from_an_envelope(definition: Any, text: bool, outside: set[str]) -> None:
    assert rewritten(as_envelope(definition, text=text, outside=outside)) == definition


@settings(max_examples=100, deadline=LONG)
@given(_chains(), st.booleans())
def test_linked_steps_in_an_envelope_are_the_same_steps(definition: Any, text: bool) -> None:
    steps = as_steps(definition)
    assert rewritten(as_envelope(steps, text=text, outside={"name", "variables"})) == rewritten(steps)


_TEXTS = st.sampled_from(
    [
        "a", "b", "main", "TRIGGER_NODE", "TRIGGER_CRON", "HTTP", "IF", "steps.a.output", "{{ input.x }}", "'x'", "",
        "tasks", "true", "1 +", "cron",
    ]
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        "id", "name", "start_step", "steps", "agent_name", "next_step", "input_mapping", "definition", "workflow_data",
        "definition_json", "triggers", "trigger_type", "configuration", "is_active", "variables", "nodes", "node_type",
        "type", "subtype", "parameters", "connections", "main", "node", "from", "to", "output", "disabled", "condition",
        "tasks", "a", "b", "require_auth", "methods",
    ]
)  # fmt: skip
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=600, deadline=LONG)
@given(st.dictionaries(_KEYS, _ANYTHING, max_size=6))
def test_whatever_is_sent_is_rewritten_or_told_about(raw: Any) -> None:
    found = FaultList()
    made = to_canonical(raw, found)
    assert made is not None or found
    for fault in faults(raw):
        assert fault.message


@settings(max_examples=300, deadline=LONG)
@given(st.dictionaries(_KEYS, _ANYTHING, max_size=6), st.dictionaries(_KEYS, _ANYTHING, max_size=4))
def test_a_rewriting_changes_nothing_that_it_was_given(raw: Any, around: Any) -> None:
    given_raw = {**around, "nodes": raw.get("a"), "steps": raw.get("b"), **raw}
    before = json.dumps(given_raw)
    to_canonical(given_raw, FaultList())
    assert json.dumps(given_raw) == before
