"""From arguments to requests: queries, bodies, headers, paths. Pure, shared by both clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

from millrace.client.errors import InvalidArgument
from millrace.client.values import json_bytes, moment, text

T = TypeVar("T")

Moment: TypeAlias = datetime | str
"""A `datetime` with a zone, or ISO 8601 text with one."""

Query: TypeAlias = Mapping[str, Any]


class _Unset(Enum):
    UNSET = "not given"


UNSET: Final = _Unset.UNSET
"""Stands for what is left as it is, where `None` takes it away."""
Unset: TypeAlias = Literal[_Unset.UNSET]


@dataclass(frozen=True, slots=True)
class Tagged(Generic[T]):
    """An answer with its ETag: to ask whether it has changed, or to change it only if it has not."""

    value: T
    etag: str


IfMatch: TypeAlias = int | str | Tagged[Any] | None
"""What a change is based on: the number of the newest version, an ETag, or the tagged answer that was read."""

Definition: TypeAlias = Mapping[str, Any] | str
"""A definition as mapping, or as text in YAML or JSON."""


class StartOptions(TypedDict, total=False):
    """How a run is started, besides its input; see `runs.start`."""

    variables: Mapping[str, Any] | None
    version: int | str | None
    run_at: Moment | None
    priority: int | None
    confirmation: bool | None
    correlation_id: str | None
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """What a request sends: `media_type` `None` stands for JSON values; what is `streamed` can be sent only once."""

    content: Any
    media_type: str | None = None
    streamed: bool = False

    def encoded(self) -> "Body":
        """As it is sent. Raises `InvalidArgument` for what is no JSON value."""
        return Body(json_bytes(self.content), "application/json") if self.media_type is None else self


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without those that were not given; moments as text."""
    return {name: _plain(value, name) for name, value in values.items() if value is not None}


def json_body(**values: Any) -> Body:
    return Body(given(values))


def scoped(values: Mapping[str, Any], **scope: Sequence[str] | Unset | None) -> Body:
    """A body with what something is for: `None` is sent, for it stands for all."""
    return Body({**values, **{name: value for name, value in scope.items() if value is not UNSET}})


def told(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an event tells: `None` is as if it were left out, but for its data."""
    return {name: value for name, value in event.items() if value is not None or name == "data"}


def batch_body(events: Sequence[Mapping[str, Any]]) -> Body:
    """Whole CloudEvents in one request. Raises `InvalidArgument` for what is no JSON value."""
    return Body(json_bytes(list(events)), "application/cloudevents-batch+json")


def definition_body(definition: Definition) -> Body:
    if isinstance(definition, str):
        return Body(text(definition, "definition").encode(), "application/yaml")
    return Body(dict(definition))


def label_query(labels: Mapping[str, str] | None) -> list[str] | None:
    return None if labels is None else [f"{name}:{value}" for name, value in labels.items()]


def word_query(words: str | Sequence[str] | None) -> list[str] | None:
    """One word or several; none at all is no condition."""
    return [words] if isinstance(words, str) else None if words is None else list(words)


def if_match_header(if_match: IfMatch) -> dict[str, str]:
    if if_match is None:
        return {}
    return {"If-Match": if_match.etag if isinstance(if_match, Tagged) else str(if_match)}


def path_of(*segments: str | int) -> str:
    """`/a/b`, each segment quoted. Raises `InvalidArgument` for one that would name another place."""
    for segment in segments:
        if not str(segment).strip("."):
            raise InvalidArgument("", f"{segment!r} cannot be a name or an id here")
    return "".join(f"/{quote(text(str(segment), 'a name or an id'), safe='')}" for segment in segments)


def _plain(value: Any, place: str) -> Any:
    """For queries, which hold nothing deeper; a body is looked through to its depth when it is written."""
    if isinstance(value, datetime):
        return moment(value, place)
    if isinstance(value, str):
        return text(value, place)
    if isinstance(value, list):
        return [_plain(item, place) for item in value]
    return value
