"""Who may do what: one table of roles and permissions, and the one check against it.

A route or use case names the permission it needs; it never asks for a role. What a credential may do is at most what
the role of its user has at this moment, and within its scopes, if it has some. Permissions about workflows are also
given for single ones, by grants, and a user with the access `granted` has them in no other way.
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


class Access(StrEnum):
    """Of which workflows the role of a user holds."""

    ALL = "all"
    GRANTED = "granted"
    """Of none: what may be done with a workflow is what grants on it give."""


class Grant(StrEnum):
    """What a user is given for a single workflow."""

    VIEW = "view"
    RUN = "run"
    EDIT = "edit"
    APPROVE = "approve"


class Permission(StrEnum):
    SELF = "self"
    """One's own account: name, password, logins, API keys. Who he is, everybody may ask who is known."""
    USER_READ = "user:read"
    USER_WRITE = "user:write"
    API_KEY_WRITE = "api_key:write"
    """The API keys of others."""
    WORKFLOW_READ = "workflow:read"
    WORKFLOW_WRITE = "workflow:write"
    SHELL_WRITE = "shell:write"
    """Shell and script tasks in workflows that one may write (`shell_right`)."""
    RUN_READ = "run:read"
    RUN_START = "run:start"
    RUN_CONTROL = "run:control"
    RUN_DECIDE = "run:decide"
    """Answer what a run asks of people."""
    TRIGGER_READ = "trigger:read"
    TRIGGER_CONTROL = "trigger:control"
    EVENT_READ = "event:read"
    EVENT_PUBLISH = "event:publish"
    ARTIFACT_READ = "artifact:read"
    ARTIFACT_UPLOAD = "artifact:upload"
    ARTIFACT_DELETE = "artifact:delete"
    GRANT_READ = "grant:read"
    GRANT_WRITE = "grant:write"
    WORKER_READ = "worker:read"
    DOCTOR_READ = "doctor:read"
    RETENTION_READ = "retention:read"
    RETENTION_RUN = "retention:run"
    DATABASE_BACKUP = "database:backup"
    SETTINGS_READ = "settings:read"
    SECRET_READ = "secret:read"  # noqa: S105
    SECRET_WRITE = "secret:write"  # noqa: S105
    SECRET_USE = "secret:use"  # noqa: S105
    """To name secrets in what one saves, so that its runs get them."""
    CONNECTION_READ = "connection:read"
    CONNECTION_WRITE = "connection:write"
    CONNECTION_TEST = "connection:test"
    CONNECTION_USE = "connection:use"
    """To name connections in what one saves."""
    AGENT_READ = "agent:read"
    AGENT_WRITE = "agent:write"
    AGENT_CHECK = "agent:check"
    ENCRYPTION_KEY_ROTATE = "encryption_key:rotate"
    AUDIT_READ = "audit:read"


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
    Permission.RUN_DECIDE,
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
    Permission.SHELL_WRITE,
    Permission.GRANT_READ,
    Permission.GRANT_WRITE,
    Permission.SECRET_READ,
    Permission.SECRET_USE,
    Permission.CONNECTION_READ,
    Permission.CONNECTION_TEST,
    Permission.CONNECTION_USE,
}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.DEVELOPER: _DEVELOP,
    Role.OPERATOR: _OPERATE,
    Role.VIEWER: _VIEW,
}

PER_WORKFLOW = frozenset(
    {
        Permission.WORKFLOW_READ,
        Permission.WORKFLOW_WRITE,
        Permission.RUN_READ,
        Permission.RUN_START,
        Permission.RUN_CONTROL,
        Permission.RUN_DECIDE,
        Permission.TRIGGER_READ,
        Permission.TRIGGER_CONTROL,
        Permission.ARTIFACT_READ,
        Permission.ARTIFACT_UPLOAD,
        Permission.ARTIFACT_DELETE,
        Permission.GRANT_READ,
        Permission.GRANT_WRITE,
    }
)
"""About single workflows and what belongs to them."""

ACROSS = frozenset(
    {
        Permission.AUDIT_READ,
        Permission.EVENT_READ,
        Permission.EVENT_PUBLISH,
        Permission.WORKER_READ,
        Permission.DOCTOR_READ,
        Permission.RETENTION_READ,
        Permission.RETENTION_RUN,
        Permission.DATABASE_BACKUP,
        Permission.SETTINGS_READ,
        Permission.ENCRYPTION_KEY_ROTATE,
        Permission.SECRET_USE,
        Permission.CONNECTION_USE,
        Permission.CONNECTION_TEST,
        Permission.AGENT_READ,
        Permission.AGENT_CHECK,
    }
)
"""About all workflows at once: who is to see single ones has none of these, whatever his role."""

OF_ITS_OWN = frozenset(Permission) - PER_WORKFLOW - ACROSS
"""Not about workflows: these follow the role alone."""

_GRANT_VIEW = frozenset(
    {Permission.WORKFLOW_READ, Permission.RUN_READ, Permission.TRIGGER_READ, Permission.ARTIFACT_READ}
)
GRANTED: Mapping[Grant, frozenset[Permission]] = {
    Grant.VIEW: _GRANT_VIEW,
    Grant.RUN: _GRANT_VIEW | {Permission.RUN_START, Permission.RUN_CONTROL, Permission.ARTIFACT_UPLOAD},
    Grant.EDIT: _GRANT_VIEW | {Permission.WORKFLOW_WRITE, Permission.TRIGGER_CONTROL, Permission.ARTIFACT_DELETE},
    Grant.APPROVE: _GRANT_VIEW | {Permission.RUN_DECIDE},
}
"""What each grant gives, for its workflow alone. Each lets its workflow be seen."""

GRANTABLE = frozenset[Permission]().union(*GRANTED.values())


def has(role: Role, permission: Permission) -> bool:
    return permission in PERMISSIONS[role]


def everywhere(role: Role, access: Access) -> frozenset[Permission]:
    """What a user has without any grant."""
    return PERMISSIONS[role] if access is Access.ALL else PERMISSIONS[role] & OF_ITS_OWN


def allows(principal: "Principal", permission: Permission) -> bool:
    """Whether he has it everywhere."""
    return permission in rights_of(principal)


def rights_of(principal: "Principal") -> frozenset[Permission]:
    """What he has everywhere, as far as the scopes of his credential go."""
    rights = everywhere(principal.role, principal.access)
    return rights if principal.scopes is None else rights & principal.scopes


def reach(role: Role, scopes: frozenset[Permission] | None) -> frozenset[Permission]:
    """The most that a credential can come to: the role, and whatever may be granted, as far as the scopes go."""
    most = PERMISSIONS[role] | GRANTABLE
    return most if scopes is None else most & scopes


def require_own_password(principal: "Principal") -> None:
    """Raise `Forbidden` while somebody else knows the password: he might be the one who asks."""
    if principal.must_change_password:
        raise Forbidden(
            "password_change_needed",
            "somebody else chose the password of this account; change it first (POST /api/v1/auth/password, "
            "`millrace password`)",
        )


def require_usable(principal: "Principal", permission: Permission) -> None:
    """Raise `Forbidden` for what no role and no grant can give: somebody else knows the password, or the scopes of the
    credential leave it out."""
    if permission is not Permission.SELF:
        require_own_password(principal)
    if principal.scopes is not None and permission not in principal.scopes:
        raise Forbidden(
            "forbidden",
            f"this credential is not for the permission {permission.value}, which is not among its scopes; "
            "use another one",
        )


def require(principal: "Principal", permission: Permission) -> None:
    """Raise `Forbidden` unless the principal has the permission everywhere: by his role, his access, and the scopes of
    his credential."""
    if principal.must_change_password:
        require_usable(principal, permission)
    if not has(principal.role, permission):
        having = ", ".join(role.value for role in Role if has(role, permission))
        raise Forbidden(
            "forbidden",
            f"the role {principal.role.value} does not have the permission {permission.value}; roles that do: {having}",
        )
    require_usable(principal, permission)
    if not allows(principal, permission):
        raise Forbidden(
            "forbidden",
            f"this account is restricted to what it was granted for single workflows, and {permission.value} is about "
            "all of them",
        )


def require_granted(principal: "Principal", permission: Permission, granted: frozenset[Grant]) -> None:
    """Raise `Forbidden` unless the grants on a workflow that he sees give it; the message names the grant that does."""
    require_usable(principal, permission)
    if not any(permission in GRANTED[grant] for grant in granted):
        giving = " or ".join(repr(grant.value) for grant, given in GRANTED.items() if permission in given)
        remedy = f"ask for the grant {giving} on it" if giving else "no grant on single workflows gives it"
        raise Forbidden("forbidden", f"you may not do this with this workflow ({permission.value}); {remedy}")


def require_rights(
    principal: "Principal", rights: frozenset[Permission], what: str, own: frozenset[Permission] | None = None
) -> None:
    """Raise `Forbidden` if somebody would come by rights that the principal himself has not: `what` he wanted to do.

    `own`: his rights, where they are not those that he has everywhere.
    """
    beyond = sorted(permission.value for permission in rights - (rights_of(principal) if own is None else own))
    if beyond:
        raise Forbidden("beyond_own_rights", f"{what} would give more than you have yourself: {', '.join(beyond)}")
