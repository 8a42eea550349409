"""The port for trigger types: what a definition may say about one, and what is told about it to users."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from millrace.core.values import JsonObject
from millrace.ports.runner import ConfigModel

SECRET_REFERENCE = re.compile(r"\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}", re.ASCII)
"""The one expression that may stand in the config of a trigger, in place of a secret."""

RouteKind: TypeAlias = Literal["webhook", "event"]


@dataclass(frozen=True, slots=True)
class Route:
    """By what a trigger is found when something happens."""

    kind: RouteKind
    key: str | None
    """Of a webhook: its path, without a slash before it; `None` for one that nobody can guess. Of an event: its type,
    `orders.*` for all types that begin with `orders.`, or `*`."""


class Routed(Protocol):
    """A trigger type whose triggers wait for something to come in."""

    @classmethod
    def routes(cls, config: JsonObject) -> tuple[Route, ...]:
        """The routes of a trigger with this `config`, which was checked when it was saved."""
        ...


@runtime_checkable
class NamesSecrets(Protocol):
    """A config model with fields that are references to secrets, whose values are looked up when they are needed."""

    def secret_fields(self) -> frozenset[str]:
        """A class method: places in the config, such as `authentication.secret`."""
        ...


class TriggerType(Protocol):
    """One trigger type. The API and UI show `summary` and the schema of `config_model`."""

    type: ClassVar[str]
    summary: ClassVar[str]
    config_model: ClassVar[ConfigModel]
    fields: ClassVar[frozenset[str]]
    """What `trigger` holds in expressions when a trigger of this type fires."""


TriggerTypes: TypeAlias = Mapping[str, type[TriggerType]]
"""The trigger types of this installation, by name."""
