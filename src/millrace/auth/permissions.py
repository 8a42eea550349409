"""Who may do what: one table of roles and permissions, and the one check against it.

A route or use case names the permission it needs; it never asks for a role.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from millrace.core.errors import Forbidden

if TYPE_CHECKING:
    from millrace.auth.principal import Principal


class Role(StrEnum):
    ADMIN = "admin"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Permission(StrEnum):
    WORKFLOW_READ = "workflow:read"
    WORKFLOW_WRITE = "workflow:write"
    RUN_READ = "run:read"
    RUN_START = "run:start"
    RUN_CONTROL = "run:control"
    WORKER_READ = "worker:read"
    DOCTOR_READ = "doctor:read"
    SETTINGS_READ = "settings:read"


_VIEW = frozenset({Permission.WORKFLOW_READ, Permission.RUN_READ})
_OPERATE = _VIEW | {Permission.RUN_START, Permission.RUN_CONTROL, Permission.WORKER_READ, Permission.DOCTOR_READ}
_DEVELOP = _OPERATE | {Permission.WORKFLOW_WRITE}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.DEVELOPER: _DEVELOP,
    Role.OPERATOR: _OPERATE,
    Role.VIEWER: _VIEW,
}


def allows(role: Role, permission: Permission) -> bool:
    return permission in PERMISSIONS[role]


def require(principal: "Principal", permission: Permission) -> None:
    """Raise `Forbidden` unless the principal's role has the permission."""
    if not allows(principal.role, permission):
        having = ", ".join(role.value for role in Role if allows(role, permission))
        raise Forbidden(
            "forbidden",
            f"the role {principal.role.value} does not have the permission {permission.value}; roles that do: {having}",
        )
