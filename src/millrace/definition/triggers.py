"""What a definition says about its triggers: their ids, their configs against the models of their types, and what the
expressions in `if` and `input` read. They are read when the trigger fires, before there is a run.
"""

from dataclasses import dataclass
from itertools import chain

from millrace.core.values import JsonObject, JsonValue
from millrace.definition import configs, references, rough
from millrace.definition.expressions.check import check_templates
from millrace.definition.expressions.faults import ExpressionFault
from millrace.definition.expressions.paths import PathRead
from millrace.definition.expressions.templates import templates_in
from millrace.definition.faults import FaultList, at
from millrace.definition.model import Canonical, Trigger
from millrace.definition.words import hint
from millrace.ports.trigger import SECRET_REFERENCE, NamesSecrets, TriggerType, TriggerTypes

NO_EXPRESSION = "this is read when the definition is saved; an expression in it is not replaced"
ONLY_REFERENCE = "this is a secret; no other expression is replaced here"


@dataclass(frozen=True, slots=True)
class Readable:
    """What expressions of one trigger may read."""

    type: str
    fields: frozenset[str] | None
    """Of `trigger`; `None` if it cannot be told which there are."""
    variables: frozenset[str] | None

    def fault_of(self, read: PathRead) -> tuple[str, str] | None:
        """What is wrong with a path, and what would be right."""
        name = read.keys[0] if read.keys and isinstance(read.keys[0], str) and not read.optional else None
        match read.root:
            case "trigger" if name is not None and self.fields is not None and name not in self.fields:
                known = sorted(self.fields)
                message = f"trigger has no field {name!r} when it is of type {self.type}{hint(name, known)}"
                return message, f"the fields are {', '.join(known)}"
            case "variables" if name is not None and self.variables is not None and name not in self.variables:
                return f"there is no variable {name!r}{hint(name, self.variables)}", "declare it under `variables`"
            case "trigger" | "variables":
                return None
            case "event":
                return "event has a value in the `filter` of a task that waits for one", "write trigger.event"
            case _:
                return f"{read.root} has no value before the run starts", "use trigger or variables"


def check_triggers(
    triggers: JsonValue, variables: frozenset[str] | None, types: TriggerTypes, faults: FaultList
) -> None:
    """Add everything that is wrong with them. `variables`: those that are declared, `None` if that cannot be told."""
    seen: dict[str, int] = {}
    for position, trigger in enumerate(rough.items(triggers)):
        if isinstance(trigger, dict):
            path = at("triggers", position)
            _check_id(trigger, position, seen, faults)
            _check_config(trigger, path, types, faults)
            _check_expressions(trigger, path, variables, types, faults)


def trigger_warnings(model: Canonical, types: TriggerTypes) -> list[str]:
    """What does not work yet though it is accepted."""
    return [
        f"trigger `{trigger.id}` ({trigger.type}) is stored and does not fire in this release"
        for trigger in model.triggers
        if trigger.type not in types
    ]


def _check_id(trigger: JsonObject, position: int, seen: dict[str, int], faults: FaultList) -> None:
    trigger_id = trigger.get("id")
    if isinstance(trigger_id, str) and seen.setdefault(trigger_id, position) != position:
        message = f"the id {trigger_id} is also that of triggers[{seen[trigger_id]}]"
        faults.add(f"triggers[{position}].id", "duplicate", message, "give each trigger an id of its own")


def _check_config(trigger: JsonObject, path: str, types: TriggerTypes, faults: FaultList) -> None:
    kind, config = _type_of(trigger, types), trigger.get("config")
    place = at(path, "config")
    if kind is None:
        references.check_syntax({"config": config}, path, faults)
        return
    if config is not None and not isinstance(config, dict):
        return
    final = _check_no_expressions(config or {}, place, kind, faults)
    configs.check_config(config or {}, kind.config_model, place, faults, owner=Trigger, part=trigger, final=final)


def _check_no_expressions(config: JsonObject, place: str, kind: type[TriggerType], faults: FaultList) -> bool:
    """Nothing in a config is replaced but references to secrets, where its type has such; whether it has no others."""
    final = True
    model: object = kind.config_model
    secret = model.secret_fields() if isinstance(model, NamesSecrets) else frozenset()
    texts = dict(templates_in(config))
    for where, found in check_templates(config):
        path = f"{place}.{where}"
        if where in secret and SECRET_REFERENCE.fullmatch(texts[where]) is not None:
            continue
        final = False
        if isinstance(found, ExpressionFault):
            references.tell(found, path, faults)
        elif where not in secret:
            faults.add(path, "expression", NO_EXPRESSION, "write the value itself")
        else:
            faults.add(path, "expression", ONLY_REFERENCE, "write {{ secrets.NAME }} and nothing else")
    return final


def _check_expressions(
    trigger: JsonObject, path: str, variables: frozenset[str] | None, types: TriggerTypes, faults: FaultList
) -> None:
    kind, name = _type_of(trigger, types), trigger.get("type")
    readable = Readable(str(name), None if kind is None else kind.fields, variables)
    condition = trigger.get("if")
    sound = not isinstance(condition, str) or references.is_one_expression(condition, at(path, "if"), faults)
    read = [check_templates(trigger.get(key), at(path, key)) for key in (("if", "input") if sound else ("input",))]
    for place, found in chain.from_iterable(read):
        if isinstance(found, ExpressionFault):
            references.tell(found, place, faults)
            continue
        for fault in filter(None, map(readable.fault_of, found.reads)):
            message = f"in {{{{ {references.shortened(found.source)} }}}}: {fault[0]}"
            faults.add(place, "unknown_name", message, fault[1])


def _type_of(trigger: JsonObject, types: TriggerTypes) -> type[TriggerType] | None:
    name = trigger.get("type")
    return types.get(name) if isinstance(name, str) else None
