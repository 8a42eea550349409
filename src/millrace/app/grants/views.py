"""Grants as they are shown."""

from collections.abc import Sequence

from millrace.app.identity.texts import shown_email
from millrace.auth.grants.repository import GrantRow
from millrace.auth.permissions import Grant
from millrace.core.values import JsonObject, JsonValue


def of_user_view(rows: Sequence[GrantRow]) -> JsonObject:
    """What one user was given for a workflow, told of the workflow's side."""
    one = rows[0]
    user: JsonObject = {
        "id": one.user_id,
        "name": one.user_name,
        "email": shown_email(one.email),
        "role": one.role,
        "access": one.access,
    }
    return {"user": user, "grants": _names(rows)}


def of_workflow_view(rows: Sequence[GrantRow]) -> JsonObject:
    """The same of the user's side."""
    return {"workflow": {"id": rows[0].workflow_id, "name": rows[0].workflow_name}, "grants": _names(rows)}


def _names(rows: Sequence[GrantRow]) -> list[JsonValue]:
    given = {row.grant for row in rows}
    return [grant.value for grant in Grant if grant.value in given]
