"""The ports for secrets: where values come from, and the one place that keeps them from going anywhere else."""

from collections.abc import Mapping
from typing import Protocol

from millrace.core.values import JsonValue


class SecretUnavailable(Exception):
    """A secret is not defined or cannot be used; the message names it and how to define it, never a value."""


class Secrets(Protocol):
    async def resolve(self, names: frozenset[str]) -> Mapping[str, str]:
        """The values of `names`. Raises `SecretUnavailable` for the first that has none."""
        ...


class Masker(Protocol):
    """Replaces every known secret value by `***`, in raw, base64, URL-encoded and JSON-escaped form.

    Log lines, failures, rendered inputs and outputs pass through it before they are stored or shown.
    """

    def text(self, text: str) -> str:
        """A line or message; passwords in URLs are masked as well."""
        ...

    def value(self, value: JsonValue) -> JsonValue:
        """A value that other tasks go on working with: secrets alone are masked."""
        ...

    def shown(self, value: JsonValue) -> JsonValue:
        """A value that is only looked at; passwords in URLs are masked as well."""
        ...
