"""Users, logins and API keys as they are shown: nothing of them that could be used."""

from millrace.app.identity.repository import KeyRow
from millrace.app.identity.texts import shown_email
from millrace.auth.logins.repository import SessionRow
from millrace.auth.permissions import rights_of
from millrace.auth.principal import Principal
from millrace.auth.repository import AccountRow, scopes_in
from millrace.core.values import Instant, JsonObject, JsonValue, to_iso


def user_view(row: AccountRow) -> JsonObject:
    return {
        "id": row.id,
        "kind": row.kind,
        "email": shown_email(row.email),
        "name": row.name,
        "role": row.role,
        "access": row.access,
        "status": "deleted" if row.deleted_at else "disabled" if row.disabled_at else "active",
        "has_password": row.password_hash is not None,
        "must_change_password": bool(row.must_change_password),
        "created_at": to_iso(row.created_at),
        "updated_at": moment(row.updated_at),
        "disabled_at": moment(row.disabled_at),
        "last_login_at": moment(row.last_login_at),
    }


def me_view(row: AccountRow, caller: Principal, key: KeyRow | None) -> JsonObject:
    """The caller, and what he may do by the credential that he has used, which is this key or a login."""
    permissions: list[JsonValue] = [permission.value for permission in sorted(rights_of(caller))]
    return {
        **user_view(row),
        "permissions": permissions,
        "credential": "api_key" if caller.session_id is None else "session",
        "session_id": caller.session_id,
        "api_key": None if key is None else {"id": key.id, "name": key.name, "prefix": key.prefix},
    }


def session_view(row: SessionRow, caller: Principal) -> JsonObject:
    return {
        "id": row.id,
        "kind": row.kind,
        "address": row.address,
        "user_agent": row.user_agent,
        "current": row.id == caller.session_id,
        "created_at": to_iso(row.created_at),
        "last_used_at": to_iso(row.last_used_at),
        "expires_at": to_iso(row.expires_at),
    }


def moment(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)


def key_view(row: KeyRow, owner: str, now: Instant) -> JsonObject:
    """`owner` is what the user is called whose key it is."""
    scopes = scopes_in(row.scopes)
    over = row.expires_at is not None and row.expires_at <= now
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "user": {"id": row.user_id, "name": owner},
        "scopes": None if scopes is None else [scope.value for scope in sorted(scopes)],
        "status": "revoked" if row.revoked_at is not None else "expired" if over else "active",
        "created_by": row.created_by,
        "created_at": to_iso(row.created_at),
        "expires_at": moment(row.expires_at),
        "revoked_at": moment(row.revoked_at),
        "last_used_at": moment(row.last_used_at),
        "replaces": row.replaces,
    }
