"""The config of a task or trigger against the model of its type, as far as that can be told before expressions
have values.

A fault is told only if no value of an expression could mend it; what is not told here is found when the attempt is run.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millrace.core.values import JsonObject, JsonValue
from millrace.definition.expectations import EXPECTED, fields_of, meant
from millrace.definition.expressions.templates import has_expressions
from millrace.definition.faults import FaultList, at
from millrace.definition.structure import add_fault
from millrace.ports.runner import ConfigModel, JudgesConfig

Place: TypeAlias = tuple[int | str, ...]

OF_FIELDS = frozenset({"missing", "extra_forbidden"})
"""Errors about which fields there are: the values of fields change nothing about them."""

KEY = "[key]"
"""pydantic's word for the name of an entry, in which no expression stands."""


def check_config(
    config: JsonObject,
    model: ConfigModel,
    path: str,
    faults: FaultList,
    *,
    owner: type[BaseModel],
    part: JsonObject,
    final: bool = False,
) -> None:
    """Faults of everything that no expression can mend. `part` is what the config is a field of, as it is written, and
    `owner` its model; `final` says that no expression in it is replaced any more before the model reads it.

    A field of the config that stands beside it by mistake is told by who looks at `part`; here it counts as given.
    """
    beside = {name: part[name] for name in fields_of(model) if name in part and name not in fields_of(owner)}
    config = {**beside, **config}
    told: set[int | str] = set(beside)
    try:
        model.model_validate(config)
    except ValidationError as error:
        for place, found in one_a_place(config, error.errors(include_url=False)).items():
            if place and place[0] in beside:
                continue
            if found[0]["type"] == "extra_forbidden" and len(place) == 1 and place[0] in fields_of(owner):
                message = f"there is no field {place[0]!r} here; it belongs beside config"
                faults.add(at(path, place[0]), "unknown_field", message, f"write {place[0]} one level up")
            elif final or not _may_change(config, place, found):
                told.update(place[:1])
                first, *others = meant(found)
                add_fault(faults, first, model=model, base=path, place=place, others=others)

    judge = judge_of(model)
    if judge is not None:
        for fault in judge.certain_faults(config):
            if fault.field not in told:
                faults.add(at(path, fault.field), "value", fault.message, fault.remedy)


@lru_cache(maxsize=1024)
def judge_of(model: ConfigModel) -> JudgesConfig | None:
    """The model, if it can tell more than pydantic. Remembered: to ask takes longer than all other checks together."""
    if isinstance(model, JudgesConfig):
        return model
    return None


def one_a_place(config: JsonObject, errors: Iterable[ErrorDetails]) -> Mapping[Place, list[ErrorDetails]]:
    """The errors by place. Of a union every member reports; those that got further into the value are meant."""
    by_place: dict[Place, list[ErrorDetails]] = {}
    for error in errors:
        by_place.setdefault(_place(config, error), []).append(error)
    inner = {place[:end] for place in by_place for end in range(len(place))}
    return {place: found for place, found in by_place.items() if place not in inner}


def _place(config: JsonObject, error: ErrorDetails) -> Place:
    """The location in what the user wrote: pydantic's own also names the members of unions."""
    place: list[int | str] = []
    value: JsonValue = config
    there = False
    for key in error["loc"]:
        there = True
        if isinstance(value, dict) and key in value:
            value = value[str(key)]
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            there = False
            continue
        place.append(key)
    missing = error["type"] == "missing" and not there
    return (*place, error["loc"][-1]) if missing else tuple(place)


def _may_change(config: JsonObject, place: Place, errors: list[ErrorDetails]) -> bool:
    """Whether what is wrong at `place` could be right once its expressions have values."""
    if errors[0]["loc"][-1:] == (KEY,):
        return False
    kind = errors[0]["type"]
    if kind in OF_FIELDS:
        return _is_guess(config, errors[0]) and has_expressions(value_at(config, place[:-1]))
    value = value_at(config, place)
    if kind in EXPECTED and not isinstance(value, str):
        return False
    return has_expressions(value)


def _is_guess(config: JsonObject, error: ErrorDetails) -> bool:
    """Whether the error is that of a union's member which may not be the one that was meant."""
    value: JsonValue = config
    for key in error["loc"][:-1]:
        if isinstance(value, dict) and key in value:
            value = value[str(key)]
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        elif not isinstance(value, dict) or key not in value.values():
            return True
    return False


def value_at(config: JsonObject, place: Place) -> JsonValue:
    """What stands at a place that there is."""
    value: JsonValue = config
    for key in place:
        if isinstance(value, dict):
            value = value[str(key)]
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
    return value
