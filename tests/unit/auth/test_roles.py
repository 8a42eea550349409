"""What each role may do, word for word: a change of the table is a change of this one, too."""

from millrace.auth.permissions import PERMISSIONS, Permission, Role


def test_the_table_of_roles() -> None:
    shown = {role: sorted(permission.value for permission in PERMISSIONS[role]) for role in Role}
    more = [
        ("artifact:read", "event:read", "run:read", "self", "trigger:read", "workflow:read"),
        (
            "agent:check",
            "agent:read",
            "artifact:upload",
            "doctor:read",
            "event:publish",
            "retention:read",
            "run:control",
            "run:decide",
            "run:start",
            "trigger:control",
            "worker:read",
        ),
        (
            "artifact:delete",
            "connection:read",
            "connection:test",
            "connection:use",
            "grant:read",
            "grant:write",
            "secret:read",
            "secret:use",
            "shell:write",
            "workflow:write",
        ),
        (
            "agent:write",
            "api_key:write",
            "audit:read",
            "connection:write",
            "database:backup",
            "encryption_key:rotate",
            "retention:run",
            "secret:write",
            "settings:read",
            "user:read",
            "user:write",
        ),
    ]
    having: list[str] = []
    for role, added in zip((Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.ADMIN), more, strict=True):
        having = sorted([*having, *added])
        assert shown[role] == having
    assert having == sorted(permission.value for permission in Permission)
