"""What a secret or a connection is for, and the one rule by which a use of it is allowed.

`workflows` names those that may use it, `hosts` those that it may be sent to; `None` stands for all. Secrets that come
from outside of the database have neither: who runs the server has given them to it as a whole.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import orjson

from millrace.ports.secrets import SecretUse


@dataclass(frozen=True, slots=True)
class Found:
    """A value as its source has it."""

    value: str
    workflows: Collection[str] | None = None
    hosts: Collection[str] | None = None


def names_in(column: str | None) -> tuple[str, ...] | None:
    """The names in a column that holds a JSON list, or null for all."""
    return None if column is None else tuple(orjson.loads(column))


def column_of(names: Iterable[str]) -> str:
    """The names as such a column holds them."""
    return orjson.dumps(sorted(set(names))).decode()


def secret_fault(name: str, workflows: Collection[str] | None, use: SecretUse) -> str | None:
    """Why a secret cannot be used for the workflow of this use, and what to do; `None` if it can."""
    return _workflow_fault("secret", name, workflows, use)


def connection_fault(name: str, workflows: Collection[str] | None, use: SecretUse) -> str | None:
    """The same of a connection."""
    return _workflow_fault("connection", name, workflows, use)


def _workflow_fault(kind: str, name: str, workflows: Collection[str] | None, use: SecretUse) -> str | None:
    if workflows is None or use.workflow is None or use.workflow in workflows:
        return None
    whose = f"the workflow {use.workflow[:100]!r}" if use.workflow else "what is no workflow"
    remedy = f"set it anew with --workflow for it (millrace {kind}s set {name}), or use another"
    return f"the {kind} {name!r} is not for {whose}; {remedy}"


def hosts_fault(name: str, hosts: Collection[str] | None, use: SecretUse) -> str | None:
    """Why a secret with these hosts cannot be given to this use; `None` if it can."""
    if hosts is None or use.keeps_to_hosts:
        return None
    return (
        f"the secret {name!r} may be sent to {', '.join(hosts)} only, and {use.by} could send it anywhere; "
        "use it in a task of the type http, agent, notify, email or database, or another secret here"
    )
