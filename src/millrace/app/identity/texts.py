"""E-mail addresses and names of users, as they are taken."""

import re
from typing import Final

from millrace.core.errors import Fault, InvalidRequest

LONGEST_EMAIL: Final = 254
LONGEST_NAME: Final = 255
NOWHERE: Final = ".invalid"
"""Ends addresses that hold the place of one (RFC 2606)."""
ERASED_NAME: Final = "erased user"

_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@.\x00-\x1f\x7f]+(?:\.[^\s@.\x00-\x1f\x7f]+)*")
_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,98}[a-z0-9])?", re.ASCII)


def plain_email(text: str) -> str:
    """As it is stored and looked for."""
    return text.strip().lower()[: LONGEST_EMAIL + 1]


def checked_email(text: str) -> str:
    """Raises `InvalidRequest`."""
    email = plain_email(text)
    if len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email) or email.endswith(NOWHERE):
        raise _refused("email", "this is no e-mail address", "write one such as ada@example.com")
    return email


def checked_name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        message = f"a name has 1 to {LONGEST_NAME} characters that can be printed"
        raise _refused("name", message, "write such as Ada Lovelace")
    return name


def checked_service_name(text: str) -> str:
    name = text.strip()
    if not _SERVICE.fullmatch(name):
        message = "the name of a service account has small letters, digits, _, - and ., at most 100 of them"
        raise _refused("name", message, "write such as deploy-bot")
    return name


def service_place(name: str) -> str:
    """In place of the e-mail address of a service account: so no two have the same name."""
    return f"{name}@service{NOWHERE}"


def deleted_place(user_id: str) -> str:
    return f"{user_id}@deleted{NOWHERE}"


def erased_place(user_id: str) -> str:
    """In place of the address of a user who was erased."""
    return f"{user_id}@erased{NOWHERE}"


def provider_place(user_id: str) -> str:
    """In place of the address of a user whose login provider has not verified one."""
    return f"{user_id}@provider{NOWHERE}"


def shown_email(email: str) -> str | None:
    return None if email.endswith(NOWHERE) else email


def _refused(path: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest("invalid_request", "the request is not valid", faults=[Fault(path, "value", message, remedy)])
