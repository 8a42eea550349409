"""From pydantic's errors to faults: the place in the user's own words, what is wrong, and what would be right."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.controls.kinds import DECIDES, decided_beside, takes
from millrace.definition.expectations import (
    EXPECTED,
    LIMITS,
    Location,
    beyond,
    choices_in,
    field_at,
    fields_of,
    is_field,
    mapping_of,
    mapping_such_as,
    meaning,
    model_at,
    models_at,
    name_of,
    one_of,
    such_as,
    told_apart_by,
    up_to,
    within,
)
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.model import NESTED, ON_ROLLBACK, Canonical, Task
from millrace.definition.words import hint

SHORT = re.compile(r"[\w.-]{1,40}")
"""Text that stands in a remedy as it is."""

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
            if _is_not_taken(raw, found["loc"]):
                continue
            if found["type"] == "extra_forbidden" and (name := _in_config(raw, found["loc"], config_fields)):
                path, written = reduce(at, found["loc"], ""), found["loc"][-1]
                meant = "it" if name == written else f"did you mean {name!r}? It"
                message = f"there is no field {written!r} here; {meant} belongs into config"
                faults.add(path, "unknown_field", message, f"write config: {{{name}: …}}")
            else:
                add_fault(faults, found, model=Canonical)
        return None


def _is_not_taken(raw: JsonObject, location: Sequence[int | str]) -> bool:
    """Whether an error is of a field that a control task does not take: that is told, be the field well-formed or not.

    What stands in tasks within it is judged all the same.
    """
    part: JsonValue = raw
    for number, key in enumerate(location):
        if isinstance(part, dict):
            kind = part.get("type")
            not_taken = isinstance(kind, str) and takes(kind, str(key)) is False
            if not_taken and (key not in NESTED or number == len(location) - 1):
                return True
            part = part.get(str(key))
        elif isinstance(part, list) and isinstance(key, int):
            part = part[key]
    return False


def _in_config(raw: JsonObject, location: Sequence[int | str], config_fields: ConfigFields) -> str | None:
    """The field of the config of a task or trigger that is meant by one that stands beside it."""
    part: JsonValue = raw
    for key in location[:-1]:
        if isinstance(part, dict):
            part = part.get(str(key))
        elif isinstance(part, list) and isinstance(key, int):
            part = part[key]
    if not (len(location) > 2 and isinstance(location[-2], int) and isinstance(part, dict)):
        return None
    name = str(location[-1])
    if name in config_fields(part, location[0] == "triggers"):
        return name
    return DECIDES if decided_beside(part) == name else None


def add_fault(
    faults: FaultList,
    error: ErrorDetails,
    *,
    model: type[BaseModel],
    base: str = "",
    place: Location | None = None,
    others: Sequence[ErrorDetails] = (),
) -> None:
    """Tell one error of pydantic; `base` is the path of what was validated against `model`.

    `place`: where it is, if the location of the error also names members of unions. `others`: errors at the same
    place, of further types that would do as well.
    """
    location: Location = error["loc"] if place is None else up_to(place, error["loc"])
    path = reduce(at, location if place is None else place, base)
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind, given, field = error["type"], error["input"], field_at(model, location)
    name = name_of(faults.place(path), own=is_field(model, location))
    match kind:
        case "extra_forbidden":
            _unknown_field(faults, path, str(location[-1]), model_at(model, location[:-1]))
        case "missing":
            faults.add(path, "missing", f"{name} is missing", f"add {name}{meaning(field)}")
        case "literal_error":
            _no_choice(faults, path, name, given, str(context["expected"]))
        case "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            _no_choice(faults, at(path, tag), tag, context["tag"], str(context["expected_tags"]))
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            remedy = f"say by {tag} which kind of {name} this is"
            _, words = told_apart_by(models_at(model, location))
            remedy = f"{remedy}: {', '.join(words)}" if words else remedy
            faults.add(at(path, tag), "missing", f"{tag} is missing", remedy)
        case _ if kind in EXPECTED:
            kinds = [kind, *(other["type"] for other in others)]
            expected = " or ".join(dict.fromkeys(EXPECTED[one] for one in kinds if one in EXPECTED))
            faults.add(
                path, "type", f"{name} must be {expected}, not {kind_of(given)}", _way(model, location, expected, given)
            )
        case _ if "remedy" in context:
            faults.add(path, kind, error["msg"], context["remedy"])
        case _ if kind in LIMITS:
            also = f", not {shown(given)}" if isinstance(given, int | float) else ""
            message, way = f"{beyond(name, kind, context, given)}{also}", within(kind, context, given, field)
            faults.add(path, "value", message, f"{way}; {name}{told}" if (told := meaning(field)) else way)
        case _:
            message = error["msg"].removeprefix("Value error, ")
            if message[1:2].islower():
                message = f"{message[:1].lower()}{message[1:]}"
            named = f"{name}: {message}" if location else message
            faults.add(path, "value", named, f"correct {name if location else 'it'}{meaning(field)}")


def _way(model: type[BaseModel], location: Location, expected: str, given: object) -> str:
    """How a value of the kind that is expected is written, if it can be with the one that was given."""
    single = shown(given) if isinstance(given, int | float) and not isinstance(given, bool) else None
    if isinstance(given, str) and SHORT.fullmatch(given):
        single = given
    match expected:
        case "a list" if single is not None:
            return f"write a list: [{single}]"
        case "a list" if isinstance(given, dict):
            return "write a list, with a dash before each entry"
        case "a mapping" if (example := mapping_such_as(field_at(model, location))) is not None:
            return example
        case "a mapping":
            parts = models_at(model, location)
            names = list(fields_of(parts[0])) if len(parts) == 1 else []
            if names and single is not None:
                return f"write a mapping: {{{names[0]}: {single}}}"
            return f"write a mapping of {', '.join(names)}" if names else mapping_of(parts, given)
        case "text" if (field := field_at(model, location)) is not None:
            return f"write text{such_as(field)}"
    return f"write {expected}"


def _no_choice(faults: FaultList, path: str, name: str, given: object, expected: str) -> None:
    choices = choices_in(expected)
    guess = hint(given, choices) if isinstance(given, str) else ""
    faults.add(path, "value", f"{name} cannot be {shown(given)}{guess}", one_of(choices))


def _unknown_field(faults: FaultList, path: str, name: str, model: type[BaseModel] | None) -> None:
    if name == ON_ROLLBACK and model is Task:
        message = "only tasks of the list `tasks` itself are undone; on_rollback has no meaning here"
        faults.add(path, "unknown_field", message, "put it on the task of that list")
        return
    known = fields_of(model) if model is not None else {}
    remedy = f"the fields here are {', '.join(known)}" if known else "take it out"
    faults.add(path, "unknown_field", f"there is no field {name!r} here{hint(name, known)}", remedy)


def shown(value: object) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float) else kind_of(value)
