"""What is kept of a person, to be exported, and how it is taken away. SQL only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, or_, select, update

from millrace.app.audit.repository import AuditRow
from millrace.app.identity.repository import KeyRow
from millrace.auth.audit.personal import ERASED
from millrace.storage.tables import (
    agents,
    api_keys,
    artifacts,
    audit_log,
    backfills,
    connections,
    deployments,
    login_failures,
    mails,
    oidc_identities,
    oidc_logins,
    operations,
    password_resets,
    records,
    refresh_tokens,
    runs,
    secrets,
    sessions,
    workflow_versions,
    workflows,
)


@dataclass(frozen=True, slots=True)
class Made:
    """Things that say who has made them."""

    kind: str
    table: Table
    by: str
    at: str
    shown: tuple[str, ...]
    """The first of them is in the order of time, or a name."""


MADE: Final = (
    Made("workflows", workflows, "created_by", "created_at", ("id", "name", "deleted_at")),
    Made("versions", workflow_versions, "author", "created_at", ("id", "workflow_id", "number")),
    Made("deployments", deployments, "deployed_by", "at", ("id", "workflow_id", "version", "action")),
    Made("backfills", backfills, "created_by", "created_at", ("id", "trigger_id")),
    Made("operations", operations, "created_by", "created_at", ("id", "kind")),
    Made("artifacts", artifacts, "created_by", "created_at", ("id", "name")),
    Made("secrets", secrets, "created_by", "created_at", ("name",)),
    Made("connections", connections, "created_by", "created_at", ("name", "type")),
    Made("agents", agents, "created_by", "created_at", ("id", "name")),
)

_ROW = [audit_log.c[name] for name in AuditRow.__dataclass_fields__]
_KEY = [api_keys.c[name] for name in KeyRow.__dataclass_fields__]
_IDENTITY = [oidc_identities.c[name] for name in ("issuer", "subject", "email", "created_at", "last_login_at")]
_SESSION = [
    sessions.c[name]
    for name in (
        "id", "kind", "address", "user_agent", "created_at", "last_used_at", "expires_at", "ended_at", "ended_because",
    )
]  # fmt: skip


def identities_of(connection: Connection, user_id: str) -> Sequence[Mapping[str, Any]]:
    return _mappings(connection, select(*_IDENTITY).where(oidc_identities.c.user_id == user_id))


def sessions_of(connection: Connection, user_id: str) -> Sequence[Mapping[str, Any]]:
    """All that are still kept, the newest first; those that have ended, too."""
    query = select(*_SESSION).where(sessions.c.user_id == user_id)
    return _mappings(connection, query.order_by(sessions.c.id.desc()))


def keys_of(connection: Connection, user_id: str) -> Sequence[KeyRow]:
    query = select(*_KEY).where(api_keys.c.user_id == user_id).order_by(api_keys.c.id.desc())
    return [KeyRow(*row) for row in connection.execute(query)]


def made_by(connection: Connection, made: Made, user_id: str, limit: int) -> Sequence[Mapping[str, Any]]:
    """What this user has made of a kind, the newest first."""
    table = made.table
    columns = [table.c[made.at].label("at"), *(table.c[name] for name in made.shown)]
    query = select(*columns).where(table.c[made.by] == user_id).order_by(table.c[made.shown[0]].desc())
    return _mappings(connection, query.limit(limit))


# --- rows of the audit log --------------------------------------------------------------------------------------------


def rows_about(connection: Connection, about: Mapping[str, Collection[str]], limit: int) -> Sequence[AuditRow]:
    """Rows about these ids of these entities, the newest first."""
    some = [(audit_log.c.entity == entity) & audit_log.c.entity_id.in_(ids) for entity, ids in about.items() if ids]
    query = select(*_ROW).where(or_(*some)).order_by(audit_log.c.id.desc()).limit(limit)
    return [AuditRow(*row) for row in connection.execute(query)] if some else []


def actor_names(connection: Connection, user_id: str) -> Sequence[str]:
    """What he was called when he did what he did."""
    return _distinct(connection, audit_log.c.actor, user_id)


def actor_addresses(connection: Connection, user_id: str) -> Sequence[str]:
    """Where he did it from."""
    return _distinct(connection, audit_log.c.address, user_id)


def rows_after(connection: Connection, row_id: str, limit: int) -> Sequence[AuditRow]:
    """Of all rows, the oldest first."""
    return _rows(connection, audit_log.c.id > row_id, limit)


def rows_of(connection: Connection, ids: Collection[str]) -> Sequence[AuditRow]:
    return _rows(connection, audit_log.c.id.in_(ids), len(ids)) if ids else []


# --- starts of runs ---------------------------------------------------------------------------------------------------


def runs_after(connection: Connection, run_id: str, limit: int) -> Sequence[tuple[str, str | None]]:
    """Of all runs, the oldest first, with who started them."""
    query = select(runs.c.id, runs.c.triggered_by).where(runs.c.id > run_id).order_by(runs.c.id).limit(limit)
    return [(row.id, row.triggered_by) for row in connection.execute(query)]


def erase_addresses(connection: Connection, run_ids: Collection[str]) -> None:
    """Where these runs were started from."""
    first = (records.c.run_id.in_(run_ids), records.c.seq == 1)
    found = [(row.run_id, orjson.loads(row.data)) for row in connection.execute(select(records).where(*first))]
    told = [{"of_run": run_id, "without": _without_address(data)} for run_id, data in found if "address" in data]
    if told:
        query = update(records).where(records.c.run_id == bindparam("of_run"), records.c.seq == 1)
        connection.execute(query.values(data=bindparam("without")), told)


def _without_address(data: Mapping[str, Any]) -> str:
    return orjson.dumps({name: value for name, value in data.items() if name != "address"}).decode()


# --- taking away ------------------------------------------------------------------------------------------------------


def delete_logins(connection: Connection, user_id: str) -> None:
    """Logins, their tokens, identities at login providers, and resets of passwords."""
    own = select(sessions.c.id).where(sessions.c.user_id == user_id)
    connection.execute(delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(own)))
    for table in (sessions, oidc_identities, oidc_logins, password_resets):
        connection.execute(delete(table).where(table.c.user_id == user_id))


def delete_failures(connection: Connection, keys: Collection[str], beginnings: Collection[str]) -> None:
    """Counts of failed logins."""
    wanted = [login_failures.c.key.startswith(beginning, autoescape=True) for beginning in beginnings]
    connection.execute(delete(login_failures).where(or_(login_failures.c.key.in_(keys), *wanted)))


def rename_keys(connection: Connection, user_id: str) -> None:
    connection.execute(update(api_keys).where(api_keys.c.user_id == user_id).values(name=ERASED))


def erase_mails(connection: Connection, emails: Collection[str]) -> None:
    """Mails to these addresses: those that were not sent yet are not sent any more."""
    gone = {"recipient": ERASED, "content": ERASED, "last_error": None, "due_at": None}
    connection.execute(update(mails).where(mails.c.recipient.in_(emails)).values(gone))


def _rows(connection: Connection, which: ColumnElement[bool], limit: int) -> Sequence[AuditRow]:
    query = select(*_ROW).where(which).order_by(audit_log.c.id).limit(limit)
    return [AuditRow(*row) for row in connection.execute(query)]


def _distinct(connection: Connection, column: ColumnElement[Any], user_id: str) -> Sequence[str]:
    query = select(column).distinct().where(audit_log.c.actor_id == user_id, column.is_not(None))
    return connection.execute(query).scalars().all()


def _mappings(connection: Connection, query: Any) -> Sequence[Mapping[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()]
