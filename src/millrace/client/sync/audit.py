# Printed by scripts/print-client from aio/audit.py; changes belong there.
"""The audit log: who did what, when and from where."""

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias, cast

from millrace.client.requests import Moment, json_body
from millrace.client.sync.resource import Resource
from millrace.client.types import AuditEntry, AuditPage, AuditVerdict

Format: TypeAlias = Literal["jsonl", "csv"]

SILENCE_SECONDS: Final = 60.0
WALK_SECONDS: Final = 3600.0
"""That the server may take to follow a long chain."""


class Audit(Resource):
    """`client.audit`, for administrators."""

    def list(
        self,
        *,
        entity: str | None = None,
        entity_id: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> AuditPage:
        """A page of changes and starts of runs, the newest first; `actor` is an id, an e-mail address or a service."""
        narrow = _narrow(entity, entity_id, actor, action, since, until)
        return cast(AuditPage, self._transport.get("/audit-logs", {**narrow, "cursor": cursor, "limit": limit}))

    def iterate(
        self,
        *,
        entity: str | None = None,
        entity_id: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Iterator[AuditEntry]:
        """All that `list` would find on its pages."""
        return self._transport.pages("/audit-logs", _narrow(entity, entity_id, actor, action, since, until))

    def export(
        self,
        *,
        format: Format = "jsonl",
        entity: str | None = None,
        entity_id: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Iterator[bytes]:
        """The same as one file, a part at a time. Raises `Unreachable` when it breaks off."""
        query = {"format": format, **_narrow(entity, entity_id, actor, action, since, until)}
        with self._transport.stream("/audit-logs/export", query=query, silence=SILENCE_SECONDS) as response:
            yield from self._transport.parts(response)

    def verify(self, head: str | None = None) -> AuditVerdict:
        """Whether the log is as it was written; `head` is one that was answered before, and must be in it still."""
        body = json_body(head=head)
        answer = self._transport.send("POST", "/audit-logs/verify", body, repeatable=True, waiting=WALK_SECONDS)
        return cast(AuditVerdict, answer)


def _narrow(
    entity: str | None,
    entity_id: str | None,
    actor: str | None,
    action: str | None,
    since: Moment | None,
    until: Moment | None,
) -> dict[str, Any]:
    given = {"entity": entity, "entity_id": entity_id, "actor": actor, "action": action}
    return {**given, "from": since, "to": until}
