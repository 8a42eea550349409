"""The port for trigger types: what a definition may say about one, and what is told about it to users."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, TypeAlias

from millrace.ports.runner import ConfigModel


class TriggerType(Protocol):
    """One trigger type. The API and UI show `summary` and the schema of `config_model`."""

    type: ClassVar[str]
    summary: ClassVar[str]
    config_model: ClassVar[ConfigModel]
    fields: ClassVar[frozenset[str]]
    """What `trigger` holds in expressions when a trigger of this type fires."""


TriggerTypes: TypeAlias = Mapping[str, type[TriggerType]]
"""The trigger types of this installation, by name."""
