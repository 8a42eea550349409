"""pydantic's errors about what requests hold as faults: where, what is wrong, what would be right.

As `definition.structure` does for definitions, but no fault repeats a value that was given: it may be one that nobody
may see. What kind of value it is may be told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from millrace.core.errors import Fault
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.configs import Place, one_a_place, value_at
from millrace.definition.expectations import (
    CHOICES,
    EXPECTED,
    LIMITS,
    beyond,
    choices_in,
    field_at,
    fields_of,
    is_field,
    mapping_of,
    meaning,
    meant,
    model_at,
    models_at,
    name_of,
    such_as,
    told_apart_by,
    up_to,
    within,
)
from millrace.definition.faults import MOST_FAULTS, at, kind_of
from millrace.definition.words import hint

PATTERN: Final = "string_pattern_mismatch"
NUL: Final = "\0"
KEY: Final = ("[key]",)
"""Where pydantic has found fault with a key."""
OTHERS: Final = frozenset(get_args(ErrorType)) - {"value_error"}
"""pydantic's own, whose words may repeat a value; our own errors are of types that it does not know."""

A_TIME: Final = "2026-03-29T01:00:00Z"
SAID: Mapping[str, tuple[str, str]] = {
    PATTERN: ("is blank, or holds a NUL character", "write text that is not blank, without NUL"),
    "string_unicode": ("is not text in UTF-8", "write text in UTF-8"),
    "int_parsing_size": ("is too large a number", "write a smaller number"),
    "finite_number": ("is not a finite number", "write a number"),
    "timezone_aware": ("is a time without a zone", f"add the zone, as in {A_TIME}"),
    "datetime_type": ("is not a time", f"write a time with its zone: {A_TIME}"),
    "datetime_parsing": ("is not a time", f"write a time with its zone: {A_TIME}"),
    "datetime_from_date_parsing": ("is not a time", f"write a time with its zone: {A_TIME}"),
    "datetime_object_invalid": ("is not a time", f"write a time with its zone: {A_TIME}"),
}
"""What is wrong with a value and what would be right, where neither depends on the place."""

BY_MESSAGE: Final = "correct it as the message says"
OTHERWISE: Final = "see the schema of this request at /docs"
WHOLE: Final = "the body"


@dataclass(frozen=True, slots=True)
class _Where:
    """A place in a request, and what is known of it."""

    path: str
    name: str
    value: JsonValue = None
    kind: str | None = None
    """What kind of value stands there; `None` where it goes without saying."""
    owner: type[BaseModel] | None = None
    """The model that it is a field of."""
    field: FieldInfo | None = None
    parts: Sequence[type[BaseModel]] = ()
    """The models of which one is expected there."""


def of_body(
    given: JsonObject, errors: Iterable[ErrorDetails], base: str = "", model: type[BaseModel] | None = None
) -> list[Fault]:
    """The faults of what was given at `base`, one a place: of a union every member reports, and any of them would do.

    `errors` come without their input. With `model`, which was asked for, they tell what that says of each place.
    """
    places = one_a_place(given, islice(errors, MOST_FAULTS))
    return [
        _fault(_where(given, place, some[0], base, model), some)
        for place, found in places.items()
        for some in _apart(found)
    ]


def _apart(errors: Sequence[ErrorDetails]) -> Sequence[Sequence[ErrorDetails]]:
    """What is wrong with a key, and what is wrong with its value: both are to be mended."""
    of_key = [error for error in errors if error["loc"][-1:] == KEY]
    of_value = [error for error in errors if error["loc"][-1:] != KEY]
    return [some for some in (of_key, of_value) if some]


def of_stored_config(given: JsonObject, error: ValidationError, model: type[BaseModel]) -> str:
    """The first fault of a trigger's config that an earlier release has taken: `config.path: …`."""
    first = of_body(given, error.errors(include_url=False, include_input=False), base="config", model=model)[0]
    return f"{first.path}: {first.message}; {first.remedy}"


def of_parameters(errors: Iterable[Any]) -> list[Fault]:
    """The faults of the path, the query and the headers: `query.limit`. All that stands there is text."""
    return [
        _fault(_Where(".".join(map(str, error["loc"])), str(error["loc"][-1])), [error])
        for error in islice(errors, MOST_FAULTS)
    ]


def _where(given: JsonObject, place: Place, error: ErrorDetails, base: str, model: type[BaseModel] | None) -> _Where:
    path = reduce(at, place, base)
    value = None if error["type"] == "missing" else value_at(given, place)
    if model is None:
        return _Where(path, name_of(path, own=True) or WHOLE, value, kind_of(value))
    location = up_to(place, error["loc"])
    return _Where(
        path,
        name_of(path, own=is_field(model, location)) or WHOLE,
        value,
        kind_of(value),
        owner=model_at(model, location[:-1]) if location else None,
        field=field_at(model, location),
        parts=models_at(model, location),
    )


def _fault(where: _Where, errors: Sequence[ErrorDetails]) -> Fault:
    kind, context = errors[0]["type"], errors[0].get("ctx") or {}
    match kind:
        case "extra_forbidden":
            return _unknown_field(where, str(errors[0]["loc"][-1]))
        case "missing":
            return Fault(where.path, kind, f"{where.name} is missing", f"add it{meaning(where.field)}")
        case "union_tag_not_found" | "union_tag_invalid":
            return _unknown_kind(where, kind, context)
    meant_ones = meant(errors)
    if all(error["type"] in EXPECTED or error["type"] in CHOICES for error in meant_ones):
        message = _other_expected(where, meant_ones)
    else:
        message = "; or: ".join(dict.fromkeys(_wrong(where, error) for error in meant_ones))
    return Fault(where.path, kind, message, ", or ".join(dict.fromkeys(_right(where, error) for error in meant_ones)))


def _unknown_field(where: _Where, name: str) -> Fault:
    known = () if where.owner is None else fields_of(where.owner)
    message = f"there is no field {name[:100]!r} here{hint(name, known)}"
    remedy = f"the fields here are {', '.join(known)}" if known else "remove it, or correct its name"
    return Fault(where.path, "extra_forbidden", message, remedy)


def _unknown_kind(where: _Where, code: str, context: Mapping[str, Any]) -> Fault:
    """Of the field that says which member of a union is meant."""
    tag = str(context["discriminator"]).strip("'")
    if code == "union_tag_not_found":
        _, words = told_apart_by(where.parts)
        remedy = f"add {tag}, which is one of {', '.join(words)}" if words else f"add {tag}"
        return Fault(at(where.path, tag), code, f"{tag} is missing", remedy)
    expected = str(context["expected_tags"])
    message = f"{tag} is none of those there are{hint(str(context['tag']), choices_in(expected))}"
    return Fault(at(where.path, tag), code, message, f"write one of {expected}")


def _other_expected(where: _Where, errors: Sequence[ErrorDetails]) -> str:
    """What is wrong where a value of another kind, or another word, is expected."""
    choices = [word for error in errors if error["type"] in CHOICES for word in _choices(error)]
    kinds = [EXPECTED[error["type"]] for error in errors if error["type"] in EXPECTED]
    guess = hint(where.value, choices) if isinstance(where.value, str) else ""
    a_word = where.kind is None or isinstance(where.value, str)
    if a_word and not kinds:
        return f"{where.name} is none of those there are{guess}"
    words = [f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]] if choices else []
    other = guess if a_word and choices else "" if where.kind is None else f", not {where.kind}"
    return f"{where.name} must be {' or '.join(dict.fromkeys([*words, *kinds]))}{other}"


def _wrong(where: _Where, error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind in LIMITS:
        return beyond(where.name, kind, context, where.value)
    if kind == PATTERN and isinstance(where.value, str):
        return f"{where.name} {'holds a NUL character' if NUL in where.value else 'is blank'}"
    if kind in SAID:
        return f"{where.name} {SAID[kind][0]}"
    return f"{where.name} is not valid" if kind in OTHERS else error["msg"].removeprefix("Value error, ")


def _right(where: _Where, error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if "remedy" in context:
        return str(context["remedy"])
    if kind in EXPECTED:
        return _way(where, EXPECTED[kind])
    if kind in CHOICES:
        return f"write {context['expected']}"
    if kind in LIMITS:
        return within(kind, context, where.value, where.field)
    if kind == PATTERN and isinstance(where.value, str):
        return "write text without NUL characters" if NUL in where.value else "write text that is not blank"
    if kind in SAID:
        return SAID[kind][1]
    return BY_MESSAGE if kind == "value_error" else OTHERWISE


def _way(where: _Where, expected: str) -> str:
    """How a value of the kind that is expected is written."""
    match expected:
        case "a list":
            return "write a list: [a, b]"
        case "a mapping" if len(where.parts) == 1:
            return f"write a mapping of {', '.join(fields_of(where.parts[0]))}"
        case "a mapping":
            return mapping_of(where.parts, where.value, quote='"')
        case "text" if where.field is not None:
            return f"write text{such_as(where.field)}"
    return f"write {expected}"


def _choices(error: ErrorDetails) -> list[str]:
    return choices_in(str((error.get("ctx") or {})["expected"]))
