"""pydantic's errors about what requests hold as faults: where, what is wrong, what would be right.

As `definition.structure` does for definitions, but no fault repeats a value that was given: it may be one that nobody
may see.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from millrace.core.errors import Fault
from millrace.core.values import JsonObject
from millrace.definition.configs import one_a_place
from millrace.definition.faults import MOST_FAULTS, at
from millrace.definition.structure import fields_of, model_at
from millrace.definition.words import hint

REMEDIES: Mapping[str, str] = {
    "extra_forbidden": "remove it, or correct its name",
    "missing": "add it",
    "string_type": "write text",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
    "string_pattern_mismatch": "write text that is not blank, without NUL characters",
    "string_unicode": "write text in UTF-8",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "greater_than": "write more than {gt}",
    "greater_than_equal": "write at least {ge}",
    "less_than": "write less than {lt}",
    "less_than_equal": "write at most {le}",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "union_tag_invalid": "write {expected_tags}",
    "union_tag_not_found": "add it; the documentation at /docs lists what there is",
    "value_error": "correct it as the message says",
    "too_long": "write at most {max_length}",
    "list_type": "write a list: [a, b]",
    "dict_type": 'write a mapping: {{"key": value}}',
    "model_type": 'write a mapping: {{"key": value}}',
    "model_attributes_type": 'write a mapping: {{"key": value}}',
    "timezone_aware": "add the zone, as in 2026-03-29T01:00:00Z",
    "datetime_type": "write a time with its zone: 2026-03-29T01:00:00Z",
    "datetime_parsing": "write a time with its zone: 2026-03-29T01:00:00Z",
    "datetime_from_date_parsing": "write a time with its zone: 2026-03-29T01:00:00Z",
    "datetime_object_invalid": "write a time with its zone: 2026-03-29T01:00:00Z",
}
TAGS: Mapping[str, str] = {
    "union_tag_invalid": "this is none of those there are",
    "union_tag_not_found": "this is missing",
}
"""Errors about the field that says which member of a union is meant; pydantic's own words repeat its value."""

OTHERWISE = "see the schema of this request at /docs"


def of_body(
    given: JsonObject, errors: Iterable[ErrorDetails], base: str = "", model: type[BaseModel] | None = None
) -> list[Fault]:
    """The faults of what was given at `base`, one a place: of a union every member reports, and any of them would do.

    `errors` come without their input. With `model`, a field that it does not have is told with those that it has.
    """
    places = one_a_place(given, islice(errors, MOST_FAULTS))
    return [
        _unknown_field(reduce(at, place, base), str(place[-1]), model_at(model, place[:-1]))
        if model is not None and found[0]["type"] == "extra_forbidden"
        else _fault(reduce(at, place, base), found)
        for place, found in places.items()
    ]


def of_parameters(errors: Iterable[Any]) -> list[Fault]:
    """The faults of the path, the query and the headers: `query.limit`."""
    return [_fault(".".join(map(str, error["loc"])), [error]) for error in islice(errors, MOST_FAULTS)]


def _unknown_field(place: str, name: str, model: type[BaseModel] | None) -> Fault:
    known = () if model is None else fields_of(model)
    message = f"there is no field {name[:100]!r} here{hint(name, known)}"
    remedy = f"the fields here are {', '.join(known)}" if known else REMEDIES["extra_forbidden"]
    return Fault(place, "extra_forbidden", message, remedy)


def _fault(place: str, errors: Sequence[Any]) -> Fault:
    kind, context = str(errors[0]["type"]), errors[0].get("ctx") or {}
    if kind in TAGS:
        return Fault(at(place, str(context["discriminator"]).strip("'")), kind, TAGS[kind], _remedy(errors[0]))
    messages = dict.fromkeys(str(error["msg"]).removeprefix("Value error, ") for error in errors)
    return Fault(place, kind, "; or: ".join(messages), ", or ".join(dict.fromkeys(map(_remedy, errors))))


def _remedy(error: Any) -> str:
    context = error.get("ctx") or {}
    limits = {key: f"{value:g}" if isinstance(value, float) else value for key, value in context.items()}
    return str(limits.get("remedy") or REMEDIES.get(error["type"], OTHERWISE).format(**limits))
