"""Triggers that wait for events: what their `config` takes, which events they want, and why they do not want others.

An event is found by its type, through the index of routes: a trigger has one route for each type it names, and an event
one key for each way in which its type can be named. So a million triggers cost an event nothing but those that name its
type. What is finer than type, source and subject is for the trigger's `if`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import Field, ValidationError

from millrace.core.values import Instant, JsonObject, JsonValue, to_iso
from millrace.ports.event_patterns import ANY, BELOW, Pattern, Patterns, TypePattern, Types, listed
from millrace.ports.events import OWN_TYPES
from millrace.triggers.configs import Config
from millrace.triggers.globs import fits


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as those who act on it see it."""

    id: str
    type: str
    source: str
    subject: str | None
    data: JsonValue
    at: Instant
    """When it was stored."""
    occurred_at: Instant | None = None
    """When it happened, by its source."""
    external_id: str | None = None
    """The id that its source gave it."""
    extensions: JsonObject = field(default_factory=dict)
    causation_depth: int = 0

    def shown(self) -> JsonObject:
        """`trigger.event` in expressions, and in the run."""
        return {
            "id": self.id,
            "external_id": self.external_id,
            "type": self.type,
            "source": self.source,
            "subject": self.subject,
            "time": to_iso(self.at if self.occurred_at is None else self.occurred_at),
            "data": self.data,
            "extensions": self.extensions,
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """A filter that an event does not pass: what it asks for, and what the event has."""

    filter: str
    wanted: JsonValue
    got: JsonValue
    message: str


def keys_of(type_: str) -> tuple[str, ...]:
    """Under what triggers that want this type are found, the most particular first: `a.b`, `a.*`, `*`.

    `*` is every type that others make. What Millrace tells of its own runs must be asked for by name, or each trigger
    for everything would be started by the end of its own run, again and again.
    """
    parts = type_.split(".")
    below = [".".join(parts[:length]) + BELOW for length in range(len(parts) - 1, 0, -1)]
    return (type_, *below) if type_.startswith(OWN_TYPES) else (type_, *below, ANY)


class EventConfig(Config):
    event_type: TypePattern | Types = Field(
        description="The type of the events, or several. `orders.*` is every type that begins with `orders.`, and `*` "
        "every type but those of Millrace itself.",
        examples=["orders.imported", ["orders.*", "stock.low"]],
    )
    source: Pattern | Patterns | None = Field(
        default=None,
        description="Only events from this source, or from one of several. `*` stands for any text.",
        examples=["workflows/nightly-orders", "shops/*"],
    )
    subject: Pattern | Patterns | None = Field(
        default=None,
        description="Only events about this subject, or one of several. `*` stands for any text.",
        examples=["order/*"],
    )

    @property
    def types(self) -> tuple[str, ...]:
        """Without doubles."""
        return tuple(dict.fromkeys(listed(self.event_type)))

    def key_for(self, type_: str) -> str | None:
        """The most particular of its own types that stands for this one."""
        wanted = frozenset(self.types)
        return next((key for key in keys_of(type_) if key in wanted), None)


def refusals(config: EventConfig, event: Event) -> tuple[Refused, ...]:
    """Every filter that the event does not pass; none if it is one that the trigger waits for."""
    found = []
    if config.key_for(event.type) is None:
        found.append(_refused("event_type", config.types, event.type, "type"))
    for name, wanted, got in (
        ("source", listed(config.source), event.source),
        ("subject", listed(config.subject), event.subject),
    ):
        if wanted and (got is None or not any(fits(pattern, got) for pattern in wanted)):
            found.append(_refused(name, wanted, got, name))
    return tuple(found)


def _refused(name: str, wanted: Sequence[str], got: str | None, what: str) -> Refused:
    asked: JsonValue = wanted[0] if len(wanted) == 1 else list(wanted)
    choice = repr(wanted[0]) if len(wanted) == 1 else f"one of {', '.join(map(repr, wanted))}"
    has = "the event has none" if got is None else f"that of the event is {got!r}"
    own = got is not None and name == "event_type" and got.startswith(OWN_TYPES) and ANY in wanted
    hint = "; * does not stand for Millrace's own types, so name this one" if own else ""
    return Refused(name, asked, got, f"the {what} must be {choice}; {has}{hint}")


def named(name: str, event: Event, now: Instant) -> JsonObject:
    """The name `trigger` of a firing by an event."""
    return {"id": name, "type": "event", "time": to_iso(now), "event": event.shown()}


@lru_cache(maxsize=4096)
def read_config(text: str) -> EventConfig:
    """The stored config of a trigger, read once. Raises `pydantic.ValidationError` for one of another release."""
    return EventConfig.model_validate_json(text)


def types_in(config: JsonObject) -> tuple[str, ...]:
    """The types that a stored config names. One of an earlier release, which checked none, may name what is no type;
    such a trigger waits for nothing until its workflow is saved anew."""
    try:
        return EventConfig.model_validate(config).types
    except ValidationError:
        return ()
