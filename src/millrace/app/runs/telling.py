"""What a run is told from outside while it runs: any JSON, of a bounded size, that every part of Millrace can keep."""

from typing import Final

import orjson

from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import PLAIN_VALUES, InvalidValue, JsonValue, check_value

LARGEST: Final = 65_536
"""Bytes of JSON. What is told stands in the inbox, in the run's own row until a task takes it, and in that task's
output: what is larger belongs into an artifact."""


def check_told(name: str, value: JsonValue) -> None:
    """Raise `InvalidRequest` for what cannot be stored or is too large; `name` is its place in the request."""
    try:
        check_value(value, path=name)
    except InvalidValue as error:
        fault = Fault(error.path, "value", error.reason, PLAIN_VALUES)
    else:
        size = len(orjson.dumps(value))
        if size <= LARGEST:
            return
        message = f"{name} takes {size:,} bytes of JSON, and may take {LARGEST:,}"
        fault = Fault(name, "value", message, "send an artifact, and tell its id")
    raise InvalidRequest("invalid_input", f"{name} cannot be taken", faults=[fault])
