"""What may be sent: JSON values, texts, headers. What may not is refused before anything is sent, with its place."""

import json
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from millrace.client.errors import InvalidArgument


def json_bytes(content: Any) -> bytes:
    """The content as JSON; moments in it become text. Raises `InvalidArgument`."""
    try:
        plain = _plain(content, "")
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except InvalidArgument:
        raise
    except RecursionError:
        raise InvalidArgument("", "the value is nested too deeply, or holds itself") from None
    except ValueError as error:
        raise InvalidArgument("", f"the value cannot be written as JSON: {error}") from None


def text(value: str, place: str) -> str:
    """The text itself. Raises `InvalidArgument` if it holds a lone surrogate, which no encoding knows."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(place, f"{value[error.start]!a} at {error.start} is half a character, no text") from None
    return value


def moment(value: datetime, place: str) -> str:
    if value.tzinfo is None:
        raise InvalidArgument(place, f"{value.isoformat()} has no time zone; give one: datetime(…, tzinfo=UTC)")
    return value.isoformat()


def header_value(name: str, value: Any) -> str:
    """The value of a header: visible ASCII, with spaces between. The value is not repeated, as it may be secret."""
    written = str(value)
    if not all(" " <= character <= "~" for character in written) or written != written.strip():
        raise InvalidArgument(name, "a header holds visible ASCII characters, and spaces between them")
    return written


def _plain(value: Any, place: str) -> Any:
    match value:
        case str():
            return text(value, place)
        case None | bool() | int():
            return value
        case float():
            if not isfinite(value):
                raise InvalidArgument(place, f"{value} is no JSON number; give a finite number, a text or None")
            return value
        case datetime():
            return moment(value, place)
        case Mapping():
            return {
                _key(key, place): _plain(item, f"{place}.{key}" if place else f"{key}") for key, item in value.items()
            }
        case list() | tuple():
            return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
        case _:
            raise InvalidArgument(place, f"a value of the type {type(value).__name__} is no JSON; give it as text")


def _key(key: Any, place: str) -> str:
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    if not isinstance(key, str):
        raise InvalidArgument(place, f"the key {key!r} is no text")
    return text(key, f"{place}, a key" if place else "a key")
