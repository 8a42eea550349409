"""Who may bring code that runs on a worker's machine into a workflow: the one judgement, asked at every save.

It is about who makes this request: by the role of his user, which MILLRACE_SHELL_ROLES names, and the scopes of his
credential. A grant on a workflow gives no such right. Where nobody is known to ask, nobody has it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from millrace.auth.audit.acting import acting
from millrace.auth.permissions import Permission, Role

_installing: ContextVar[bool] = ContextVar("installing", default=False)


@contextmanager
def as_installation() -> Iterator[None]:
    """Within it Millrace itself saves what came in its own package."""
    token = _installing.set(True)
    try:
        yield
    finally:
        _installing.reset(token)


class ShellRight:
    def __init__(self, roles: Collection[str]) -> None:
        self._roles = frozenset(Role(role) for role in roles)

    def missing(self) -> str | None:
        """Why whoever asks has not the right, and who has; `None` if he has it."""
        if _installing.get():
            return None
        caller = acting().caller
        if caller is None:
            return "nobody is known to ask for it"
        if caller.role not in self._roles:
            having = ", ".join(sorted(self._roles)) or "none"
            return f"the role {caller.role.value} may not; roles that may: {having} (MILLRACE_SHELL_ROLES)"
        if caller.scopes is not None and Permission.SHELL_WRITE not in caller.scopes:
            return f"this credential is not for it: {Permission.SHELL_WRITE.value} is not among its scopes"
        return None
