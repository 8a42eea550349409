"""Every shape through all of validation, with task types that an installation may or may not have yet."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from millrace.core.plan import Plan
from millrace.definition import InvalidDefinition, compile_plan, validate
from millrace.ports.runner import AnyRunner, ConfigModel
from millrace.triggers.registry import TRIGGER_TYPES
from tests.unit.definition.example import registry
from tests.unit.definition.test_linked_steps import CANONICAL as CHAIN
from tests.unit.definition.test_linked_steps import WHOLE as STEPS


class AgentConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    agent: str
    input: dict[str, Any] = {}


class Agent:
    """What a task type for agents takes, and no more: nothing is run here."""

    type: ClassVar[str] = "agent"
    summary: ClassVar[str] = "Calls an agent."
    config_model: ClassVar[ConfigModel] = AgentConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()


AGENT: AnyRunner = Agent()  # type: ignore[assignment]


def validated(raw: Any) -> dict[str, Any]:
    return validate(raw, task_types=types(), trigger_types=TRIGGER_TYPES).canonical


def types() -> dict[str, AnyRunner]:
    return {"agent": AGENT, **registry().types()}


def plan(raw: Any) -> Plan:
    return compile_plan(validate(raw, task_types=types(), trigger_types=TRIGGER_TYPES).definition)


def told(raw: Any) -> list[tuple[str, str]]:
    try:
        validated(raw)
    except InvalidDefinition as error:
        return [(fault.path, fault.code) for fault in error.faults]
    return []


def test_linked_steps_become_a_valid_definition() -> None:
    assert validated(STEPS) == CHAIN
    assert validated(CHAIN) == CHAIN
    assert plan(STEPS).tasks["decide"].needs == ("read",)


def test_linked_steps_in_an_envelope() -> None:
    assert validated({"name": "Review", "definition": {**STEPS, "name": None}}) == CHAIN


def test_faults_that_are_found_later_name_the_steps() -> None:
    steps = {
        "a": {"agent_name": "x", "next_step": "b", "input_mapping": {"k": "variables.nothing"}, "timeout": "soon"},
        "b": {"agent_name": "x", "input_mapping": {"k": "steps.a.result", "l": "upper(1, 2)"}, "colour": 1},
    }
    assert told({"name": "w", "variables": {}, "start_step": "a", "steps": steps}) == [
        ("steps.a.input_mapping.k", "unknown_name"),
        ("steps.a.timeout", "duration"),
        ("steps.b.input_mapping.k", "unknown_name"),
        ("steps.b.input_mapping.l", "expression"),
        ("steps.b.colour", "unknown_field"),
    ]


def test_a_faulty_step_is_told_once() -> None:
    assert told({"name": "w", "start_step": "a", "steps": {"a": {}}}) == [("steps.a.agent_name", "missing")]


def test_agents_in_a_graph() -> None:
    raw = {"name": "w", "nodes": [{"id": "a", "node_type": "AI_AGENT_NODE", "parameters": {"agent_name": "x"}}]}
    assert validated(raw)["tasks"] == [{"id": "a", "type": "agent", "config": {"agent": "x"}}]
    raw["nodes"][0]["parameters"] = {"agent_name": 5}  # type: ignore[index]
    assert told(raw) == [("nodes[0].parameters.agent_name", "type")]
