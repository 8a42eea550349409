"""Fields of configs that become part of a request: judged by the rule of the client that sends it."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from millrace.ports.sendable import NotSendable, check_characters, check_header_name, check_header_value, check_url


def checked_url(url: str) -> str:
    """The url, if a request can be sent to it."""
    return _checked(url, check_url, "url ")


def checked_path(url: str) -> str:
    """The url, if it can stand behind the address of a connection."""
    return _checked(url, check_characters, "url ")


def checked_header_name(name: str, *, subject: str = "") -> str:
    """The name, if a header can have it. `subject` is what a message calls it; without one it is shown."""
    return _checked(name, check_header_name, subject or f"{name[:100]!r} ")


def checked_header_value(value: Any) -> Any:
    return _checked(value, check_header_value, "the header ") if isinstance(value, str) else value


def _checked(text: str, check: Callable[[str], None], subject: str) -> str:
    try:
        check(text)
    except NotSendable as error:
        raise PydanticCustomError(
            "value", "{subject}{what}", {"subject": subject, "what": error.what, "remedy": error.remedy}
        ) from None
    return text


Url: TypeAlias = Annotated[str, AfterValidator(checked_url)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(checked_header_name)]
HeaderValue: TypeAlias = Annotated[Any, AfterValidator(checked_header_value)]
HeaderText: TypeAlias = Annotated[str, AfterValidator(checked_header_value)]
