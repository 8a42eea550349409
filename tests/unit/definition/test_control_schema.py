"""The published JSON Schema of control tasks, which is of one mind with validation on what editors can check."""

import json
from typing import Any

import pytest

from millrace.core.controls import CONTROL_TYPES
from millrace.definition import CONTROL_CONFIGS
from millrace.definition.controls.kinds import KINDS
from millrace.definition.model import NESTED
from tests.unit.definition.example import faults, task, workflow
from tests.unit.definition.test_control_tasks import GOOD, INNER, OTHER, control
from tests.unit.definition.test_json_schema import SCHEMA, errors


@pytest.mark.parametrize("name", GOOD)
def test_it_takes_what_is_accepted(name: str) -> None:
    assert errors(workflow(GOOD[name])) == []
    if "on_rollback" not in GOOD[name]:
        assert errors({**workflow(), "finally": [task("x", "parallel", tasks=[GOOD[name]])]}) == []


BAD: dict[str, dict[str, Any]] = {
    "a loop without tasks": control("foreach", tasks=...),
    "a loop with no tasks": control("while", tasks=[]),
    "a field of another type": control("foreach", then=[OTHER]),
    "a block of a task of a worker": task("a", then=[OTHER]),
    "a condition without branches": control("condition", then=...),
    "a condition with empty branches": control("condition", then=[], else_=[]),
    "a condition with a default": control("condition", default=[OTHER]),
    "a switch without cases": control("switch", cases=...),
    "a switch with no cases": control("switch", cases={}),
    "a case that is no list": control("switch", cases={"eu": INNER}),
    "retry on a loop": control("foreach", retry={"max_attempts": 3}),
    "a queue on a sleep": control("sleep", queue="q"),
    "items that are no list": control("foreach", config={"items": 3}),
    "items that are text": control("foreach", config={"items": "a"}),
    "a condition that is no expression": control("while", config={"condition": "index < 3"}),
    "a limit by expression": control("while", config={"condition": "{{ true }}", "max_iterations": "{{ input.x }}"}),
    "a wait for nothing": control("wait_for_event", config={}),
    "an unknown field of a config": control("sleep", config={"duration": 1, "seconds": 1}),
    "a bad task deep inside": control("condition", then=[control("foreach", id="b", tasks=[task("c", "log")])]),
    "capitals in a type": task("a", "forEach", config={"items": [1]}, tasks=[INNER]),
    "items beside the config": {"id": "a", "type": "foreach", "items": [1], "tasks": [INNER]},
    "tasks in the config": task("a", "foreach", config={"items": [1], "tasks": [INNER]}),
    "else in the config": task("a", "condition", config={"if": True, "else": [OTHER]}, then=[INNER]),
    "a condition whose question stands beside": task("a", "condition", if_="{{ input.x }}", then=[INNER]),
    "a limit of time in the config": control("wait_for_event", config={"type": "a.b", "timeout": "1h"}),
    "branches of a parallel": task("a", "parallel", branches=[[INNER], [OTHER]]),
    "tasks of a parallel by name": task("a", "parallel", tasks={"x": INNER}),
    "an unknown decision": control("approval", config={"message": "Go on?", "default": "yes"}, timeout="1h"),
    "a sub-workflow without a name": control("sub_workflow", config={"input": {}}),
    "a signal to nobody": control("signal", config={"name": "go_on"}),
    "a rollback deep inside": control("sequential", tasks=[{**INNER, "on_rollback": [OTHER]}]),
}


@pytest.mark.parametrize("name", BAD)
def test_it_refuses_what_is_refused(name: str) -> None:
    assert faults(workflow(BAD[name]))
    assert errors(workflow(BAD[name]))


def test_all_types_are_among_those_to_choose_from() -> None:
    parts: Any = SCHEMA["$defs"]
    for part in ("Task", "MainTask"):
        assert set(parts[part]["properties"]["type"]["enum"]) >= CONTROL_TYPES | {"http"}
        assert parts[part]["properties"]["then"]["description"]


@pytest.mark.parametrize("kind", sorted(CONTROL_TYPES))
def test_an_editor_knows_the_fields_of_a_type_and_what_they_mean(kind: str) -> None:
    parts: Any = SCHEMA["$defs"]
    (rule,) = [rule for rule in parts["Task"]["allOf"] if rule["if"]["properties"]["type"].get("const") == kind]
    config = parts[rule["then"]["properties"]["config"]["$ref"].removeprefix("#/$defs/")]
    assert config["properties"].keys() == {
        field.alias or name for name, field in CONTROL_CONFIGS[kind].model_fields.items()
    }
    assert all(about.get("description") for about in config["properties"].values())
    refused = {field for field in NESTED if rule["then"]["properties"].get(field) is False}
    assert refused.isdisjoint(KINDS[kind].blocks)
    assert refused | set(KINDS[kind].blocks) == set(NESTED)


def test_an_editor_offers_the_values_to_choose_from() -> None:
    parts: Any = SCHEMA["$defs"]
    shown = json.dumps(parts["ApprovalTaskConfig"]["properties"]["default"])
    assert all(f'"{choice}"' in shown for choice in ("approve", "reject"))
    assert parts["ForeachTaskConfig"]["properties"]["concurrency"]["maximum"] == 10_000
