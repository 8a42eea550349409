"""What a request says, as values that a workflow can read: its body by its media type, its query, its headers.

JSON and forms become values, text stays text, and files are set apart; so is a body that is no text.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from millrace.core.values import JsonObject, JsonValue
from millrace.triggers.webhook.multipart import Malformed, parts_of

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
ANY_BYTES = "application/octet-stream"

MOST_FIELDS = 1_000
MOST_FILES = 20
MOST_HEADERS = 100
LONGEST_HEADERS = 32_768
"""Characters of all headers that are handed on."""

NEVER_HANDED_ON = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Headers that carry credentials, whatever the webhook itself asks for."""


@dataclass(frozen=True, slots=True)
class File:
    """A file in a body. `field` is its name in the form, `None` for a body that is a file as a whole."""

    field: str | None
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Body:
    value: JsonValue
    files: tuple[File, ...] = ()


def read_body(body: bytes, content_type: str | None) -> Body:
    """Raises `Malformed` for a body that is not what its media type says."""
    if not body:
        return Body(None)
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return Body(_json(body))
    if kind == FORM:
        return Body(read_pairs(_text(body)))
    if kind == MULTIPART:
        return _form(body, content_type or "")
    return _other(body, kind)


def read_pairs(text: str) -> JsonObject:
    """A query or a form: a name that stands there several times has a list. Raises `Malformed`."""
    try:
        return _gathered(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS))
    except UnicodeDecodeError:
        raise Malformed("a value is not UTF-8") from None
    except ValueError:
        raise Malformed(f"there are more than {MOST_FIELDS} fields") from None


def headers_for_run(headers: Mapping[str, str], credentials: frozenset[str]) -> JsonObject:
    """The headers without those that have credentials, and no more than a run should carry along."""
    kept: JsonObject = {}
    room = LONGEST_HEADERS
    for name, value in headers.items():
        if name in NEVER_HANDED_ON or name in credentials:
            continue
        room -= len(name) + len(value)
        if room < 0 or len(kept) == MOST_HEADERS:
            break
        kept[name] = value
    return kept


def found_at(value: JsonValue, path: str) -> str | None:
    """What stands at `a.b.0` of a body, as text; `None` if nothing does, or what has parts of its own."""
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key[:9]) < len(value):
            value = value[int(key[:9])]
        else:
            return None
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _json(body: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 text; byte {error.start} is wrong") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from None
    return value


def _form(body: bytes, content_type: str) -> Body:
    pairs: list[tuple[str, str]] = []
    files: list[File] = []
    for part in parts_of(body, content_type):
        if part.filename is None:
            pairs.append((part.name, _text(part.content)))
        elif part.filename or part.content:  # a browser sends an empty part for a field without a file
            files.append(File(part.name, part.filename, part.media_type, part.content))
    if len(files) > MOST_FILES:
        raise Malformed(f"the form has more than {MOST_FILES} files")
    return Body(_gathered(pairs), tuple(files))


def _other(body: bytes, kind: str) -> Body:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return Body(None, (File(None, "body", kind or ANY_BYTES, body),))
    if "\0" in text:
        return Body(None, (File(None, "body", kind or ANY_BYTES, body),))
    if kind:
        return Body(text)
    try:
        return Body(_json(body))
    except Malformed:
        return Body(text)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 text; byte {error.start} is wrong") from None


def _gathered(pairs: Iterable[tuple[str, str]]) -> JsonObject:
    found: dict[str, list[JsonValue]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a JSON number")
