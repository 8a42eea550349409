"""JSON that is given as the value of an option: as it is, or `@FILE` with it, or `@-` for stdin."""

import json
import sys
from pathlib import Path

from millrace.cli.connection import CommandError
from millrace.core.values import JsonValue

FROM = "@"
STDIN = "-"


def json_value(option: str, given: str) -> JsonValue:
    """Raises `CommandError` if the file cannot be read, or there is no JSON."""
    place = f"{option} {given}" if given.startswith(FROM) else option
    try:
        text = _read(given.removeprefix(FROM)) if given.startswith(FROM) else given
        value: JsonValue = json.loads(text, parse_constant=_no_json)
    except OSError as error:
        raise CommandError(f"{place}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{place}: not JSON: {error}") from None
    return value


def _read(place: str) -> str | bytes:
    return sys.stdin.buffer.read() if place == STDIN else Path(place).read_bytes()


def _no_json(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")
