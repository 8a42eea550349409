"""The published JSON Schema of definitions, for editors and other tools: the model, and the config of each task
type and trigger type.

Where the config of a task is used, an expression may stand for a value of any type; the schema allows a text with `{{`
there.
"""

from collections.abc import Callable, Mapping
from typing import Any

from millrace.core.controls import TASKS
from millrace.core.values import JsonObject
from millrace.definition.controls.kinds import KINDS, OF_WORKERS, ControlKind
from millrace.definition.model import CASES, NESTED, Canonical
from millrace.ports.runner import AnyRunner, ConfigModel
from millrace.ports.trigger import TriggerTypes

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXPRESSION = {"type": "string", "pattern": r"\{\{", "description": "An expression whose value is used."}


def definition_json_schema(task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes) -> JsonObject:
    """JSON Schema (2020-12) of the canonical shape with the task types and trigger types of this installation."""
    schema = Canonical.model_json_schema(ref_template="#/$defs/{model}", mode="validation")
    parts: dict[str, Any] = schema["$defs"]
    configs = [
        _config_of(name, f"{name.capitalize()}Config", runner.config_model, parts, _with_expressions)
        for name, runner in sorted(task_types.items())
    ]
    configs += [_control(name, kind, parts) for name, kind in sorted(KINDS.items())]
    for kind_of_task in ("Task", "MainTask"):
        parts[kind_of_task]["properties"]["type"]["enum"] = sorted({*task_types, *KINDS})
        parts[kind_of_task]["allOf"] = [*configs, _BY_WHOM]
    parts["Trigger"]["allOf"] = [
        _config_of(name, f"{name.capitalize()}TriggerConfig", kind.config_model, parts, _as_it_is)
        for name, kind in sorted(trigger_types.items())
    ]
    return {"$schema": DIALECT, **schema, "title": "Millrace workflow"}


_BY_WHOM: dict[str, Any] = {
    "if": {"properties": {"type": {"enum": sorted(KINDS)}}, "required": ["type"]},
    "then": {"properties": dict.fromkeys(OF_WORKERS, False)},
    "else": {"properties": dict.fromkeys(NESTED, False)},
}
"""What tasks that workers run take, and control tasks do not, and the other way round."""


def _control(name: str, kind: ControlKind, parts: dict[str, Any]) -> dict[str, Any]:
    """What a control task of one type must be: its config, and the lists of tasks that it takes."""
    prefix = f"{name.title().replace('_', '')}TaskConfig"
    found = _config_of(name, prefix, kind.config, parts, _adapted(kind))
    then = found["then"]
    then["properties"].update(dict.fromkeys((field for field in NESTED if field not in kind.blocks), False))
    first = kind.blocks[0] if kind.blocks else None
    if kind.needed and first in (TASKS, CASES):
        then["properties"][first] = {"minItems": 1} if first == TASKS else {"minProperties": 1}
        then["required"] = [*then["required"], first]
    elif kind.needed:
        then["anyOf"] = [{"required": [field], "properties": {field: {"minItems": 1}}} for field in kind.blocks]
    return found


def _adapted(kind: ControlKind) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The schema of a config: an expression may stand for the value of any field but those that are fixed."""

    def adapted(schema: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        fixed = {name: part for name, part in properties.items() if name in (*kind.fixed, *kind.expressions)}
        wide = _with_expressions(schema)
        return {**wide, "properties": {**wide.get("properties", {}), **fixed}} if fixed else wide

    return adapted


def _config_of(
    name: str, prefix: str, model: ConfigModel, parts: dict[str, Any], adapted: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    """What `config` must be for tasks or triggers of one type; its parts join the others under names of their own."""
    own = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    for part, schema in own.pop("$defs", {}).items():
        parts[f"{prefix}.{part}"] = adapted(schema)
    parts[prefix] = adapted(own)
    required = ["config"] if own.get("required") or own.get("anyOf") else []
    return {
        "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
        "then": {"properties": {"config": {"$ref": f"#/$defs/{prefix}"}}, "required": required},
    }


def _as_it_is(schema: dict[str, Any]) -> dict[str, Any]:
    return schema


def _with_expressions(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a mapping whose fields may be expressions."""
    properties = schema.get("properties")
    if properties is None:
        return schema
    return {**schema, "properties": {name: _or_expression(part) for name, part in properties.items()}}


def _or_expression(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "string" and "enum" not in schema and "pattern" not in schema and "const" not in schema:
        return schema
    described: dict[str, Any] = {
        key: schema[key] for key in ("title", "description", "default", "examples") if key in schema
    }
    # `discriminator` is OpenAPI's; JSON Schema finds the member of a union by trying.
    inner = {key: value for key, value in schema.items() if key not in described and key != "discriminator"}
    for keyword in ("items", "additionalProperties"):
        if isinstance(inner.get(keyword), dict):
            inner[keyword] = _or_expression(inner[keyword])
    return {**described, "anyOf": [inner, EXPRESSION]} if inner else schema
