"""Validation: from what a user wrote to a canonical definition, or to everything that is wrong with it, at once.

    shape → structure → names → graph → task types and their configs → expressions → input schema → canonical

Later steps run on whatever the earlier ones could make sense of, so that one mistake does not hide the others.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from millrace.core.values import PLAIN_VALUES, InvalidValue, JsonObject, check_value
from millrace.definition import inputs, references, rough
from millrace.definition.controls.kinds import CONTROL_CONFIGS
from millrace.definition.credentials import credential_warnings
from millrace.definition.expectations import fields_of
from millrace.definition.faults import FaultList, InvalidDefinition, at, in_order, kind_of
from millrace.definition.model import MOST_TASKS, TASK_LISTS, Canonical
from millrace.definition.naming import with_ids
from millrace.definition.readers import Reader, When
from millrace.definition.redaction import check_redaction
from millrace.definition.shapes.accepted import to_canonical
from millrace.definition.shapes.rewritten import Rewritten
from millrace.definition.stored import Definition
from millrace.definition.structure import ConfigFields, read_structure
from millrace.definition.tasks import check_tasks
from millrace.definition.triggers import check_triggers, trigger_warnings
from millrace.ports.runner import AnyRunner
from millrace.ports.trigger import TriggerTypes


@dataclass(frozen=True, slots=True)
class Validated:
    """A definition that is accepted: its canonical form, and what the author should know all the same.

    `place` says where a path of the canonical form is in the user's own text.
    """

    canonical: JsonObject
    warnings: tuple[str, ...]
    definition: Definition
    place: Callable[[str], str]


def validate(raw: JsonObject, *, task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes) -> Validated:
    """Check a definition of any accepted shape. Raises `InvalidDefinition` with every fault."""
    faults = FaultList()
    rewritten = _rewritten(raw, faults)
    model = None if rewritten is None else _read(rewritten.raw, task_types, trigger_types, faults)
    if faults or model is None:
        raise InvalidDefinition(in_order(faults.found, raw), None if rewritten is None else rewritten.raw, faults.place)
    canonical = _canonical(model)
    return Validated(canonical, _warnings(model, canonical, trigger_types), Definition(canonical), faults.place)


def _rewritten(raw: JsonObject, faults: FaultList) -> Rewritten | None:
    """The definition in the canonical shape; `None` and a fault if there is none to speak of."""
    if not isinstance(raw, dict):
        faults.add("", "type", f"a workflow is a mapping, not {kind_of(raw)}", "write `name: …` and `tasks: …`")
        return None
    if _is_beyond_all_limits(raw, faults):
        return None
    try:
        check_value(raw)
    except InvalidValue as error:
        faults.add(error.path, "value", error.reason, PLAIN_VALUES)
        return None
    rewritten = to_canonical(raw, faults)
    if rewritten is None:
        return None
    faults.place = rewritten.place
    return None if _has_too_many_tasks(rewritten.raw, faults) else rewritten


def _read(
    raw: JsonObject, task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes, faults: FaultList
) -> Canonical | None:
    """A definition of the canonical shape as a model, if it can be one, and all faults."""
    named = with_ids(raw)
    model = read_structure(named, faults, _config_fields(task_types, trigger_types))
    if faults.full:
        return None
    _check_whole(named, model, task_types, faults)
    check_triggers(named.get("triggers"), rough.declared(named.get("variables")), trigger_types, faults)
    return model


def _config_fields(task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes) -> ConfigFields:
    """Which fields the config of a task or trigger has."""

    def fields(part: JsonObject, is_trigger: bool) -> Collection[str]:
        kind = part.get("type")
        if not isinstance(kind, str):
            return ()
        if kind in CONTROL_CONFIGS and not is_trigger:
            return fields_of(CONTROL_CONFIGS[kind])
        found = (trigger_types if is_trigger else task_types).get(kind)
        return fields_of(found.config_model) if found is not None else ()

    return fields


def _is_beyond_all_limits(raw: JsonObject, faults: FaultList) -> bool:
    """Whether a list is so long that a look at what is in it would only take time."""
    for name in (*TASK_LISTS, "triggers"):
        count = len(rough.items(raw.get(name)))
        if count > MOST_TASKS:
            message = f"{name} must have at most {MOST_TASKS} entries, not {count}"
            faults.add(name, "value", message, "make several workflows of it")
            return True
    return False


def _has_too_many_tasks(raw: JsonObject, faults: FaultList) -> bool:
    count = sum(len(one.tasks) for one in rough.lists_of(raw))
    if count > MOST_TASKS:
        message = f"a definition must have at most {MOST_TASKS} tasks, those within others included, not {count}"
        faults.add("tasks", "value", message, "make several workflows of it, or a loop")
    return count > MOST_TASKS


def _check_whole(
    raw: JsonObject, model: Canonical | None, task_types: Mapping[str, AnyRunner], faults: FaultList
) -> None:
    """What only the whole definition can tell. Looks at the tasks that are well-formed, if not all are."""
    schema = raw.get("input")
    if isinstance(schema, dict):
        inputs.check_schema(schema, "input", faults)
    names = check_tasks(raw, model, task_types, faults)
    references.check_value(raw.get("output"), Reader("output", when=When.OUTPUT), names, faults)
    for name in ("concurrency", "rate_limit"):
        key = rough.mapping(raw.get(name)).get("key")
        references.check_value(key, Reader(at(name, "key"), when=When.BEFORE_START), names, faults)
    check_redaction(raw.get("redact"), names.tasks, faults)


# --- the result -------------------------------------------------------------------------------------------------------


def _canonical(model: Canonical) -> JsonObject:
    """What was set, in the order of the model; a field that is null, or empty and need not be there, is left out."""
    dumped: JsonObject = model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return {key: value for key, value in dumped.items() if value or key in ("tasks", "output")}


def _warnings(model: Canonical, canonical: JsonObject, trigger_types: TriggerTypes) -> tuple[str, ...]:
    return (
        *trigger_warnings(model, trigger_types),
        *inputs.schema_warnings(model.input, "input"),
        *credential_warnings(canonical),
    )
