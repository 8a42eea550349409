"""Who makes a request, as far as the rest of Millrace needs to know. How that was proven stays in `authentication`."""

from dataclasses import dataclass
from enum import StrEnum

from millrace.auth.permissions import Access, Permission, Role
from millrace.core.values import Instant


class UserKind(StrEnum):
    PERSON = "person"
    SERVICE = "service"
    """An account of a program: it has API keys and no password."""


@dataclass(frozen=True, slots=True)
class Principal:
    user_id: str
    name: str
    role: Role
    kind: UserKind
    credential_id: str
    """The API key or the session by which it was proven."""
    scopes: frozenset[Permission] | None = None
    """What the credential is for; `None`: all that the role has."""
    session_id: str | None = None
    key_expires_at: Instant | None = None
    """Of an API key that ends some time."""
    must_change_password: bool = False
    """Until then nothing but the own account can be used: somebody else knows the password."""
    access: Access = Access.ALL
    """Whether the role holds of all workflows, or of none but those that were granted."""
