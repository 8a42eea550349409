"""The OpenAPI document: what the framework finds, and what it cannot know — the schema of definitions, the errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from millrace.api import cookies
from millrace.api.schemas.system import Problem
from millrace.api.schemas.versions import TASK_OPTIONS
from millrace.api.schemas.workflows import SHORT_WORDS, WORKFLOW_OPTIONS
from millrace.core.values import JsonObject
from millrace.definition import definition_json_schema
from millrace.ports.runner import RunnerRegistry
from millrace.ports.trigger import TriggerTypes

DESCRIPTION = """Send an API key in the header `X-API-Key`, or an access token as `Authorization: Bearer`.
Bodies are JSON or YAML. Lists answer
`{"items", "next_cursor"}`; pass `next_cursor` on as `cursor`. Errors are problem documents (RFC 9457) with a stable
`code` and, for faulty requests, `faults` that say where, what is wrong and what would be right."""

SESSION_COOKIE = "SessionCookie"
COMPONENTS = "#/components/schemas/"
PARTS = "#/$defs/"


def describe(app: FastAPI, runners: RunnerRegistry, trigger_types: TriggerTypes) -> None:
    """Make `app.openapi()` answer the whole document; made at the first request for it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, _definition(runners, trigger_types))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _name_cookie(document: dict[str, Any]) -> None:
    """A login in a browser is the third way in, which is looked for only where the others are not sent."""
    document["components"]["securitySchemes"][SESSION_COOKIE] = {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.NAME,
        "description": "The session of POST /api/v1/auth/login or of a login provider. "
        f"Over https the cookie is called {cookies.SECURE_NAME}.",
    }
    for item in document["paths"].values():
        for operation in item.values():
            if "security" in operation:
                operation["security"].append({SESSION_COOKIE: []})


def _document(app: FastAPI, definition: dict[str, Any]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definition)
    schemas.update(_bodies(definition))
    schemas["Problem"] = {**Problem.model_json_schema(ref_template=COMPONENTS + "{model}")}
    schemas.update(schemas["Problem"].pop("$defs", {}))
    _name_cookie(document)
    problem = {
        "description": "A problem document",
        "content": {"application/problem+json": {"schema": {"$ref": f"{COMPONENTS}Problem"}}},
    }
    document["paths"] = _relocated(_hoisted(document["paths"], schemas))
    for path, item in document["paths"].items():
        for operation in item.values():
            responses = operation["responses"]
            responses.pop("422", None)
            if path.startswith("/api/"):
                responses["default"] = problem
    return document


def _bodies(definition: dict[str, Any]) -> dict[str, Any]:
    """What requests take: definitions and tasks with the options that stand beside their fields, whole or in part."""
    workflow = _with_options(definition["Definition"], WORKFLOW_OPTIONS)
    task = _with_options(definition["MainTask"], TASK_OPTIONS)
    return {
        "WorkflowBody": workflow,
        "WorkflowChange": {**_with_options(workflow, SHORT_WORDS), "required": []},
        "TaskBody": task,
        "TaskChange": {**task, "required": []},
    }


def _with_options(schema: dict[str, Any], options: JsonObject) -> dict[str, Any]:
    return {**schema, "properties": {**schema["properties"], **options}}


def _definition(runners: RunnerRegistry, trigger_types: TriggerTypes) -> dict[str, Any]:
    """The schema of definitions with its parts as components of their own."""
    schema = _relocated(definition_json_schema(runners.types(), trigger_types))
    parts = schema.pop("$defs", {})
    schema.pop("$schema", None)
    return {**parts, "Definition": schema}


def _hoisted(value: Any, schemas: dict[str, Any]) -> Any:
    """`value` without the parts that schemas of bodies bring along: these join the components."""
    if isinstance(value, dict):
        schemas.update(_relocated(value.get("$defs", {})))
        return {key: _hoisted(item, schemas) for key, item in value.items() if key != "$defs"}
    return [_hoisted(item, schemas) for item in value] if isinstance(value, list) else value


def _relocated(value: Any) -> Any:
    """With references, also those that tell kinds apart, to where the parts are here."""
    if isinstance(value, str):
        return f"{COMPONENTS}{value.removeprefix(PARTS)}" if value.startswith(PARTS) else value
    if isinstance(value, dict):
        return {key: _relocated(item) for key, item in value.items()}
    return [_relocated(item) for item in value] if isinstance(value, list) else value
