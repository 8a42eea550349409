"""Request bodies and answers: JSON or YAML in, JSON out.

Bodies are read here and not by the framework, so that both formats, all errors and all limits are the same everywhere,
and so that large answers go out as they are stored.
"""

import re
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from millrace.api.masking import Answer
from millrace.app.cursors import Page
from millrace.app.request_faults import of_body
from millrace.core.errors import Fault, InvalidRequest, Unreadable
from millrace.core.values import JsonObject, JsonValue
from millrace.definition import read_json, read_yaml

YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
JSON_TYPE = "application/json"

ModelT = TypeVar("ModelT", bound=BaseModel)

_PLACE = re.compile(r" at line \d+, column \d+$")


async def document(request: Request) -> JsonValue:
    """The body as JSON values. Raises `Unreadable` when it is neither JSON nor YAML, and `TooLarge`."""
    body = await received(request)
    media_type = request.headers.get("Content-Type", JSON_TYPE).partition(";")[0].strip().lower()
    if media_type in YAML_TYPES:
        return read_yaml(_text(body))
    if media_type == JSON_TYPE or media_type.endswith("+json"):
        return read_json(_text(body), "the body")
    raise Unreadable(
        "unsupported_media_type",
        f"the body is {media_type[:100] or 'of no type'}; send Content-Type: {JSON_TYPE} or application/yaml",
    )


async def checked(request: Request, model: type[ModelT]) -> ModelT:
    """The body as `model`; no body is the same as an empty mapping."""
    return fitting(await mapping(request), model)


async def mapping(request: Request) -> JsonObject:
    """The body as it was sent, for a route whose model depends on it. Raises `InvalidRequest` for another value."""
    given = await document(request) if await received(request) else {}
    if given is None:
        given = {}
    if not isinstance(given, dict):
        fault = Fault("", "type", "the body is not a mapping", 'send {"key": value, …}')
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return given


def fitting(given: JsonObject, model: type[ModelT]) -> ModelT:
    """Raises `InvalidRequest` with all that is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = of_body(given, error.errors(include_url=False, include_input=False), model=model)
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults) from None


async def checked_in_private(request: Request, model: type[ModelT]) -> ModelT:
    """As `checked`, for bodies with secrets: what cannot be read is not repeated, not even the word it breaks at."""
    try:
        return await checked(request, model)
    except Unreadable as error:
        if error.code != "unreadable":
            raise
        place = _PLACE.search(error.message)
        message = "the body is not the JSON or YAML that is taken here" + (place[0] if place else "")
        raise Unreadable("unreadable", f"{message}; put the value in quotes") from None


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Answer(orjson.dumps(content), status, headers, JSON_TYPE)


def page_answer(page: Page[Any]) -> Response:
    return answer({"items": page.items, "next_cursor": page.next_cursor})


def request_body(schema: JsonObject, example: JsonValue, *, required: bool = True) -> dict[str, Any]:
    """The OpenAPI description of a body that `document` or `checked` reads."""
    described = {"schema": schema, "example": example}
    return {"requestBody": {"required": required, "content": {JSON_TYPE: described, "application/yaml": described}}}


async def received(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:
        raise Unreadable("incomplete", "the connection ended before the body did") from None


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("unreadable", f"the body is not UTF-8 text; byte {error.start} is wrong") from None
