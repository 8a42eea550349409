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
    TRIGGER_READ = "trigger:read"
    TRIGGER_CONTROL = "trigger:control"
    EVENT_READ = "event:read"
    EVENT_PUBLISH = "event:publish"
    ARTIFACT_READ = "artifact:read"
    ARTIFACT_UPLOAD = "artifact:upload"
    ARTIFACT_DELETE = "artifact:delete"
    WORKER_READ = "worker:read"
    DOCTOR_READ = "doctor:read"
    RETENTION_READ = "retention:read"
    RETENTION_RUN = "retention:run"
    DATABASE_BACKUP = "database:backup"
    SETTINGS_READ = "settings:read"
    SECRET_READ = "secret:read"  # noqa: S105
    SECRET_WRITE = "secret:write"  # noqa: S105
    CONNECTION_READ = "connection:read"
    CONNECTION_WRITE = "connection:write"
    CONNECTION_TEST = "connection:test"
    AGENT_READ = "agent:read"
    AGENT_WRITE = "agent:write"
    AGENT_CHECK = "agent:check"
    ENCRYPTION_KEY_ROTATE = "encryption_key:rotate"


_VIEW = frozenset(
    {
        Permission.WORKFLOW_READ,
        Permission.RUN_READ,
        Permission.TRIGGER_READ,
        Permission.ARTIFACT_READ,
        Permission.EVENT_READ,
    }
)
_OPERATE = _VIEW | {
    Permission.ARTIFACT_UPLOAD,
    Permission.RUN_START,
    Permission.RUN_CONTROL,
    Permission.TRIGGER_CONTROL,
    Permission.EVENT_PUBLISH,
    Permission.WORKER_READ,
    Permission.DOCTOR_READ,
    Permission.RETENTION_READ,
    Permission.AGENT_READ,
    Permission.AGENT_CHECK,
}
_DEVELOP = _OPERATE | {
    Permission.ARTIFACT_DELETE,
    Permission.WORKFLOW_WRITE,
    Permission.SECRET_READ,
    Permission.CONNECTION_READ,
    Permission.CONNECTION_TEST,
}

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
