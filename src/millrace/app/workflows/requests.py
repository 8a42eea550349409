"""What a request about a workflow says besides the definition: status, deployment, the version it changes, a comment.

These keys stand at the top level of the body next to the definition's own and are taken out of it here, so that
everything behind sees a definition and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import kind_of

STATUSES: Final = ("draft", "active", "paused", "inactive", "archived")
LONGEST_COMMENT = 2000


@dataclass(frozen=True, slots=True)
class SaveOptions:
    status: str | None = None
    """The status to have from now on; `None` leaves it, or makes a new workflow active."""
    deploy: bool = True
    comment: str | None = None
    expected_version: int | None = None
    """The version the caller believes to change; `None` changes whichever is the newest."""


def split(body: JsonValue) -> tuple[JsonObject, SaveOptions]:
    """The definition part of a request body, and the rest. Raises `InvalidRequest` with every fault of the rest."""
    if not isinstance(body, dict):
        fault = Fault("", "type", f"a workflow is a mapping, not {kind_of(body)}", "write `name: …` and `tasks: …`")
        raise InvalidRequest("invalid_definition", "the request is not a workflow definition", faults=[fault])
    faults: list[Fault] = []
    read = _Reader(body, faults)
    status = read.take("status", lambda value: value in STATUSES, f"one of {', '.join(STATUSES)}")
    active = read.take("is_active", lambda value: isinstance(value, bool), "true (active) or false (paused)")
    deploy = read.take("deploy", lambda value: isinstance(value, bool), "true or false")
    comment = read.take("comment", _is_comment, f"text of at most {LONGEST_COMMENT} characters")
    version = read.take("version", _is_version, "the number of the version this changes, for example 3")
    if faults:
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)
    if status is None and active is not None:
        status = "active" if active else "paused"
    return (
        {key: value for key, value in body.items() if key not in read.taken},
        SaveOptions(
            status=None if status is None else str(status),
            deploy=deploy is not False and status != "draft",
            comment=None if comment is None else str(comment),
            expected_version=version if isinstance(version, int) else None,
        ),
    )


class _Reader:
    def __init__(self, body: JsonObject, faults: list[Fault]) -> None:
        self._body = body
        self._faults = faults
        self.taken: set[str] = set()

    def take(self, key: str, accepts: Callable[[JsonValue], bool], remedy: str) -> JsonValue:
        self.taken.add(key)
        value = self._body.get(key)
        if value is not None and not accepts(value):
            self._faults.append(Fault(key, "value", f"{key} cannot be {_shown(value)}", f"write {remedy}"))
            return None
        return value


def _is_comment(value: JsonValue) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_COMMENT and "\0" not in value


def _is_version(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _shown(value: JsonValue) -> str:
    return repr(value)[:40] if isinstance(value, str | int | float) else kind_of(value)
