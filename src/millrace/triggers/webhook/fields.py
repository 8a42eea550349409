"""Fields that several parts of a webhook's config have: names and values of headers, references to secrets."""

import re
from typing import Annotated, LiteralString, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from millrace.core import durations
from millrace.core.durations import duration_text, parse_duration
from millrace.core.values import SECOND, Duration
from millrace.ports.trigger import SECRET_REFERENCE

LONGEST_REFERENCE = 200

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[ -~]*", re.ASCII)

LONGEST_WAIT: Duration = 60 * SECOND
LONGEST_TOLERANCE: Duration = 3_600 * SECOND


def told(kind: LiteralString, reason: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{reason}", {"reason": reason, "remedy": remedy})


def secret_name(reference: str) -> str | None:
    """The secret that a text refers to; `None` for a text that is no reference."""
    found = SECRET_REFERENCE.fullmatch(reference)
    return None if found is None else found[1]


def _reference(text: str) -> str:
    if secret_name(text) is None:
        remedy = "store it with `millrace secrets set NAME`, and write {{ secrets.NAME }} here"
        raise told("secret_needed", "a secret does not stand in a definition, which everybody reads", remedy)
    return text


def _header_name(text: str) -> str:
    if _HEADER_NAME.fullmatch(text) is None:
        raise told("header", "this cannot be the name of a header", "write such as X-Signature")
    return text


def _header_value(text: str) -> str:
    if _HEADER_VALUE.fullmatch(text) is None or text != text.strip():
        raise told("header", "no header can have this value", "write visible ASCII, with no blanks around it")
    return text


def _tolerance(value: object) -> str:
    return _limited(value, 1, LONGEST_TOLERANCE, "a tolerance is 1h at most")


def _wait(value: object) -> str:
    return _limited(value, SECOND // 10, LONGEST_WAIT, "a caller waits 60s at most")


def _limited(value: object, shortest: Duration, longest: Duration, reason: str) -> str:
    try:
        text = duration_text(value)
        length = parse_duration(text)
    except ValueError as error:
        raise told("duration", str(error), durations.REMEDY) from None
    if not shortest <= length <= longest:
        raise told("duration", f"{reason} and not nothing; this is {text}", durations.REMEDY)
    return text


SecretReference: TypeAlias = Annotated[
    str,
    Field(max_length=LONGEST_REFERENCE, examples=["{{ secrets.hook }}"]),
    AfterValidator(_reference),
]
HeaderName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_header_name)]
HeaderValue: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_header_value)]
Tolerance: TypeAlias = Annotated[
    str, BeforeValidator(_tolerance), WithJsonSchema({"type": ["string", "number"], "examples": ["5m"]})
]
Wait: TypeAlias = Annotated[
    str, BeforeValidator(_wait), WithJsonSchema({"type": ["string", "number"], "examples": ["30s"]})
]
