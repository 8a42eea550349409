"""Texts that stand in a webhook's config, such as names of headers and references to secrets, each with its rule."""

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from millrace.core import durations
from millrace.core.durations import duration_text, parse_duration
from millrace.core.values import SECOND, Duration
from millrace.ports.trigger import SECRET_REFERENCE
from millrace.triggers.faults import told

LONGEST_REFERENCE = 200

USER_NAME = r"^[^:\x00-\x1f]+$"
SIGNATURE_PREFIX = r"^[!-~]*$"
BODY_PATH = r"^[^.\x00-\x1f]{1,200}(\.[^.\x00-\x1f]{1,200}){0,19}$"
"""Patterns as the JSON Schema has them; a text that breaks one is told in words."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_HEADER_VALUE = re.compile(r"[ -~]*", re.ASCII)
_USER_NAME, _SIGNATURE_PREFIX, _BODY_PATH = map(re.compile, (USER_NAME, SIGNATURE_PREFIX, BODY_PATH))

LONGEST_WAIT: Duration = 60 * SECOND
LONGEST_TOLERANCE: Duration = 3_600 * SECOND


def secret_name(reference: str) -> str | None:
    """The secret that a text refers to; `None` for a text that is no reference."""
    found = SECRET_REFERENCE.fullmatch(reference)
    return None if found is None else found[1]


def _reference(text: str) -> str:
    if secret_name(text) is None:
        remedy = "store it with `millrace secrets set NAME`, and write {{ secrets.NAME }} here"
        reason = "a secret does not stand in a definition, which everybody reads" if text else "no secret is named"
        raise told("secret_needed", reason, remedy)
    return text


def _header_name(text: str) -> str:
    if _HEADER_NAME.fullmatch(text) is None:
        raise told("header", "this cannot be the name of a header", "write such as X-Signature, at most 100 characters")
    return text


def _header_value(text: str) -> str:
    if _HEADER_VALUE.fullmatch(text) is None or text != text.strip():
        raise told("header", "no header can have this value", "write visible ASCII, with no blanks around it")
    return text


def _user_name(text: str) -> str:
    if _USER_NAME.fullmatch(text) is None:
        reason = "a user name is not empty, and has no colon and no control character"
        raise told("username", reason, "write the name such as shop; the password stands in `password`")
    return text


def _signature_prefix(text: str) -> str:
    if _SIGNATURE_PREFIX.fullmatch(text) is None:
        reason = "what stands before a signature is visible ASCII, without blanks"
        raise told("prefix", reason, "write such as sha256=, or leave it out")
    return text


def _body_path(text: str) -> str:
    if _BODY_PATH.fullmatch(text) is None:
        reason = "this names nothing in a body: it is keys with one dot between each, at most 20"
        raise told("body_path", reason, "write such as event.id")
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
    AfterValidator(_reference),
    Field(max_length=LONGEST_REFERENCE, examples=["{{ secrets.hook }}"]),
]
"""What is no reference is told so first, however long it is."""

HeaderName: TypeAlias = Annotated[
    str,
    AfterValidator(_header_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 100}),
]
HeaderValue: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_header_value)]
UserName: TypeAlias = Annotated[
    str,
    AfterValidator(_user_name),
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": USER_NAME}),
]
SignaturePrefix: TypeAlias = Annotated[
    str,
    AfterValidator(_signature_prefix),
    Field(max_length=40, json_schema_extra={"pattern": SIGNATURE_PREFIX}),
]
BodyPath: TypeAlias = Annotated[
    str,
    AfterValidator(_body_path),
    Field(max_length=1000, json_schema_extra={"pattern": BODY_PATH}),
]
Tolerance: TypeAlias = Annotated[
    str, BeforeValidator(_tolerance), WithJsonSchema({"type": ["string", "number"], "examples": ["5m"]})
]
Wait: TypeAlias = Annotated[
    str, BeforeValidator(_wait), WithJsonSchema({"type": ["string", "number"], "examples": ["30s"]})
]
