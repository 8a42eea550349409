"""Events as requests bring them: Millrace's own JSON, or a CloudEvent 1.0 in one of the three modes of HTTP.

structured  the whole event is the body         `application/cloudevents+json`
batch       a list of whole events              `application/cloudevents-batch+json`
binary      the attributes are headers `ce-…`, and the body is the data, of any type

Data that is not JSON is kept as text, or as base64 where it is no text; `extensions.data_encoding` says so then. No
attribute of a CloudEvent can have this name, for it has an underscore.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from fastapi import Request
from pydantic import ValidationError

from millrace.api.bodies import document, received
from millrace.api.queries import instant
from millrace.api.schemas.events import CloudEventBody, EventBody
from millrace.app.events.receiving import MOST_AT_ONCE, NewEvent
from millrace.app.request_faults import of_body
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, JsonValue

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PREFIX: Final = "ce-"
VERSION: Final = "ce-specversion"
KEPT: Final = ("datacontenttype", "dataschema")
"""Attributes that are shown among the extensions, for events have no fields for them."""

_NAME = re.compile(r"[a-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Incoming:
    events: Sequence[NewEvent]
    batch: bool = False


async def incoming(request: Request) -> Incoming:
    """The events of a request. Raises `InvalidRequest`, `Unreadable` and `TooLarge`."""
    media_type = _media_type(request)
    if media_type == BATCH:
        return Incoming(_all_of(await document(request)), batch=True)
    if media_type == STRUCTURED:
        return Incoming([_cloud_event(_mapping(await document(request), ""), "")])
    if VERSION in request.headers:
        return Incoming([await _binary(request, media_type)])
    given = _mapping(await document(request), "")
    try:
        body = EventBody.model_validate(given)
    except ValidationError as error:
        raise _invalid(of_body(given, error.errors(include_url=False, include_input=False), model=EventBody)) from None
    return Incoming([NewEvent(body.type, body.source, body.subject, body.data, body.id, instant(body.time))])


def with_id(come: Incoming, key: str | None) -> Incoming:
    """With the idempotency key as the id of an event that has none."""
    if key is None or come.batch or come.events[0].id is not None:
        return come
    return Incoming([replace(come.events[0], id=key, id_is_key=True)])


# --- structured and batch -----------------------------------------------------------------------------------------


def _all_of(given: JsonValue) -> list[NewEvent]:
    if not isinstance(given, list):
        raise _invalid([Fault("", "type", "the body is not a list", "send a list of CloudEvents")])
    if len(given) > MOST_AT_ONCE:
        message = f"{len(given)} events are too many for one request"
        raise _invalid([Fault("", "too_long", message, f"send at most {MOST_AT_ONCE} at a time")])
    events: list[NewEvent] = []
    faults: list[Fault] = []
    for place, one in enumerate(given):
        try:
            events.append(_cloud_event(_mapping(one, f"[{place}]"), f"[{place}]"))
        except InvalidRequest as refusal:
            faults += refusal.faults
    if faults:
        raise _invalid(faults)
    return events


def _cloud_event(given: JsonObject, base: str) -> NewEvent:
    try:
        told = CloudEventBody.model_validate(given)
    except ValidationError as error:
        found = of_body(given, error.errors(include_url=False, include_input=False), base, CloudEventBody)
        raise _invalid(found) from None
    extensions = _extensions(told, base)
    data: JsonValue = told.data
    if told.data_base64 is not None:
        if "data" in told.model_fields_set:
            raise _invalid([Fault(_at(base, "data_base64"), "value", "there is `data` besides", "send one of them")])
        data, extensions["data_encoding"] = _checked_base64(told.data_base64, base), "base64"
    return NewEvent(told.type, told.source, told.subject, data, told.id, instant(told.time), extensions)


def _extensions(told: CloudEventBody, base: str) -> JsonObject:
    kept = {name: value for name in KEPT if (value := getattr(told, name)) is not None}
    extra = told.model_extra or {}
    faults = []
    for name, value in extra.items():
        place = _at(base, name[:64])
        if not _NAME.fullmatch(name):
            message = "the name of an attribute has lower-case letters and digits only"
            faults.append(Fault(place, "value", message, "rename it, or move it into `data`"))
        elif not isinstance(value, str | int | bool):
            message = "an extension is text, a whole number or true or false"
            faults.append(Fault(place, "value", message, "move it into `data`"))
    if faults:
        raise _invalid(faults)
    return {**kept, **extra}


def _checked_base64(text: str, base: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        fault = Fault(_at(base, "data_base64"), "value", "this is not base64", "send the data in base64, or as `data`")
        raise _invalid([fault]) from None
    return text


# --- binary -------------------------------------------------------------------------------------------------------


async def _binary(request: Request, media_type: str) -> NewEvent:
    attributes: JsonObject = {
        name.removeprefix(PREFIX): unquote(value) for name, value in request.headers.items() if name.startswith(PREFIX)
    }
    if "Content-Type" in request.headers:
        attributes["datacontenttype"] = request.headers["Content-Type"]
    data, encoding = await _data(request, media_type)
    try:
        event = _cloud_event({**attributes, "data": data}, "")
    except InvalidRequest as refusal:
        raise _invalid([_in_header(fault, attributes) for fault in refusal.faults]) from None
    return replace(event, extensions={**event.extensions, **encoding})


async def _data(request: Request, media_type: str) -> tuple[JsonValue, Mapping[str, JsonValue]]:
    body = await received(request)
    if not body:
        return None, {}
    if media_type in ("", "application/json") or media_type.endswith("+json"):
        return await document(request), {}
    if media_type.startswith("text/"):
        try:
            return body.decode(), {"data_encoding": "text"}
        except UnicodeDecodeError:
            return base64.b64encode(body).decode(), {"data_encoding": "base64"}
    return base64.b64encode(body).decode(), {"data_encoding": "base64"}


def _in_header(fault: Fault, attributes: Mapping[str, JsonValue]) -> Fault:
    known = fault.path in attributes or fault.path in CloudEventBody.model_fields
    return replace(fault, path=f"header.{PREFIX}{fault.path}") if known else fault


def _media_type(request: Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _mapping(given: JsonValue, path: str) -> JsonObject:
    if not isinstance(given, dict):
        raise _invalid([Fault(path, "type", "this is not a mapping", 'send {"type": …}')])
    return given


def _at(base: str, name: str) -> str:
    return f"{base}.{name}" if base else name


def _invalid(faults: Sequence[Fault]) -> InvalidRequest:
    return InvalidRequest("invalid_event", "the event is not valid", faults=faults)
