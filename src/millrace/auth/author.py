"""Who is at work in this request, for what is judged far behind its route: whether he may name a secret.

A run of a workflow gets the secrets that its definition names, whoever starts it. So the right to use them is that of
the author of the definition, and is judged when he saves or deploys it. What the installation saves by itself (its
examples) has no author.
"""

from collections.abc import Collection

from millrace.auth.audit.acting import acting
from millrace.auth.permissions import Permission, require, require_usable
from millrace.auth.principal import Principal


def author() -> Principal | None:
    """Whoever made the request saves what it saves."""
    return acting().caller


def require_use(
    principal: Principal, permission: Permission, name: str, workflows: Collection[str] | None, workflow: str
) -> None:
    """Raise `Forbidden` unless the author of a definition of `workflow` may name this secret or connection in it.

    `permission` is `secret:use` or `connection:use`; `workflows` is what `name` is for, `None` for all or unknown. What
    else an author may write is judged by `app.workflows.authorship` (sub-workflows, events) and `auth.shell_right`.

    What was given to this very workflow is there for whoever may edit it, with a credential that is for it. Everything
    else takes the right to use secrets of all workflows, which no grant gives.
    """
    require_usable(principal, permission)
    if workflows is None or workflow not in workflows:
        require(principal, permission)
