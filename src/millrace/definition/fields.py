"""What single fields of a definition take: ids, durations, names, conditions, with the faults of what is none.

Everything here is shown to users, in faults and in the published JSON Schema.
"""

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from millrace.core import durations
from millrace.core.failures import FailureKind
from millrace.core.plan import JoinRule
from millrace.definition.names import LONGEST_TASK_ID, NO_TASK_ID, is_task_id, task_id_from

LONGEST_NAME = 255


def _duration(value: object) -> str:
    try:
        return durations.duration_text(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": str(error), "remedy": durations.REMEDY}) from None


def _positive(text: str) -> str:
    if durations.parse_duration(text) == 0:
        raise PydanticCustomError(
            "duration", "a limit of no time ends everything at once", {"remedy": durations.REMEDY}
        )
    return text


def _period(value: object) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError("how long data is kept is text")
        durations.parse_period(value)
    except ValueError as error:
        raise PydanticCustomError(
            "period", "{reason}", {"reason": str(error), "remedy": durations.PERIOD_REMEDY}
        ) from None
    return value


def _task_id(text: str) -> str:
    if not is_task_id(text):
        raise _no_id("task", text)
    return text


def _trigger_id(text: str) -> str:
    if not is_task_id(text):
        raise _no_id("trigger", text)
    return text


def _no_id(what: str, text: str) -> PydanticCustomError:
    """Ids of triggers follow the rule of those of tasks."""
    return PydanticCustomError(
        f"{what}_id",
        "{id} is not a {what} id",
        {
            "id": repr(text[:60]),
            "what": what,
            "remedy": f"write for example {task_id_from(text, what)}: letters, digits and underscores, not beginning "
            f"with a digit, at most {LONGEST_TASK_ID}, and none of {', '.join(sorted(NO_TASK_ID))}",
        },
    )


def _name(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("name", "a name must not be blank", {"remedy": "write a name"})
    return text


def _condition(value: object) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    remedy = 'write an expression in braces, such as if: "{{ input.day != null }}"'
    raise PydanticCustomError("condition", "a condition is text or true or false", {"remedy": remedy})


_DURATION_SCHEMA = {
    "type": ["string", "number"],
    "description": "30s, 5m, 2h, 1d, 500ms, ISO 8601 (PT5M), or a number of seconds.",
    "examples": ["30s"],
}
Delay: TypeAlias = Annotated[str, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
Limit: TypeAlias = Annotated[
    str, BeforeValidator(_duration), AfterValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)
]
Period: TypeAlias = Annotated[
    str,
    BeforeValidator(_period),
    WithJsonSchema({"type": "string", "description": "12h, 30d, 400d, or never.", "examples": ["30d"]}),
]
_ID_SCHEMA = {
    "type": "string",
    "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
    "maxLength": LONGEST_TASK_ID,
    "not": {"enum": sorted(NO_TASK_ID)},
}
TaskId: TypeAlias = Annotated[str, AfterValidator(_task_id), WithJsonSchema(_ID_SCHEMA)]
TriggerId: TypeAlias = Annotated[str, AfterValidator(_trigger_id), WithJsonSchema(_ID_SCHEMA)]
Condition: TypeAlias = Annotated[
    Any, AfterValidator(_condition), WithJsonSchema({"type": ["string", "boolean"], "examples": ["{{ input.ok }}"]})
]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_name)]
Kind: TypeAlias = Literal[
    "error", "timeout", "queue_timeout", "worker_lost", "worker_stopped", "cancelled", "refused", "expression",
    "invalid_input", "invalid_output", "rejected", "iterations",
]  # fmt: skip
Queue: TypeAlias = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Key: TypeAlias = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^{}\x00]*$")]
RedactedPath: TypeAlias = Annotated[
    str,
    Field(min_length=1, max_length=512),
    WithJsonSchema({"type": "string", "pattern": r"^\$", "maxLength": 512, "examples": ["$.input.card"]}),
]
Priority: TypeAlias = Annotated[int, Field(ge=-1000, le=1000)]
WhenFull: TypeAlias = Literal["queue", "skip", "cancel_oldest", "cancel_newest"]
Join: TypeAlias = Literal["all_success", "all_done", "one_success", "one_failed"]

assert set(get_args(Kind)) == {kind.value for kind in FailureKind}  # noqa: S101 - a literal must be spelled out
assert set(get_args(Join)) == {rule.value for rule in JoinRule}  # noqa: S101


class Part(BaseModel):
    """A mapping of a definition: unknown fields are faults, and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, serialize_by_alias=True)
