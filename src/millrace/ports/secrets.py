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


class SecretSpans(Protocol):
    """Where known secrets stand in a text, for whoever cuts one: half a secret would not be masked behind the cut."""

    @property
    def longest(self) -> int:
        """Characters of the longest form that a secret takes; 0 while none is known."""
        ...

    def around(self, text: str, at: int) -> tuple[int, int]:
        """The stretch of secrets that a cut before the character `at` would go through; `(at, at)` if it is free."""
        ...


class NoSecrets:
    """Meets `SecretSpans` where no secrets can be."""

    longest = 0

    def around(self, text: str, at: int) -> tuple[int, int]:
        return at, at


def beginning(text: str, limit: int, secrets: SecretSpans) -> str:
    """At most `limit` characters of `text`, cut before a secret that goes on behind them."""
    return text if len(text) <= limit else text[: secrets.around(text, limit)[0]]


class Masker(SecretSpans, Protocol):
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
