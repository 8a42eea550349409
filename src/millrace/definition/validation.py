"""Validation: from what a user wrote to a canonical definition, or to everything that is wrong with it, at once.

    shape → structure → names → graph → task types and their configs → expressions → input schema → canonical

Later steps run on whatever the earlier ones could make sense of, so that one mistake does not hide the others.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from millrace.core.values import PLAIN_VALUES, InvalidValue, JsonObject, JsonValue, check_value
from millrace.definition import configs, graph, inputs, references, rough
from millrace.definition.credentials import credential_warnings
from millrace.definition.expectations import fields_of
from millrace.definition.faults import FaultList, InvalidDefinition, at, in_order, kind_of
from millrace.definition.model import MOST_TASKS, ON_ROLLBACK, TASK_LISTS, TYPES_NOT_YET, Canonical, Task
from millrace.definition.names import numbered, task_id_from
from millrace.definition.shapes.accepted import to_canonical
from millrace.definition.stored import Definition
from millrace.definition.structure import ConfigFields, read_structure
from millrace.definition.triggers import check_triggers, trigger_warnings
from millrace.definition.words import hint
from millrace.ports.runner import AnyRunner
from millrace.ports.trigger import TriggerTypes


@dataclass(frozen=True, slots=True)
class Validated:
    """A definition that is accepted: its canonical form, and what the author should know all the same."""

    canonical: JsonObject
    warnings: tuple[str, ...]
    definition: Definition


def validate(raw: JsonObject, *, task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes) -> Validated:
    """Check a definition of any accepted shape. Raises `InvalidDefinition` with every fault."""
    faults = FaultList()
    model = _read(raw, task_types, trigger_types, faults)
    if faults or model is None:
        raise InvalidDefinition(in_order(faults.found, raw))
    canonical = _canonical(model)
    return Validated(canonical, _warnings(model, trigger_types), Definition(canonical))


def _read(
    raw: JsonObject, task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes, faults: FaultList
) -> Canonical | None:
    """The definition as a model, if it can be one, and all faults."""
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
    named = _with_ids(rewritten.raw)
    model = read_structure(named, faults, _config_fields(task_types, trigger_types))
    if faults.full:
        return None
    _check_whole(named, rough.nested_ids(rewritten.raw), model, task_types, faults)
    check_triggers(named.get("triggers"), rough.declared(named.get("variables")), trigger_types, faults)
    return model


def _config_fields(task_types: Mapping[str, AnyRunner], trigger_types: TriggerTypes) -> ConfigFields:
    """Which fields the config of a task or trigger has."""

    def fields(part: JsonObject, is_trigger: bool) -> Collection[str]:
        kind = part.get("type")
        found = (trigger_types if is_trigger else task_types).get(kind) if isinstance(kind, str) else None
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


def _check_whole(
    raw: JsonObject,
    unread: frozenset[str],
    model: Canonical | None,
    task_types: Mapping[str, AnyRunner],
    faults: FaultList,
) -> None:
    """What only the whole definition can tell. Looks at the tasks that are well-formed, if not all are."""
    lists, written = rough.tasks_in(raw, model), rough.lists_of(raw)
    schema = raw.get("input")
    if isinstance(schema, dict):
        inputs.check_schema(schema, "input", faults)
    names = references.Names(
        variables=rough.declared(raw.get("variables")),
        inputs=rough.closed_inputs(schema),
        tasks=_check_ids(lists, faults),
        twice=rough.twice(task.id for tasks in lists.values() for task in tasks),
        unread=unread,
    )
    for name, tasks in lists.items():
        ancestors = _check_order(name, tasks, written[name], names, faults)
        for position, task in enumerate(tasks):
            if faults.full:
                return
            part = rough.mapping(written[name][position])
            _check_task(task, part, at(name, position), name, ancestors, names, task_types, faults)
    references.check_value(raw.get("output"), references.Reader("output", None), names, faults)
    for name in ("concurrency", "rate_limit"):
        key = rough.mapping(raw.get(name)).get("key")
        references.check_value(key, references.Reader(at(name, "key"), references.BEFORE_START), names, faults)


def _check_order(
    name: str, tasks: Sequence[Task], written: Sequence[JsonValue], names: references.Names, faults: FaultList
) -> graph.Ancestors:
    """Who goes before whom in a list. Where an id stands for two tasks, it is not known which one was meant."""
    graph.check_dependencies(name, tasks, names.tasks, names.twice, faults)
    known = frozenset(str(task.id) for task in tasks) - names.twice
    keys = [str(task.id) if task.id in known else at(name, number) for number, task in enumerate(tasks)]
    needs = graph.needs_of([(key, rough.usable(task, known)) for key, task in zip(keys, tasks, strict=True)])
    graph.check_cycles(graph.TaskList(name, keys, needs), faults)
    return graph.Ancestors(needs, [key for key, part in zip(keys, written, strict=False) if rough.unsure(part, known)])


def _check_task(
    task: Task,
    part: JsonObject,
    path: str,
    list_name: str,
    ancestors: graph.Ancestors,
    names: references.Names,
    task_types: Mapping[str, AnyRunner],
    faults: FaultList,
) -> None:
    runner = _runner_of(task, path, task_types, faults)
    literal = runner.literal_fields if runner is not None else frozenset()
    config = rough.mapping(task.config)
    literals = {name for name in literal if isinstance(config.get(name), str)}
    reader = references.Reader(at(path, "config"), list_name, task.id, ancestors, secrets=True)
    templates = {key: value for key, value in config.items() if key not in literals}
    references.check_value(templates, reader, names, faults)
    references.check_literals(config, literals, reader.path, faults)
    if runner is not None and isinstance(task.config, dict):
        configs.check_config(config, runner.config_model, reader.path, faults, owner=Task, part=part)
    if isinstance(task.if_, str):
        condition = replace(reader, path=at(path, "if"), secrets=False)
        if references.is_one_expression(task.if_, condition.path, faults):
            references.check_value(task.if_, condition, names, faults)


def _runner_of(task: Task, path: str, task_types: Mapping[str, AnyRunner], faults: FaultList) -> AnyRunner | None:
    runner = task_types.get(task.type)
    if runner is not None or not task.type:
        return runner
    place = at(path, "type")
    if task.type in TYPES_NOT_YET:
        faults.add(place, "not_supported", f"the task type {task.type} is not supported yet", "use another for now")
    else:
        guess = hint(task.type, task_types)
        remedy = f"the task types here are {', '.join(sorted(task_types))}"
        faults.add(place, "unknown_type", f"there is no task type {task.type!r}{guess}", remedy)
    return None


# --- names ------------------------------------------------------------------------------------------------------------


def _with_ids(raw: JsonObject) -> JsonObject:
    """`raw` with an id for every task and trigger that has none; what is malformed is left as it is."""
    named = dict(raw)
    tasks = _IdMaker(part for written in rough.lists_of(raw).values() for part in rough.mappings(written))
    triggers = _IdMaker(rough.mappings(raw.get("triggers")))
    for name, maker, source in (*((name, tasks, "name") for name in TASK_LISTS), ("triggers", triggers, "type")):
        if isinstance(raw.get(name), list):
            named[name] = [maker.with_id(rough.without_nested(part), source) for part in rough.items(raw[name])]
    named_tasks = [_with_undoing_ids(task, tasks) for task in rough.items(named.get("tasks"))]
    return {**named, "tasks": named_tasks} if named_tasks else named


def _with_undoing_ids(task: JsonValue, maker: "_IdMaker") -> JsonValue:
    if not isinstance(task, dict) or not isinstance(task.get(ON_ROLLBACK), list):
        return task
    undoing = [maker.with_id(rough.without_nested(part), "name") for part in rough.items(task[ON_ROLLBACK])]
    return {**task, ON_ROLLBACK: undoing}


class _IdMaker:
    """Makes ids that no other of the same kind has."""

    def __init__(self, parts: Iterable[JsonObject]) -> None:
        self._taken = {str(part["id"]) for part in parts if part.get("id") is not None}
        self._counts: dict[str, int] = {}

    def with_id(self, part: JsonValue, source: str) -> JsonValue:
        """`part`, with an id made from its field `source` if it has none."""
        if not isinstance(part, dict) or part.get("id") is not None or not {"name", "type"} & part.keys():
            return part
        made = numbered(task_id_from(_text(part, source)), self._taken, self._counts)
        return {"id": made, **{key: value for key, value in part.items() if key != "id"}}


def _check_ids(lists: Mapping[str, Sequence[Task]], faults: FaultList) -> dict[str, str]:
    """All ids and the list each stands in; an id that is used twice is a fault."""
    seen: dict[str, tuple[str, int]] = {}
    for name, tasks in lists.items():
        for position, task in enumerate(tasks):
            if faults.full:
                return {}
            if task.id in seen:
                other, number = seen[task.id]
                message = f"the id {task.id} is also that of {faults.place(f'{other}[{number}]')}"
                remedy = "give one of them another id: ids are unique in the whole definition"
                faults.add(f"{name}[{position}].id", "duplicate", message, remedy)
            elif task.id is not None:
                seen[task.id] = (name, position)
    return {task_id: name for task_id, (name, _) in seen.items()}


def _text(part: JsonValue, key: str) -> str:
    value = part.get(key) if isinstance(part, dict) else None
    return value if isinstance(value, str) and value.strip() else "task"


# --- the result -------------------------------------------------------------------------------------------------------


def _canonical(model: Canonical) -> JsonObject:
    """What was set, in the order of the model; a field that is null, or empty and need not be there, is left out."""
    dumped: JsonObject = model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return {key: value for key, value in dumped.items() if value or key in ("tasks", "output")}


def _warnings(model: Canonical, trigger_types: TriggerTypes) -> tuple[str, ...]:
    return (
        *trigger_warnings(model, trigger_types),
        *inputs.schema_warnings(model.input, "input"),
        *credential_warnings(model),
    )
