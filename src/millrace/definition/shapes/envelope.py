"""The envelope: `{"name", "definition": any other shape, "triggers": […], "variables": {...}}`.

The fields around the definition are those of a definition, too; what the definition in it does not say is said by them.
Where both say something, they must say the same: which of two was meant is not guessed.
"""

from millrace.core.errors import Unreadable
from millrace.core.values import PLAIN_VALUES, InvalidValue, JsonObject, JsonValue, check_value
from millrace.definition.faults import FaultList, at, kind_of
from millrace.definition.reading import read_json
from millrace.definition.shapes.rewritten import Places

KEYS = ("definition", "definition_json", "workflow_data")
OF_REQUESTS = ("status", "is_active", "deploy", "version", "comment")
"""What a request says besides the definition. Read before a definition is, and so outside of it."""

ANY_SHAPE = "write a definition of any other shape: a mapping with tasks, steps or nodes"


def key_of(raw: JsonObject) -> str | None:
    """The field that holds the definition; `None` if `raw` is no envelope."""
    return next((key for key in KEYS if raw.get(key) is not None), None)


def contents(raw: JsonObject) -> JsonObject:
    """The definition in an envelope; nothing where there is none that can be read."""
    key = key_of(raw)
    inner = None if key is None else raw[key]
    if isinstance(inner, str):
        try:
            inner = read_json(inner)
        except Unreadable:
            return {}
    return inner if isinstance(inner, dict) else {}


def opened(raw: JsonObject, faults: FaultList) -> tuple[JsonObject, Places] | None:
    """The definition in `raw` with the fields around it; `None` and a fault if there is none to speak of."""
    key = key_of(raw)
    assert key is not None, "only an envelope is opened"  # noqa: S101
    if not _is_only_one(raw, key, faults):
        return None
    inner = _read(raw[key], key, faults)
    if inner is None:
        return None
    outer = {name: value for name, value in raw.items() if name not in KEYS}
    places: Places = {} if "tasks" in outer else {"tasks": at(key, "tasks")}
    places |= {at("", name): at(key, name) for name in inner}
    for name in outer.keys() & inner.keys():
        if inner[name] is None:
            places[at("", name)] = at("", name)
        elif outer[name] is not None and outer[name] != inner[name]:
            message = f"{name} says something else than {name} beside {key}"
            faults.add(at(key, name), "contradiction", message, "leave out one of them, or make them the same")
    for name in OF_REQUESTS:
        if inner.get(name) is not None:
            message = f"{name} is not part of a definition, and another {name} stands beside {key}"
            faults.add(at(key, name), "contradiction", message, f"leave it out, or write it beside {key} only")
    said = {name: value for name, value in inner.items() if value is not None and name not in OF_REQUESTS}
    return {**outer, **said}, places


def with_request_words_outside(raw: JsonObject) -> tuple[JsonObject, Places]:
    """`raw` with what the definition in it says about the request beside it, if nothing else is said there; and where
    these words stood."""
    key, inner = key_of(raw), contents(raw)
    moved = [name for name in OF_REQUESTS if inner.get(name) is not None and raw.get(name) in (None, inner[name])]
    if key is None or not moved:
        return raw, {}
    rest = {name: value for name, value in inner.items() if name not in moved}
    return {**raw, key: rest, **{name: inner[name] for name in moved}}, {name: at(key, name) for name in moved}


def _is_only_one(raw: JsonObject, key: str, faults: FaultList) -> bool:
    others = [name for name in KEYS if name != key and raw.get(name) is not None]
    for name in others:
        message = f"{name} holds a definition, and so does {key}"
        faults.add(name, "ambiguous_shape", message, f"leave out {name} or {key}")
    return not others


def _read(value: JsonValue, key: str, faults: FaultList) -> JsonObject | None:
    if isinstance(value, str):
        try:
            value = read_json(value)
            check_value(value, path=key)
        except Unreadable as error:
            faults.add(key, "unreadable", error.message, "write the definition itself, or correct the text")
            return None
        except InvalidValue as error:
            faults.add(error.path, "value", error.reason, PLAIN_VALUES)
            return None
    if not isinstance(value, dict):
        faults.add(key, "type", f"{key} must be a definition, not {kind_of(value)}", ANY_SHAPE)
        return None
    nested = key_of(value)
    if nested is not None:
        message = "this is an envelope within an envelope"
        faults.add(at(key, nested), "ambiguous_shape", message, f"take the definition out of {key}")
        return None
    return value
