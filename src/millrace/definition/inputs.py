"""The input of a run and the form of a decision against their JSON Schemas: faults in our own words, and defaults."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import MOST_FAULTS, FaultList, at
from millrace.definition.stored import Definition
from millrace.definition.words import hint

LONGEST_MESSAGE = 500
"""Characters of a fault that quotes a value. Longer ones are not cut, since half a secret could not be masked."""

DEEPEST_DEFAULTS = 16
REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_KEYWORDS = """
    additionalProperties allOf anyOf const contains contentEncoding contentMediaType contentSchema default definitions
    dependencies dependentRequired dependentSchemas deprecated description else enum examples exclusiveMaximum
    exclusiveMinimum format id if items maxContains maxItems maxLength maxProperties maximum minContains minItems
    minLength minProperties minimum multipleOf not oneOf pattern patternProperties prefixItems properties propertyNames
    readOnly required then title type unevaluatedItems unevaluatedProperties uniqueItems writeOnly
"""
KEYWORDS = frozenset(_KEYWORDS.split())
DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are data: what looks like a reference in them is none."""


def check_schema(schema: JsonObject, path: str, faults: FaultList) -> None:
    """Check that `schema` is one that runs can be checked against. Nothing is ever fetched for it."""
    outside = _reference_to_outside(schema, path)
    if outside is not None:
        faults.add(
            outside, "outside_reference", "a schema refers to its own parts only", "write #/$defs/NAME and put it there"
        )
        return
    try:
        _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        for keys, message in _schema_errors(schema, error).items():
            reason = message.split("\n", 1)[0][:300]
            place = reduce(at, keys, path)
            faults.add(place, "schema", f"this is not valid JSON Schema: {reason}", _schema_remedy(reason))


def schema_warnings(schema: JsonValue, path: str) -> Iterator[str]:
    """Keys that JSON Schema does not know and therefore passes over: most often the name of an input."""
    if not isinstance(schema, dict) or "$schema" in schema:
        return
    for key, value in schema.items():
        if key in KEYWORDS or key.startswith(("$", "x-")):
            continue
        told = hint(key, KEYWORDS)
        if not told and isinstance(value, dict):
            told = f"; inputs are described under `properties`: {{properties: {{{key[:80]}: …}}}}"
        yield f"{at(path, key)} is no word of JSON Schema and has no effect{told}"


def _schema_errors(schema: JsonObject, error: Exception) -> dict[tuple[str | int, ...], str]:
    """What is wrong by its place: all of it, where the schema is of the draft that is told to authors."""
    first = {tuple(getattr(error, "instance_path", ())): str(error)}
    if str(schema.get("$schema", DRAFT)).rstrip("#") != DRAFT:
        return first
    found = islice(jsonschema_rs.validator_for({"$ref": DRAFT}).iter_errors(schema), MOST_FAULTS)
    return {tuple(one.instance_path): one.message for one in found} or first


def _schema_remedy(reason: str) -> str:
    if reason.endswith('is not of types "boolean", "object"'):
        return "write {type: string}, {type: integer}, {type: object, properties: {…}} or the like"
    return "see json-schema.org, draft 2020-12"


def validate_input(definition: Definition, given: JsonObject) -> JsonObject:
    """The input with defaults filled in. Raises `InvalidRequest` `invalid_input` with every fault."""
    if definition.input_schema is None:
        return given
    filled, faults = _checked(given, definition.input_schema, INPUT)
    if faults:
        raise InvalidRequest("invalid_input", "the input does not fit the workflow's schema", faults=faults)
    return filled


def validate_form(schema: JsonObject, given: JsonObject) -> JsonObject:
    """What somebody who decides has filled in, with defaults. Raises `InvalidRequest` `invalid_input`."""
    filled, faults = _checked(given, schema, FORM)
    if faults:
        raise InvalidRequest("invalid_input", "the form does not fit what the task asks for", faults=faults)
    return filled


def _checked(given: JsonObject, schema: JsonObject, of: "_Words") -> tuple[JsonObject, list[Fault]]:
    filled = _filled(given, schema, 0)
    assert isinstance(filled, dict), "an object keeps its kind"  # noqa: S101
    validator = _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    found = (fault for error in validator.iter_errors(filled) for fault in _faults(error, schema, of))
    return filled, list(islice(found, MOST_FAULTS))


def check_overrides(definition: Definition, variables: JsonObject) -> None:
    """Raise `InvalidRequest` `invalid_input` for variables that a run is given and the definition does not have."""
    known = sorted(definition.variables)
    remedy = f"the variables are {', '.join(known)[:1000]}" if known else "take it out; the definition has no variables"
    faults = [
        Fault(at("variables", name), "unknown_field", f"there is no variable {name[:80]!r}{hint(name, known)}", remedy)
        for name in islice((name for name in variables if name not in definition.variables), MOST_FAULTS)
    ]
    if faults:
        raise InvalidRequest(
            "invalid_input", "the run is given variables that the workflow does not have", faults=faults
        )


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:
    return jsonschema_rs.validator_for(orjson.loads(schema), validate_formats=True, retriever=_fetch_nothing)


def _fetch_nothing(uri: str) -> Any:
    raise LookupError(f"{uri[:100]} is not a part of this schema, and nothing is fetched")


def _reference_to_outside(value: JsonValue, path: str) -> str | None:
    if isinstance(value, dict):
        for key, part in value.items():
            if key in REFERENCES and isinstance(part, str) and not part.startswith("#"):
                return at(path, key)
            if key in DATA:
                continue
            found = _reference_to_outside(part, at(path, key))
            if found is not None:
                return found
    elif isinstance(value, list):
        for position, part in enumerate(value):
            found = _reference_to_outside(part, at(path, position))
            if found is not None:
                return found
    return None


def _filled(value: JsonValue, schema: JsonValue, depth: int) -> JsonValue:
    """`value` with the defaults of `properties`, at any depth that is reached by properties alone."""
    if not isinstance(value, dict) or not isinstance(schema, dict) or depth > DEEPEST_DEFAULTS:
        return value
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return value
    filled: JsonObject = dict(value)
    for name, described in properties.items():
        if name in filled:
            filled[name] = _filled(filled[name], described, depth + 1)
        elif isinstance(described, dict) and "default" in described:
            filled[name] = described["default"]
    return filled


@dataclass(frozen=True, slots=True)
class _Words:
    """What faults call a value and its parts."""

    path: str
    part: str
    parts: str


INPUT = _Words("input", "input", "inputs")
FORM = _Words("form", "field", "fields")


def _faults(error: Any, schema: JsonObject, of: _Words) -> Iterator[Fault]:
    path = of.path
    for key in error.instance_path:
        path = at(path, key)
    kind = error.kind
    if kind.name == "required":
        yield Fault(at(path, kind.property), "missing", f"{kind.property} is missing", "give it a value")
    elif kind.name == "additionalProperties":
        for name in kind.unexpected:
            yield _unknown(path, name, schema if not error.instance_path else None, of)
    else:
        told = str(error.message)
        message = told if len(told) <= LONGEST_MESSAGE else "the value, which is too long to be shown, does not fit"
        yield Fault(path, "value", message, f"the schema says {kind.name}: {_short(kind.value)}")


def _unknown(path: str, name: str, schema: JsonObject | None, of: _Words) -> Fault:
    properties = schema.get("properties") if schema is not None else None
    known = sorted(properties) if isinstance(properties, dict) else []
    remedy = f"the {of.parts} are {', '.join(known)}" if known else "take it out"
    return Fault(at(path, name), "unknown_field", f"there is no {of.part} {name!r}{hint(name, known)}", remedy)


def _short(value: object) -> str:
    return orjson.dumps(value, default=str).decode()[:200]
