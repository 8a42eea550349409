"""Between what a request says of a webhook and what its trigger's row keeps. Pure."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
from pydantic import ValidationError

from millrace.app.request_faults import of_body
from millrace.app.triggers.repository import TriggerRow
from millrace.app.webhooks.bodies import WebhookChange
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.definition.faults import FaultList
from millrace.definition.triggers import check_triggers
from millrace.triggers.registry import TRIGGER_TYPES
from millrace.triggers.webhook.config import WebhookConfig

Given: TypeAlias = dict[str, Any]

OF_ROW = ("name", "enabled", "if", "input")
"""Fields that the row has beside its config."""

IN_CONFIG = {"url_path": "path"}
"""Fields that are called otherwise in a definition."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user says of a webhook."""

    config: JsonObject
    name: str | None = None
    enabled: bool = True
    condition: bool | str | None = None
    input: JsonObject | None = None


def settings_of(row: TriggerRow) -> Settings:
    return Settings(
        config=orjson.loads(row.config),
        name=row.name,
        enabled=row.enabled,
        condition=None if row.condition is None else orjson.loads(row.condition),
        input=orjson.loads(row.input),
    )


def merged(before: Settings, change: WebhookChange) -> Settings:
    """`before` with what was given in its place; null takes a field of the config out."""
    given: Given = change.model_dump(mode="json", by_alias=True, exclude_unset=True)
    given.pop("workflow_id", None)
    own = {name: given.pop(name) for name in OF_ROW if name in given}
    if "method" in given:
        method = given.pop("method")
        given["methods"] = given.get("methods") if method is None else [method]
    changes = {IN_CONFIG.get(name, name): value for name, value in given.items()}
    config = {name: value for name, value in {**before.config, **changes}.items() if value is not None}
    if "authentication" in changes:
        config.pop("auth", None)
    return Settings(
        config=config,
        name=own.get("name") or before.name,
        enabled=own.get("enabled", before.enabled),
        condition=own.get("if", before.condition),
        input=own.get("input", before.input),
    )


def check(settings: Settings, variables: frozenset[str]) -> None:
    """See that the parts fit together, and that its expressions can be read. Raises `InvalidRequest`."""
    try:
        WebhookConfig.model_validate(settings.config)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise _refused([_as_given(fault) for fault in of_body(settings.config, found, model=WebhookConfig)]) from None
    trigger: JsonObject = {
        "id": settings.name,
        "type": "webhook",
        "config": settings.config,
        "if": settings.condition,
        "input": settings.input or {},
    }
    faults = FaultList()
    check_triggers([trigger], variables, TRIGGER_TYPES, faults)
    if faults:
        raise _refused([_as_given(fault) for fault in faults.found])


def text(value: object) -> str:
    """As texts of rows are written everywhere, so that what means the same is the same."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _as_given(fault: Fault) -> Fault:
    """With the place in the request."""
    place = fault.path.removeprefix("triggers[0].").removeprefix("config.")
    first, dot, rest = place.partition(".")
    names = {inner: outer for outer, inner in IN_CONFIG.items()}
    return Fault(f"{names.get(first, first)}{dot}{rest}", fault.code, fault.message, fault.remedy)


def _refused(faults: list[Fault]) -> InvalidRequest:
    return InvalidRequest("invalid_request", "the request is not valid", faults=faults)
