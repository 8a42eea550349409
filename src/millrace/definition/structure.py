"""From pydantic's errors to faults: the place in the user's own words, what is wrong, and what would be right."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.model import NOT_YET, Canonical
from millrace.definition.words import hint

SHORT = re.compile(r"[\w.-]{1,40}")
"""Text that stands in a remedy as it is."""

EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}

LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
    "string_too_short": ("min_length", "at least"),
    "string_too_long": ("max_length", "at most"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}
"""Where an error says its limit, and how it is said."""


ConfigFields: TypeAlias = Callable[[JsonObject, bool], Collection[str]]
"""The fields that the config of a task, or of a trigger (True), takes by its type."""


def read_structure(raw: JsonObject, faults: FaultList, config_fields: ConfigFields) -> Canonical | None:
    """The definition as a model, or `None` and a fault for each thing wrong with its shape."""
    try:
        return Canonical.model_validate(raw)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            if faults.full:
                break
            if found["type"] == "extra_forbidden" and _is_of_config(raw, found["loc"], config_fields):
                path, name = reduce(at, found["loc"], ""), found["loc"][-1]
                message = f"there is no field {name!r} here; it belongs into config"
                faults.add(path, "unknown_field", message, f"write config: {{{name}: …}}")
            else:
                add_fault(faults, found, model=Canonical)
        return None


def _is_of_config(raw: JsonObject, location: Sequence[int | str], config_fields: ConfigFields) -> bool:
    """Whether an unknown field of a task or trigger is one of its config."""
    part: JsonValue = raw
    for key in location[:-1]:
        if isinstance(part, dict):
            part = part.get(str(key))
        elif isinstance(part, list) and isinstance(key, int):
            part = part[key]
    in_list = len(location) > 2 and isinstance(location[-2], int)
    return in_list and isinstance(part, dict) and location[-1] in config_fields(part, location[0] == "triggers")


def add_fault(
    faults: FaultList,
    error: ErrorDetails,
    *,
    model: type[BaseModel],
    base: str = "",
    place: Sequence[int | str] | None = None,
    others: Sequence[ErrorDetails] = (),
) -> None:
    """Tell one error of pydantic; `base` is the path of what was validated against `model`.

    `place`: where it is, if the location of the error also names members of unions. `others`: errors at the same
    place, of further types that would do as well.
    """
    location = error["loc"]
    path = base
    for key in location if place is None else place:
        path = at(path, key)
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind, given = error["type"], error["input"]
    name = _name_of(faults.place(path), own=_is_field(model, location))
    match kind:
        case "extra_forbidden":
            _unknown_field(faults, path, str(location[-1]), model_at(model, location[:-1]))
        case "missing":
            faults.add(path, "missing", f"{name} is missing", f"add {name}{_meaning(model, location)}")
        case "literal_error":
            _no_choice(faults, path, name, given, str(context["expected"]))
        case "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            _no_choice(faults, at(path, tag), tag, context["tag"], str(context["expected_tags"]))
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            faults.add(at(path, tag), "missing", f"{tag} is missing", f"say by {tag} which kind of {name} this is")
        case _ if kind in EXPECTED:
            kinds = [kind, *(other["type"] for other in others)]
            expected = " or ".join(dict.fromkeys(EXPECTED[one] for one in kinds if one in EXPECTED))
            faults.add(
                path, "type", f"{name} must be {expected}, not {kind_of(given)}", _way(model, location, expected, given)
            )
        case _ if "remedy" in context:
            faults.add(path, kind, error["msg"], context["remedy"])
        case _ if kind in LIMITS:
            faults.add(path, "value", _beyond(name, kind, context, given), f"correct {name}{_meaning(model, location)}")
        case _:
            message = error["msg"].removeprefix("Value error, ")
            remedy = f"correct {name}{_meaning(model, location)}"
            faults.add(path, "value", f"{name}: {message[:1].lower()}{message[1:]}", remedy)


def _way(model: type[BaseModel], location: Sequence[int | str], expected: str, given: object) -> str:
    """How a value of the kind that is expected is written, if it can be with the one that was given."""
    single = shown(given) if isinstance(given, int | float) and not isinstance(given, bool) else None
    if isinstance(given, str) and SHORT.fullmatch(given):
        single = given
    match expected:
        case "a list" if single is not None:
            return f"write a list: [{single}]"
        case "a list" if isinstance(given, dict):
            return "write a list, with a dash before each entry"
        case "a mapping":
            part = model_at(model, location)
            names = list(fields_of(part)) if part is not None else []
            if names and single is not None:
                return f"write a mapping: {{{names[0]}: {single}}}"
            return f"write a mapping of {', '.join(names)}" if names else "write a mapping: {name: value}"
    return f"write {expected}"


def _no_choice(faults: FaultList, path: str, name: str, given: object, expected: str) -> None:
    """Tell that a value is none of those there are; pydantic lists them as `'a', 'b' or 'c'`."""
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    guess = hint(given, choices) if isinstance(given, str) else ""
    faults.add(path, "value", f"{name} cannot be {shown(given)}{guess}", f"write one of {', '.join(choices)}")


def _beyond(name: str, kind: str, context: Mapping[str, Any], given: object) -> str:
    """What is wrong with a value that is too large or too small."""
    limit, words = LIMITS[kind]
    if kind in ("string_too_short", "too_short") and context[limit] == 1:
        return f"{name} must not be empty"
    if isinstance(given, int | float):
        return f"{name} must be {words} {context[limit]:g}, not {shown(given)}"
    return f"{name} must have {words} {context[limit]} {'characters' if isinstance(given, str) else 'entries'}"


def _name_of(path: str, *, own: bool) -> str:
    """The last key with its positions (`depends_on[0]`); one of the author's `own` naming with that before it."""
    return ".".join(path.split(".")[-1 if own else -2 :])


def _unknown_field(faults: FaultList, path: str, name: str, model: type[BaseModel] | None) -> None:
    if model is not None and name in NOT_YET.get(model.__name__, ()):
        faults.add(path, "not_supported", f"{name} is not supported yet", f"take {name} out for now")
        return
    known = fields_of(model) if model is not None else {}
    remedy = f"the fields here are {', '.join(known)}" if known else "take it out"
    faults.add(path, "unknown_field", f"there is no field {name!r} here{hint(name, known)}", remedy)


def _is_field(model: type[BaseModel], location: Sequence[int | str]) -> bool:
    """Whether the last key is one of a model's fields, and not a key that the author chose."""
    keys = [key for key in location if isinstance(key, str)]
    return bool(keys) and model_at(model, keys[:-1]) is not None


def _meaning(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """What a field is for, as far as its model says so, to be put after its name."""
    owner = model_at(model, location[:-1]) if location else None
    field = fields_of(owner).get(str(location[-1])) if owner is not None else None
    described = field.description if field is not None else None
    return f": {described}" if described else ""


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that describes the part of `model` at `location`; `None` where that is not told by a model."""
    found = [model]
    for key in location:
        if isinstance(key, int):
            continue
        fields = [fields_of(one)[key] for one in found if key in fields_of(one)]
        if fields:
            found = [one for field in fields for one in _models_in(field.annotation)]
        else:
            found = [one for one in found if key in _tags(one)]
    return found[0] if len(found) == 1 else None


def _tags(model: type[BaseModel]) -> set[object]:
    """pydantic puts name or tag of the chosen member of a union into a location; it is no key of the user's."""
    literals = (field.annotation for field in model.model_fields.values() if get_origin(field.annotation) is Literal)
    return {model.__name__, *(tag for literal in literals for tag in get_args(literal))}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def shown(value: object) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float) else kind_of(value)
