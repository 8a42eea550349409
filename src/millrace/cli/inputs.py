"""What a run is given on the command line: `-i key=value`, `--input-file`, `-v key=value`, and `--form key=value`.

A value is JSON if it can be read as such, else text. Whether `12345` is a number or the digits of a postcode only the
input schema of the workflow knows, so it is asked where that makes a difference.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from millrace.cli.connection import CommandError, Connection, ProblemError
from millrace.core.values import JsonObject, JsonValue

STDIN = "-"

_READING = "JSON if it is JSON, else text, and text where the input schema wants it; text in any case: key='\"1\"'."

Inputs = Annotated[list[str] | None, typer.Option("--input", "-i", help=f"key=value; the value is {_READING}")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help=f"key=value changes this key of the old input; the value is {_READING}"),
]
InputFile = Annotated[
    str | None,
    typer.Option("--input-file", help="JSON file with the whole input, - for stdin; -i changes keys of it."),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--variable", "-v", help="key=value, JSON or text; it wins over that of the definition."),
]

SchemaOf = Callable[[], Mapping[str, Any]]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def parse_pairs(option: str, pairs: list[str]) -> JsonObject:
    """`["day=2026-01-01", "limit=3"]` as `{"day": "2026-01-01", "limit": 3}`."""
    return {key: _json_or_text(text) for key, text in _texts(option, pairs).items()}


def parse_input(pairs: list[str], schema_of: SchemaOf, option: str = "-i") -> JsonObject:
    """As `parse_pairs`, with text where the input schema takes text and not what the text can be read as.

    The schema is asked for only if a value can be read as something else than text.
    """
    texts = _texts(option, pairs)
    values = {key: _json_or_text(text) for key, text in texts.items()}
    if all(isinstance(value, str) for value in values.values()):
        return values
    properties = schema_of().get("properties") or {}
    return {key: texts[key] if _wants_text(properties.get(key), value) else value for key, value in values.items()}


def read_input(place: str | None) -> JsonObject | None:
    """The input in a file, or on stdin. Raises `CommandError` if it is no JSON object."""
    if place is None:
        return None
    try:
        text = sys.stdin.buffer.read() if place == STDIN else Path(place).read_bytes()
        value: JsonValue = json.loads(text, parse_constant=_no_json)
    except OSError as error:
        raise CommandError(f"--input-file {place}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--input-file {place}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CommandError(f'--input-file {place}: an input is an object, such as {{"day": "2026-01-01"}}')
    return value


def input_schema(connection: Connection, workflow: str, version: str | None) -> Mapping[str, Any]:
    """The input schema of the version that a start would take; `{}` where it has none or may not be read.

    `workflow` is its path. What is wrong with the version the start itself tells.
    """
    try:
        shown = connection.get(workflow)
        wanted = str(version or shown["deployed_version"] or shown["version"])
        if wanted not in ("newest", str(shown["version"])):
            shown = connection.get(f"{workflow}/versions/{quote(wanted, safe='')}")
    except ProblemError:
        return {}
    schema = shown["definition"].get("input")
    return schema if isinstance(schema, dict) else {}


def _texts(option: str, pairs: list[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for pair in pairs:
        key, found, text = pair.partition("=")
        if not found or not key:
            raise CommandError(f"{option} {pair}: write key=value")
        texts[key] = text
    return texts


def _wants_text(schema: Any, value: JsonValue) -> bool:
    """Whether a schema takes text, and not this value."""
    if not isinstance(schema, dict):
        return False
    types = schema.get("type")
    allowed: list[str] = types if isinstance(types, list) else [str(types)]
    return "string" in allowed and not any(_is(value, name) for name in allowed)


def _is(value: JsonValue, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES.get(name, (str,)))


def _json_or_text(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text
    return value


def _no_json(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")
