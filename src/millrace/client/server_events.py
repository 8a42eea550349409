"""Server-sent events, from lines to events. Pure: who reads the lines, and from where, is not known here."""

import json
from dataclasses import dataclass
from typing import Any

from millrace.client.errors import UnexpectedAnswer


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`number` is where the stream goes on after it; without `data` it only says that."""

    name: str
    number: str | None
    data: Any


class EventParser:
    """Give it line after line; at the end of an event it answers it."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> ServerEvent | None:
        """Raises `UnexpectedAnswer` when the data of an event is not JSON."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data" and name in self._fields:
                value = f"{self._fields[name]}\n{value}"
            self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        data = fields.get("data")
        try:
            content = None if data is None else json.loads(data)
        except (ValueError, RecursionError):
            raise UnexpectedAnswer("the data of an event is not JSON; is it a Millrace server?") from None
        return ServerEvent(fields.get("event", "message"), fields.get("id"), content)
