"""Definitions in a few words, against the real task types: say what is written, look at what is said about it."""

from functools import cache
from typing import Any

from millrace.core.errors import Fault
from millrace.core.plan import Plan
from millrace.definition import InvalidDefinition, Validated, compile_plan, validate
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.runner import RunnerServices
from millrace.runners.registry import EntryPointRegistry
from millrace.triggers.registry import TRIGGER_TYPES

NOOP: dict[str, Any] = {"id": "a", "type": "noop"}


@cache
def registry() -> EntryPointRegistry:
    """The built-in task types. They are only asked about their configs; nothing is run."""
    addresses = AddressPolicy()
    services = RunnerServices(
        http=GuardedHttpClient(addresses), addresses=addresses, sqlite_allowed_dirs=(), own_database=None
    )
    return EntryPointRegistry(services)


def workflow(*tasks: Any, **fields: Any) -> dict[str, Any]:
    """A definition with these tasks (one that does nothing, if none is given)."""
    return {"name": "w", "tasks": list(tasks) or [NOOP], **fields}


def task(id: str, type: str = "noop", /, *, config: Any = None, **fields: Any) -> dict[str, Any]:
    """A task; a trailing underscore makes a field of what is a word of Python (`if_`)."""
    made: dict[str, Any] = {"id": id, "type": type, **{key.rstrip("_"): value for key, value in fields.items()}}
    return made if config is None else {**made, "config": config}


def transform(id: str, output: Any, /, **fields: Any) -> dict[str, Any]:
    return task(id, "transform", config={"output": output}, **fields)


def accepted(raw: Any) -> Validated:
    try:
        return validate(raw, task_types=registry().types(), trigger_types=TRIGGER_TYPES)
    except InvalidDefinition as error:
        raise AssertionError("\n".join(map(line, error.faults))) from error


def canonical(raw: Any) -> dict[str, Any]:
    return accepted(raw).canonical


def plan(raw: Any) -> Plan:
    return compile_plan(accepted(raw).definition)


def faults(raw: Any) -> list[Fault]:
    """What is wrong with a definition; nothing, if it is accepted."""
    try:
        validate(raw, task_types=registry().types(), trigger_types=TRIGGER_TYPES)
    except InvalidDefinition as error:
        return list(error.faults) or [Fault("", "", "it is refused without a word")]
    return []


def told(raw: Any) -> list[tuple[str, str]]:
    """Path and code of each fault."""
    return [(fault.path, fault.code) for fault in faults(raw)]


def only(raw: Any) -> Fault:
    """The one fault of a definition that has one."""
    found = faults(raw)
    assert len(found) == 1, "\n".join(map(line, found)) or "there is no fault"
    return found[0]


def line(fault: Fault) -> str:
    return f"{fault.path or '(all)'}: {fault.code}: {fault.message} | {fault.remedy}"
