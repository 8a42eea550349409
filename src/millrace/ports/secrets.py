"""The ports for secrets: where values come from, and the one place that keeps them from going anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from millrace.core.values import JsonValue
from millrace.ports.hosts import ANY_HOST, HostLimit


class SecretUnavailable(Exception):
    """A secret is not defined or cannot be used; the message names it and how to define it, never a value."""


@dataclass(frozen=True, slots=True)
class SecretUse:
    """What values are wanted for. Whether they are given is judged by it at each use, and never remembered."""

    workflow: str | None
    """Name of the workflow. `None` only where a person who may do so tries a connection out, for no workflow."""
    by: str
    """Who gets the values, for messages: such as `tasks of the type shell`."""
    keeps_to_hosts: bool = False
    """Whether he sees to it that the values go nowhere but to the hosts that they are for."""


OF_NOBODY = SecretUse("", "nobody")
"""The use of a program that does not say what it is at work for: it gets what every workflow gets, and no more."""


@dataclass(frozen=True, slots=True)
class ResolvedSecrets:
    values: Mapping[str, str]
    hosts: HostLimit = ANY_HOST
    """Where whoever has got the values may connect to."""


class Secrets(Protocol):
    async def resolve(self, names: frozenset[str], use: SecretUse) -> ResolvedSecrets:
        """The values of `names`, for this use. Raises `SecretUnavailable` for the first that has none, that is not
        for this workflow, or that is bound to hosts which this use cannot keep to."""
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
