"""What a request about a workflow says besides the definition: status, deployment, the version it changes, a comment.

These keys stand at the top level of the body next to the definition's own (or, in an envelope, in the definition) and
are taken out of it here, so that everything behind sees a definition and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.faults import kind_of
from millrace.definition.shapes.envelope import with_request_words_outside

STATUSES: Final = ("draft", "active", "paused", "inactive", "archived")
LONGEST_COMMENT = 2000


@dataclass(frozen=True, slots=True)
class SaveOptions:
    status: str | None = None
    """The status to have from now on; `None` leaves it, or makes a new workflow active."""
    deploy: bool | None = None
    """`None` deploys what the request makes: a new version, or a draft that becomes something else."""
    comment: str | None = None
    expected_version: int | None = None
    """The version the caller believes to change; `None` changes whichever is the newest."""


def split(body: JsonValue) -> tuple[JsonObject, SaveOptions]:
    """The definition part of a request body, and the rest. Raises `InvalidRequest` with every fault of the rest."""
    if not isinstance(body, dict):
        fault = Fault("", "type", f"a workflow is a mapping, not {kind_of(body)}", "write `name: …` and `tasks: …`")
        raise InvalidRequest("invalid_definition", "the request is not a workflow definition", faults=[fault])
    faults: list[Fault] = []
    body, places = with_request_words_outside(body)
    read = _Reader(body, faults, places)
    status = read.take("status", lambda value: value in STATUSES, f"one of {', '.join(STATUSES)}")
    active = read.take("is_active", lambda value: isinstance(value, bool), "true (active) or false (paused)")
    deploy = read.take("deploy", lambda value: isinstance(value, bool), "true or false")
    comment = read.take("comment", _is_comment, f"text of at most {LONGEST_COMMENT} characters")
    version = read.take("version", _is_version, "the number of the version this changes, for example 3")
    if status is not None and isinstance(active, bool) and active != (status == "active"):
        message = f"is_active: {str(active).lower()} contradicts status: {status}"
        faults.append(Fault("is_active", "contradiction", message, "send one of them"))
    if faults:
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)
    if status is None and active is not None:
        status = "active" if active else "paused"
    return (
        {key: value for key, value in body.items() if key not in read.taken},
        SaveOptions(
            status=None if status is None else str(status),
            deploy=deploy if isinstance(deploy, bool) else None,
            comment=None if comment is None else str(comment),
            expected_version=version if isinstance(version, int) else None,
        ),
    )


@dataclass(frozen=True, slots=True)
class Position:
    """Where a task is to stand. Nothing given: at the end of `tasks`, or where it stands already."""

    list: str | None = None
    index: int | None = None
    after: str | None = None
    """Id or uid of the task that it is to follow."""

    def __bool__(self) -> bool:
        return self != Position()


def split_task(body: JsonValue) -> tuple[JsonObject, Position, SaveOptions]:
    """A task, where it is to stand, and the rest of a request body. Raises `InvalidRequest` with every fault."""
    if not isinstance(body, dict):
        fault = Fault("", "type", f"a task is a mapping, not {kind_of(body)}", "write `id: …`, `type: …`, `config: …`")
        raise InvalidRequest("invalid_request", "the request is not a task", faults=[fault])
    faults: list[Fault] = []
    read = _Reader(body, faults, {})
    within = read.take("list", _is_word, "the name of a list as GET …/tasks shows it, for example finally")
    index = read.take("index", _is_index, "a whole number from 0 on")
    after = read.take("after", _is_word, "the id or uid of a task")
    if after is not None and (index is not None or within is not None):
        faults.append(Fault("after", "value", "after says the place already", "leave out index and list"))
    deploy = read.take("deploy", lambda value: isinstance(value, bool), "true or false")
    comment = read.take("comment", _is_comment, f"text of at most {LONGEST_COMMENT} characters")
    version = read.take("version", _is_version, "the number of the version this changes, for example 3")
    if faults:
        raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)
    return (
        {key: value for key, value in body.items() if key not in read.taken},
        Position(
            None if within is None else str(within), index if isinstance(index, int) else None,
            None if after is None else str(after),
        ),
        SaveOptions(
            deploy=deploy if isinstance(deploy, bool) else None,
            comment=None if comment is None else str(comment),
            expected_version=version if isinstance(version, int) else None,
        ),
    )  # fmt: skip


class _Reader:
    """Takes words out of a body. `places`: where those stand in the request that stand elsewhere there."""

    def __init__(self, body: JsonObject, faults: list[Fault], places: Mapping[str, str]) -> None:
        self._body = body
        self._faults = faults
        self._places = places
        self.taken: set[str] = set()

    def take(self, key: str, accepts: Callable[[JsonValue], bool], remedy: str) -> JsonValue:
        self.taken.add(key)
        value = self._body.get(key)
        if value is not None and not accepts(value):
            place = self._places.get(key, key)
            self._faults.append(Fault(place, "value", f"{key} cannot be {_shown(value)}", f"write {remedy}"))
            return None
        return value


def _is_comment(value: JsonValue) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_COMMENT and "\0" not in value


def _is_word(value: JsonValue) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_COMMENT


def _is_index(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_version(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _shown(value: JsonValue) -> str:
    return repr(value)[:40] if isinstance(value, str | int | float) else kind_of(value)
