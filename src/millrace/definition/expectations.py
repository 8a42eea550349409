"""What a model expects at a place, in plain words: shared by the faults of definitions and of requests.

Nothing here repeats a value that was given, which may be one that nobody may see; who may show values adds them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Location: TypeAlias = Sequence[int | str]

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
"""The kind of value that an error asks for."""

LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
    "string_too_short": ("min_length", "at least"),
    "string_too_long": ("max_length", "at most"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
"""Where an error says its limit, and how it is said."""

CHOICES = frozenset({"literal_error", "enum"})
"""Errors of a value that is none of certain words."""

OF_TIMES = {
    "greater_than_equal": ("must not be before", "at or after"),
    "less_than_equal": ("must not be after", "at or before"),
    "greater_than": ("must be after", "after"),
    "less_than": ("must be before", "before"),
}
"""How a limit is said that is no number: what is wrong, and what would be right."""

TOO_SHORT = frozenset({"string_too_short", "too_short"})
OF_LENGTH = TOO_SHORT | {"string_too_long", "too_long"}


# --- errors -----------------------------------------------------------------------------------------------------------


def meant(errors: Sequence[ErrorDetails]) -> Sequence[ErrorDetails]:
    """Of the errors at one place, of which each member of a union has its own, those of members for which the value is
    of the right kind; all, if it is so for none."""
    return [error for error in errors if error["type"] not in EXPECTED and error["type"] not in CHOICES] or errors


def choices_in(expected: str) -> list[str]:
    """The words that may stand at a place; pydantic lists them as `'a', 'b' or 'c'`."""
    return expected.replace("'", "").replace(" or ", ", ").split(", ")


def one_of(choices: Sequence[str]) -> str:
    return f"write {'one of ' if len(choices) > 1 else ''}{', '.join(choices)}"


def beyond(name: str, kind: str, context: Mapping[str, Any], given: object) -> str:
    """What is wrong with a value that is too large, too small, too long or empty."""
    if kind in TOO_SHORT and context["min_length"] == 1:
        return f"{name} must not be empty"
    if _is_time(kind, context):
        return f"{name} {OF_TIMES[kind][0]} {context[LIMITS[kind][0]]}"
    return f"{name} must {'have' if kind in OF_LENGTH else 'be'} {_limit(kind, context, given)}"


def within(kind: str, context: Mapping[str, Any], given: object, field: FieldInfo | None) -> str:
    """What would be right instead; `field` is that of the value, if it is one."""
    if _is_time(kind, context):
        return f"write a time {OF_TIMES[kind][1]} {context[LIMITS[kind][0]]}"
    way = f"write {_limit(kind, context, given)}"
    if field is None or kind not in TOO_SHORT:
        return way
    if isinstance(given, str) and (example := such_as(field)):
        way = f"write text{example}"
    return way if field.is_required() else f"{way}, or leave it out"


def _is_time(kind: str, context: Mapping[str, Any]) -> bool:
    return kind in OF_TIMES and not isinstance(context[LIMITS[kind][0]], int | float)


def _limit(kind: str, context: Mapping[str, Any], given: object) -> str:
    key, words = LIMITS[kind]
    limit = context[key]
    shown = f"{limit:g}" if isinstance(limit, float) else str(limit)
    if kind not in OF_LENGTH:
        return f"{words} {shown}"
    text = isinstance(given, str) or kind.startswith("string")
    one, more = ("character", "characters") if text else ("entry", "entries")
    return f"{words} {shown} {one if limit == 1 else more}"


# --- fields -----------------------------------------------------------------------------------------------------------


def such_as(field: FieldInfo) -> str:
    """` such as orders.imported`; nothing for a field without a text for its example."""
    example = next((one for one in field.examples or () if isinstance(one, str)), None)
    return "" if example is None else f" such as {example}"


def mapping_such_as(field: FieldInfo | None) -> str | None:
    """A remedy for what has to be a mapping, if its field has an example; `None` without one."""
    examples = () if field is None else field.examples or ()
    example = next((one for one in examples if isinstance(one, dict)), None)
    return None if example is None else f"write a mapping such as {_flow(example)}"


def _flow(value: object) -> str:
    """A value on one line, as it is written in YAML."""
    match value:
        case dict():
            return f"{{{', '.join(f'{key}: {_flow(one)}' for key, one in value.items())}}}"
        case list():
            return f"[{', '.join(map(_flow, value))}]"
        case str() if value.replace("-", "").isidentifier():
            return value
    return json.dumps(value, ensure_ascii=False)


def meaning(field: FieldInfo | None) -> str:
    """What a field is for, as far as its model says so, to be put after its name."""
    return f": {field.description}" if field is not None and field.description else ""


def name_of(path: str, *, own: bool) -> str:
    """The last key with its positions (`depends_on[0]`); one of the author's `own` naming with that before it."""
    return ".".join(path.split(".")[-1 if own else -2 :])


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def up_to(place: Location, location: Location) -> Location:
    """The location of an error up to the value's own place, without what pydantic calls members of unions that have no
    name. (`list[…]`, `constrained-str`)"""
    end = len(location)
    while end and (not place or location[end - 1] != place[-1]):
        end -= 1
    return [key for key in location[:end] if isinstance(key, int) or key in place or key.isidentifier()]


def is_field(model: type[BaseModel], location: Location) -> bool:
    """Whether the last key is one of a model's fields, and not a key that the author chose."""
    keys = [key for key in location if isinstance(key, str)]
    return bool(keys) and model_at(model, keys[:-1]) is not None


def field_at(model: type[BaseModel], location: Location) -> FieldInfo | None:
    owner = model_at(model, location[:-1]) if location else None
    return fields_of(owner).get(str(location[-1])) if owner is not None else None


def model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model that describes the part of `model` at `location`; `None` where that is not told by a model."""
    found = models_at(model, location)
    return found[0] if len(found) == 1 else None


def models_at(model: type[BaseModel], location: Location) -> Sequence[type[BaseModel]]:
    """The models of which one describes that part: several for a union whose member cannot be told."""
    found = [model]
    for key in location:
        if isinstance(key, int):
            continue
        fields = [fields_of(one)[key] for one in found if key in fields_of(one)]
        if fields:
            found = [one for field in fields for one in _models_in(field.annotation)]
        else:
            found = [one for one in found if key in _tags(one)]
    return found


def mapping_of(models: Sequence[type[BaseModel]], given: object, *, quote: str = "") -> str:
    """How a mapping is written that is one of these, told apart by the word in a field that all of them have.

    `given`: if it is the word of one of them, that one is shown. `quote` stands around keys and words.
    """
    tag, words = told_apart_by(models)
    if tag is None:
        return f"write a mapping: {{{quote}name{quote}: value}}"
    for model, word in zip(models, words, strict=True):
        if word == given:
            needed = [name for name, field in fields_of(model).items() if field.is_required() and name != tag]
            pairs = [f"{quote}{tag}{quote}: {quote}{word}{quote}", *(f"{quote}{name}{quote}: …" for name in needed)]
            return f"write a mapping: {{{', '.join(pairs)}}}"
    return f"write a mapping: {{{quote}{tag}{quote}: …}}, where {tag} is one of {', '.join(words)}"


def told_apart_by(models: Collection[type[BaseModel]]) -> tuple[str | None, Sequence[str]]:
    """The field that is one word in each of them, and the words."""
    for tag in fields_of(next(iter(models))) if models else ():
        words = [_only_word(fields_of(model).get(tag)) for model in models]
        if None not in words:
            return tag, [word for word in words if word is not None]
    return None, ()


def _only_word(field: FieldInfo | None) -> str | None:
    words = get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()
    return words[0] if len(words) == 1 and isinstance(words[0], str) else None


def _tags(model: type[BaseModel]) -> set[object]:
    """pydantic puts name or tag of the chosen member of a union into a location; it is no key of the user's."""
    literals = (field.annotation for field in model.model_fields.values() if get_origin(field.annotation) is Literal)
    return {model.__name__, *(tag for literal in literals for tag in get_args(literal))}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
