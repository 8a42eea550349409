"""Who makes a request, as far as the rest of Millrace needs to know. How that was proven stays in `authentication`."""

from dataclasses import dataclass

from millrace.auth.permissions import Role


@dataclass(frozen=True, slots=True)
class Principal:
    user_id: str
    name: str
    role: Role
    key_id: str
