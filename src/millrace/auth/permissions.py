"""Who may do what: one table of roles and permissions, and the one check against it.

A route or use case names the permission it needs; it never asks for a role. What a credential may do is at most what
the role of its user has at this moment, and within its scopes, if it has some.
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
    SELF = "self"
    """One's own account: name, password, logins, API keys."""
    USER_READ = "user:read"
    USER_WRITE = "user:write"
    API_KEY_WRITE = "api_key:write"
    """The API keys of others."""
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
        Permission.SELF,
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


def has(role: Role, permission: Permission) -> bool:
    return permission in PERMISSIONS[role]


def allows(principal: "Principal", permission: Permission) -> bool:
    return permission in rights_of(principal)


def rights_of(principal: "Principal") -> frozenset[Permission]:
    return within(principal.role, principal.scopes)


def within(role: Role, scopes: frozenset[Permission] | None) -> frozenset[Permission]:
    """What the role has, as far as the scopes go."""
    return PERMISSIONS[role] if scopes is None else PERMISSIONS[role] & scopes


def require(principal: "Principal", permission: Permission) -> None:
    """Raise `Forbidden` unless the principal has the permission: by his role, and by the scopes of his credential."""
    if principal.must_change_password and permission is not Permission.SELF:
        raise Forbidden(
            "password_change_needed",
            "somebody else chose the password of this account; change it first (POST /api/v1/auth/password, "
            "`millrace password`)",
        )
    if not has(principal.role, permission):
        having = ", ".join(role.value for role in Role if has(role, permission))
        raise Forbidden(
            "forbidden",
            f"the role {principal.role.value} does not have the permission {permission.value}; roles that do: {having}",
        )
    if not allows(principal, permission):
        raise Forbidden(
            "forbidden",
            f"this credential is not for the permission {permission.value}, which is not among its scopes; "
            "use another one",
        )


def require_rights(principal: "Principal", rights: frozenset[Permission], what: str) -> None:
    """Raise `Forbidden` if somebody would come by rights that the principal himself has not: `what` he wanted to do."""
    beyond = sorted(permission.value for permission in rights - rights_of(principal))
    if beyond:
        raise Forbidden("beyond_own_rights", f"{what} would give more than you have yourself: {', '.join(beyond)}")
