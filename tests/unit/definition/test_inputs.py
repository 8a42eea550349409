"""W8: the input of a run against the schema of its definition."""

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.core.errors import Fault, InvalidRequest
from millrace.definition import validate_input
from tests.unit.definition.example import NOOP, accepted, faults, only, workflow

ORDER = {
    "type": "object",
    "required": ["day", "lines"],
    "properties": {
        "day": {"type": "string", "format": "date"},
        "region": {"enum": ["eu", "us"], "default": "eu"},
        "lines": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["id"]}},
        "options": {
            "type": "object",
            "properties": {"dry": {"type": "boolean", "default": False}},
            "additionalProperties": False,
        },
        "code": {"type": "string", "pattern": "^[A-Z]+$", "maxLength": 3},
        "count": {"type": "integer", "minimum": 1},
        "mail": {"type": "string", "format": "email"},
        "at": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": False,
}
GOOD = {"day": "2026-01-31", "lines": [{"id": 1}]}


def taken(schema: Any, given: Any) -> Any:
    return validate_input(accepted(workflow(input=schema)).definition, given)


def refused(schema: Any, given: Any) -> list[Fault]:
    with pytest.raises(InvalidRequest) as error:
        taken(schema, given)
    assert error.value.code == "invalid_input"
    assert error.value.faults
    return list(error.value.faults)


def test_defaults_are_filled_in() -> None:
    assert taken(ORDER, GOOD) == {**GOOD, "region": "eu"}
    assert taken(ORDER, {**GOOD, "options": {}}) == {**GOOD, "region": "eu", "options": {"dry": False}}
    assert taken(ORDER, {**GOOD, "region": "us"})["region"] == "us"


def test_the_given_input_is_not_changed() -> None:
    given = {**GOOD, "options": {}}
    taken(ORDER, given)
    assert given == {**GOOD, "options": {}}


def test_without_a_schema_everything_is_taken() -> None:
    assert validate_input(accepted(workflow()).definition, {"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize(
    ("change", "path", "code", "says"),
    [
        ({"day": None}, "input.day", "value", "string"),
        ({"day": "2026-02-30"}, "input.day", "value", "date"),
        ({"region": "asia"}, "input.region", "value", "eu"),
        ({"lines": []}, "input.lines", "value", "1 item"),
        ({"lines": [{"id": 1}, {}]}, "input.lines[1].id", "missing", "id is missing"),
        ({"options": {"dyr": True}}, "input.options.dyr", "unknown_field", "dyr"),
        ({"options": {"dry": "no"}}, "input.options.dry", "value", "boolean"),
        ({"regoin": "eu"}, "input.regoin", "unknown_field", "did you mean 'region'?"),
        ({"code": "abc"}, "input.code", "value", "^[A-Z]+$"),
        ({"code": "ABCD"}, "input.code", "value", "3"),
        ({"count": 0}, "input.count", "value", "1"),
        ({"count": 1.5}, "input.count", "value", "integer"),
        ({"count": "1"}, "input.count", "value", "integer"),
        ({"mail": "nobody"}, "input.mail", "value", "email"),
        ({"at": "yesterday"}, "input.at", "value", "date-time"),
    ],
)
def test_faults(change: Any, path: str, code: str, says: str) -> None:
    (fault,) = refused(ORDER, {**GOOD, **change})
    assert (fault.path, fault.code) == (path, code)
    assert says in fault.message
    assert fault.remedy


def test_all_faults_are_told_at_once() -> None:
    given = {"day": 5, "lines": [{}, 3], "x": 1, "y": 2, "options": {"a": 1, "b": 2}}
    assert sorted(fault.path for fault in refused(ORDER, given)) == [
        *(
            "input.day",
            "input.lines[0].id",
            "input.lines[1]",
            "input.options.a",
            "input.options.b",
            "input.x",
            "input.y",
        )
    ]
    assert [fault.path for fault in refused(ORDER, {})] == ["input.day", "input.lines"]


def test_keys_that_are_no_names_are_quoted_in_paths() -> None:
    (fault,) = refused({"properties": {"a b": {"type": "integer"}}}, {"a b": "x"})
    assert fault.path == "input['a b']"


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"oneOf": [{}, {}]},
        {"not": {}},
        {"properties": {"x": False}},
        {"propertyNames": {"maxLength": 0}},
        {"minProperties": 5},
        {"dependentRequired": {"x": ["y"]}},
        {"unevaluatedProperties": False},
        {"properties": {"x": {"contains": {"const": 1}}}},
        {"properties": {"x": {"uniqueItems": True}}},
        {"properties": {"x": {"const": {"a": 1}}}},
        {"properties": {"x": {"items": {"multipleOf": 2}}}},
        {"patternProperties": {"^x": {"type": "null"}}},
        {"if": {"required": ["x"]}, "then": {"required": ["y"]}},
    ],
)
def test_every_kind_of_fault_has_words(schema: Any) -> None:
    for fault in refused(schema, {"x": [1, 1] if "contains" not in str(schema) else [2]}):
        assert fault.path.startswith("input")
        assert fault.message
        assert fault.remedy
        assert "\n" not in fault.message


def test_a_long_value_is_not_repeated_in_the_message() -> None:
    (fault,) = refused({"properties": {"a": {"type": "integer"}}}, {"a": "x" * 100_000})
    assert len(fault.message) < 600


def test_faults_are_bounded() -> None:
    assert len(refused({"additionalProperties": {"type": "null"}}, {str(number): 1 for number in range(5000)})) == 200


# --- schemas ---


@pytest.mark.parametrize(
    "schema",
    [
        *({"$ref": target} for target in ("http://127.0.0.1:9/a", "other.json", "file:///etc/passwd", "urn:x")),
        {"$dynamicRef": "https://example.com/a"},
        {"properties": {"a": {"anyOf": [{}, {"$ref": "https://example.com/a"}]}}},
        {"$schema": "http://127.0.0.1:9/schema"},
        {"$id": "http://127.0.0.1:9/a", "$defs": {"b": {"$ref": "b"}}, "$ref": "#/$defs/b"},
        {"$recursiveRef": "http://127.0.0.1:9/a", "$schema": "https://json-schema.org/draft/2019-09/schema"},
    ],
)
def test_nothing_is_ever_fetched(schema: Any) -> None:
    fault = only(workflow(input=schema))
    assert fault.path.startswith("input")
    assert "error sending request" not in fault.message


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
        {"$id": "https://example.com/order", "type": "object"},
        {"properties": {"$ref": {"type": "string"}, "a": {"const": {"$ref": "https://example.com"}}}},
        {"properties": {"a": {"enum": [{"$ref": "x"}], "default": {"$ref": "x"}, "examples": [{"$ref": "x"}]}}},
        {},
    ],
)
def test_good_schemas(schema: Any) -> None:
    assert faults(workflow(input=schema)) == []


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "strng"}, "input.type"),
        ({"properties": {"a": {"minLength": -1}}}, "input.properties.a.minLength"),
        ({"required": "a"}, "input.required"),
        ({"properties": {"a": {"pattern": "("}}}, "input.properties.a.pattern"),
        ({"$ref": "#/$defs/missing"}, "input"),
        ({"$id": "::::"}, "input"),
    ],
)
def test_faulty_schemas(schema: Any, place: str) -> None:
    fault = only(workflow(input=schema))
    assert (fault.path, fault.code) == (place, "schema")
    assert "\n" not in fault.message
    assert fault.remedy


@pytest.mark.parametrize(
    "schema",
    [
        '{"$ref": "#"}',
        '{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}',
        '{"properties": {"a": {"pattern": "^(a+)+$"}}}',
        '{"properties": {"a": {"pattern": "^(?=(a|aa)+$)(a|aa)+b$"}}}',
        '{"properties": {"a": {"pattern": "(a{1,1000}){1,1000}b"}}}',
        '{"properties": {"a": {"pattern": "(?<x>a*)*\\\\k<x>b"}}}',
        '{"properties": {"a": {"pattern": "(((a{1,999}){1,999}){1,999}){1,999}"}}}',
    ],
)
def test_hostile_schemas_do_not_hang(schema: str) -> None:
    program = (
        "import json, sys\nfrom millrace.core.errors import InvalidRequest\n"
        "from millrace.definition import InvalidDefinition, stored_definition, validate_input\n"
        "from millrace.definition.faults import FaultList\nfrom millrace.definition.inputs import check_schema\n"
        "schema, faults = json.loads(sys.argv[1]), FaultList()\ncheck_schema(schema, 'input', faults)\n"
        "if not faults:\n"
        "    try:\n        validate_input(stored_definition({'input': schema}), {'a': 'a' * 5000 + '!'})\n"
        "    except InvalidRequest:\n        pass\nprint('done')\n"
    )
    command = [sys.executable, "-c", program, schema]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert ended.stdout == "done\n", ended.stderr[-500:]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "#", "string", "object", "^a", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "$ref",
                    "$defs",
                    "$id",
                    "$anchor",
                    "$schema",
                    "required",
                    "anyOf",
                    "not",
                    "a",
                    "pattern",
                    "patternProperties",
                    "format",
                    "enum",
                    "additionalProperties",
                    "if",
                    "default",
                    "minimum",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(
    st.dictionaries(st.sampled_from(["type", "properties", "$ref", "allOf", "$defs", "$id", "items", "$schema"]), _ANY)
)
def test_any_schema_is_taken_or_refused(schema: Any) -> None:
    if not faults({"name": "w", "tasks": [NOOP], "input": schema}):
        with suppress(InvalidRequest):
            taken(schema, {"a": 1, "properties": {}})
