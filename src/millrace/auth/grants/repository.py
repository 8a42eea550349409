"""The rows of grants, and the condition by which queries leave out what somebody does not see. SQL only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, true

from millrace.auth.permissions import Grant
from millrace.auth.sight import Sight
from millrace.core.values import Instant
from millrace.storage.tables import grants, users, workflows


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One grant, with what user and workflow are called now."""

    user_id: str
    workflow_id: str
    grant: str
    granted_by: str | None
    granted_at: Instant
    user_name: str
    email: str
    access: str
    role: str
    workflow_name: str


_ROW = (
    *(grants.c[name] for name in ("user_id", "workflow_id", "grant", "granted_by", "granted_at")),
    users.c.name.label("user_name"),
    users.c.email,
    users.c.access,
    users.c.role,
    workflows.c.name.label("workflow_name"),
)


def seen(workflow_id: ColumnElement[Any], sight: Sight | None) -> ColumnElement[bool]:
    """Whether what belongs to the workflow of this column is within the sight."""
    return true() if sight is None else workflow_id.in_(within(sight))


def within(sight: Sight) -> Select[Any]:
    """The ids of the workflows within a sight."""
    of_user = select(grants.c.workflow_id).where(grants.c.user_id == sight.user_id)
    return of_user.where(grants.c.grant.in_(sight.grants))


def visible(connection: Connection, sight: Sight, only: Collection[str] | None = None) -> Sequence[str]:
    """The ids of the workflows within a sight; of `only` these."""
    query = within(sight).distinct()
    query = query if only is None else query.where(grants.c.workflow_id.in_(only))
    return connection.execute(query).scalars().all()


def visible_names(connection: Connection, sight: Sight, only: Collection[str]) -> frozenset[str]:
    """Of these names those that workflows within a sight have."""
    query = select(workflows.c.name).where(workflows.c.name.in_(only), workflows.c.deleted_at.is_(None))
    return frozenset(connection.execute(query.where(seen(workflows.c.id, sight))).scalars()) if only else frozenset()


def granted(connection: Connection, user_id: str, workflow_id: str) -> frozenset[Grant]:
    """What a user was given for a workflow."""
    query = select(grants.c.grant).where(grants.c.user_id == user_id, grants.c.workflow_id == workflow_id)
    return frozenset(map(Grant, connection.execute(query).scalars()))


def granted_anywhere(connection: Connection, user_id: str) -> frozenset[Grant]:
    """The kinds of grants that a user has, for whatever workflow."""
    query = select(grants.c.grant).distinct().where(grants.c.user_id == user_id)
    return frozenset(map(Grant, connection.execute(query).scalars()))


def replace(
    connection: Connection, user_id: str, workflow_id: str, given: Collection[Grant], *, by: str, now: Instant
) -> None:
    """Let a user have exactly these for a workflow. What he has had and keeps stays as it was given."""
    has = granted(connection, user_id, workflow_id)
    of_both = (grants.c.user_id == user_id, grants.c.workflow_id == workflow_id)
    gone = [grant.value for grant in has.difference(given)]
    if gone:
        connection.execute(delete(grants).where(*of_both, grants.c.grant.in_(gone)))
    new = {"user_id": user_id, "workflow_id": workflow_id, "granted_by": by, "granted_at": now}
    added = [{**new, "grant": grant.value} for grant in sorted(set(given) - has)]
    if added:
        connection.execute(insert(grants), added)


def remove(connection: Connection, user_id: str, workflow_id: str) -> None:
    """Take all from a user that he was given for a workflow."""
    connection.execute(delete(grants).where(grants.c.user_id == user_id, grants.c.workflow_id == workflow_id))


def of_workflow(
    connection: Connection, workflow_id: str, *, after: str | None, limit: int
) -> Mapping[str, Sequence[GrantRow]]:
    """The grants on a workflow by user, in the order of the users' ids."""
    query = select(grants.c.user_id).distinct().where(grants.c.workflow_id == workflow_id)
    query = query if after is None else query.where(grants.c.user_id > after)
    ids = connection.execute(query.order_by(grants.c.user_id).limit(limit)).scalars().all()
    return _by(connection, "user_id", ids, grants.c.workflow_id == workflow_id)


def of_user(connection: Connection, user_id: str, *, after: str | None, limit: int) -> Mapping[str, Sequence[GrantRow]]:
    """The grants of a user by workflow, in the order of the workflows' ids."""
    query = select(grants.c.workflow_id).distinct().where(grants.c.user_id == user_id)
    query = query if after is None else query.where(grants.c.workflow_id > after)
    ids = connection.execute(query.order_by(grants.c.workflow_id).limit(limit)).scalars().all()
    return _by(connection, "workflow_id", ids, grants.c.user_id == user_id)


def of_both(connection: Connection, user_id: str, workflow_id: str) -> Sequence[GrantRow]:
    return _by(connection, "user_id", [user_id], grants.c.workflow_id == workflow_id)[user_id]


def remove_of_workflow(connection: Connection, workflow_id: str) -> None:
    connection.execute(delete(grants).where(grants.c.workflow_id == workflow_id))


def remove_of_user(connection: Connection, user_id: str) -> None:
    connection.execute(delete(grants).where(grants.c.user_id == user_id))


def _by(
    connection: Connection, name: str, ids: Sequence[str], also: ColumnElement[bool]
) -> Mapping[str, Sequence[GrantRow]]:
    found: dict[str, list[GrantRow]] = {id_: [] for id_ in ids}
    if not found:
        return found
    query = select(*_ROW).join(users, users.c.id == grants.c.user_id)
    query = query.join(workflows, workflows.c.id == grants.c.workflow_id)
    for row in connection.execute(query.where(also, grants.c[name].in_(ids)).order_by(grants.c.grant)):
        found[getattr(row, name)].append(GrantRow(*row))
    return found
