"""A named connection under an `http` task: the address that its url goes on from, and how it signs in.

The task's url can only add to the connection's address: it can name no other host, so the connection's credentials go
nowhere else.
"""

from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from millrace.ports.connections import Connection, ConnectionUnavailable
from millrace.runners.http_auth import Auth

TYPES = frozenset({"http"})

_AUTH: TypeAdapter[Any] = TypeAdapter(Auth, config=ConfigDict(hide_input_in_errors=True))


def is_relative(url: str) -> bool:
    """Whether a url names no server."""
    return "://" not in url.partition("?")[0] and not url.startswith("//")


def address_of(connection: Connection, url: str) -> str:
    """The connection's address with `url` behind it."""
    base = str(connection.config["url"])
    if not url:
        return base
    if "?" in base:
        raise ConnectionUnavailable(f"the connection {connection.name!r} is a whole address; leave url out")
    return base.rstrip("/") + (url if url.startswith("?") else f"/{url.lstrip('/')}")


def auth_of(connection: Connection) -> Any:
    """How it signs in; `None` if it does not. Raises `ConnectionUnavailable` for what an older release has kept and
    cannot be sent; no value is in its message."""
    given = connection.config.get("auth")
    if given is None:
        return None
    try:
        return _AUTH.validate_python(given)
    except ValidationError as error:
        faults = "; ".join(map(_unusable, error.errors(include_input=False, include_url=False)))
        raise ConnectionUnavailable(f"the connection {connection.name!r} cannot be used: {faults}") from None


def _unusable(fault: ErrorDetails) -> str:
    """Only our own words, whose context has a remedy: those of pydantic may repeat what was given."""
    field = ".".join(("auth", *map(str, fault["loc"][1:])))
    remedy = fault.get("ctx", {}).get("remedy")
    return f"{field} is not valid; set it again" if remedy is None else f"{field}: {fault['msg']}; {remedy}"
