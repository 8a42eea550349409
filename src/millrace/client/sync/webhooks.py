# Printed by scripts/print-client from aio/webhooks.py; changes belong there.
"""Addresses of workflows that others call: those that stand in no definition are made here, and all are shown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from millrace.client.requests import UNSET, Body, Unset, given, path_of
from millrace.client.sync.resource import Resource
from millrace.client.types import WebhookDetail, WebhookPage, WebhookView

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Webhooks(Resource):
    """`client.webhooks`."""

    def list(self, *, workflow: str | None = None, cursor: str | None = None, limit: int = 50) -> WebhookPage:
        """A page of the webhooks, also of those of definitions."""
        query = {"workflow": workflow, "cursor": cursor, "limit": limit}
        return cast(WebhookPage, self._transport.get("/webhooks", query))

    def iterate(self, *, workflow: str | None = None) -> Iterator[WebhookView]:
        """All webhooks."""
        return self._transport.pages("/webhooks", {"workflow": workflow})

    def get(self, webhook: str) -> WebhookDetail:
        """One webhook by its id: where it takes requests, from whom, and what came of them."""
        return cast(WebhookDetail, self._transport.get(path_of("webhooks", webhook)))

    def create(
        self,
        workflow_id: str,
        *,
        url_path: str | None = None,
        name: str | None = None,
        event_type: str | None = None,
        method: Method | None = None,
        methods: Sequence[Method] | None = None,
        headers: Mapping[str, str] | None = None,
        authentication: Mapping[str, Any] | None = None,
        respond: Literal["immediately", "output"] | None = None,
        wait: str | float | None = None,
        max_body: int | None = None,
        dedupe: Mapping[str, str] | None = None,
        raw: bool | None = None,
        enabled: bool | None = None,
        condition: str | bool | None = None,
        input: Mapping[str, Any] | None = None,
    ) -> WebhookDetail:
        """Make a webhook of a workflow, which is named by id, name or slug. `condition` is its `if`.

        Secrets in `authentication` are named: `{{ secrets.NAME }}`; one that is not there yet is told in `warnings`.
        Raises `Conflict` for a path that is taken.
        """
        where = {"workflow_id": workflow_id, "url_path": url_path, "name": name, "event_type": event_type}
        taken = {"method": method, "methods": _listed(methods), "headers": headers, "authentication": authentication}
        answered = {"respond": respond, "wait": wait, "max_body": max_body, "dedupe": dedupe, "raw": raw}
        body = Body(given({**where, **taken, **answered, "enabled": enabled, "if": condition, "input": input}))
        return cast(WebhookDetail, self._transport.send("POST", "/webhooks", body))

    def change(
        self,
        webhook: str,
        *,
        workflow_id: str | None = None,
        url_path: str | Unset | None = UNSET,
        name: str | None = None,
        event_type: str | Unset | None = UNSET,
        method: Method | None = None,
        methods: Sequence[Method] | None = None,
        headers: Mapping[str, str] | None = None,
        authentication: Mapping[str, Any] | Unset | None = UNSET,
        respond: Literal["immediately", "output"] | None = None,
        wait: str | float | None = None,
        max_body: int | None = None,
        dedupe: Mapping[str, str] | Unset | None = UNSET,
        raw: bool | None = None,
        enabled: bool | None = None,
        condition: str | bool | Unset | None = UNSET,
        input: Mapping[str, Any] | None = None,
    ) -> WebhookDetail:
        """Change what is given; `None` takes away a path, an event type, authentication, dedupe or a condition."""
        own = {"workflow_id": workflow_id, "name": name, "enabled": enabled, "input": input}
        kept = {"respond": respond, "wait": wait, "max_body": max_body, "raw": raw}
        taken = {"method": method, "methods": _listed(methods), "headers": headers}
        removable = {
            "url_path": url_path,
            "event_type": event_type,
            "authentication": authentication,
            "dedupe": dedupe,
            "if": condition,
        }
        changed = {field: value for field, value in removable.items() if value is not UNSET}
        body = Body({**given({**own, **kept, **taken}), **changed})
        return cast(WebhookDetail, self._transport.send("PATCH", path_of("webhooks", webhook), body))

    def delete(self, webhook: str) -> None:
        """Delete a webhook. Its path is free from then on; runs that it has started go on."""
        self._transport.send("DELETE", path_of("webhooks", webhook))


def _listed(methods: Sequence[Method] | None) -> "list[Method] | None":
    return None if methods is None else [*methods]
