"""The port for named connections: what a task needs to reach a database, a mail server or a hook, kept under a name."""

from dataclasses import dataclass
from typing import Protocol

from millrace.core.values import JsonObject
from millrace.ports.secrets import OF_NOBODY, SecretUse


class ConnectionUnavailable(Exception):
    """There is no such connection, or it cannot be used; the message names it and what to do, never a value."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`config` is complete, secrets included: it must not be shown, and its secrets are known to the masker.

    By type: `postgresql | mysql | mariadb` host, port, database, user, password, tls; `sqlite` path; `smtp` host, port,
    tls, user, password, from; `http` url, and auth as the task type `http` has it. What was not given is not there.
    """

    name: str
    type: str
    config: JsonObject


class Connections(Protocol):
    async def resolve(self, name: str, *, types: frozenset[str], use: SecretUse = OF_NOBODY) -> Connection:
        """The connection with this name, for this use. Raises `ConnectionUnavailable`, also when its type is none of
        `types` and when it is not for the workflow of the use."""
        ...
