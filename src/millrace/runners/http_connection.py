"""A named connection under an `http` task: the address that its url goes on from, and how it signs in.

The task's url can only add to the connection's address: it can name no other host, so the connection's credentials go
nowhere else.
"""

from typing import Any

from pydantic import TypeAdapter

from millrace.ports.connections import Connection, ConnectionUnavailable
from millrace.runners.http_auth import Auth

TYPES = frozenset({"http"})

_AUTH: TypeAdapter[Any] = TypeAdapter(Auth)


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
    """How it signs in; `None` if it does not."""
    given = connection.config.get("auth")
    return None if given is None else _AUTH.validate_python(given)
