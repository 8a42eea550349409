# Printed by scripts/print-client from aio/approvals.py; changes belong there.
"""What waits for people: the list of it, decisions, and links by which others decide."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from millrace.client.requests import json_body, path_of
from millrace.client.sync.resource import Resource
from millrace.client.types import ApprovalPage, ApprovalView, DecisionAnswer, LinkView


class Approvals(Resource):
    """`client.approvals`. A task is named by its run and its path, such as `ask` or `loop[3].ask`."""

    def list(self, *, workflow: str | None = None, cursor: str | None = None, limit: int = 50) -> ApprovalPage:
        """A page of the tasks of all runs that wait for a decision, those first that have waited longest."""
        query = {"workflow": workflow, "cursor": cursor, "limit": limit}
        return cast(ApprovalPage, self._transport.get("/approvals", query))

    def iterate(self, *, workflow: str | None = None) -> Iterator[ApprovalView]:
        """All that `list` would find on its pages."""
        return self._transport.pages("/approvals", {"workflow": workflow})

    def approve(
        self,
        run: str,
        path: str,
        *,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> DecisionAnswer:
        """Approve what a task asks; `form` is what it wants to be filled in.

        Raises `Conflict` (`not_waiting`) if it waits for no decision, `InvalidRequest` if the form does not fit. The
        same `idempotency_key` (for 7 days) is the same decision; without one each call has its own.
        """
        return self._decide(run, path, "approve", comment, form, idempotency_key)

    def reject(
        self,
        run: str,
        path: str,
        *,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> DecisionAnswer:
        """Reject what a task asks. As `approve`, and nothing need be filled in."""
        return self._decide(run, path, "reject", comment, form, idempotency_key)

    def link(
        self,
        run: str,
        path: str,
        *,
        expires_in: str | None = None,
        decision: Literal["approve", "reject"] | None = None,
    ) -> LinkView:
        """A link by which somebody without an account decides, once; with `decision`, nothing but that.

        It holds for `expires_in` (`12h`, `30d`), a week by default. Whoever has it decides in the name of the caller.
        """
        body = json_body(expires_in=expires_in, decision=decision)
        return cast(LinkView, self._transport.send("POST", _task(run, path, "approval-link"), body))

    def _decide(
        self,
        run: str,
        path: str,
        decision: Literal["approve", "reject"],
        comment: str | None,
        form: Mapping[str, Any] | None,
        key: str | None,
    ) -> DecisionAnswer:
        body = json_body(decision=decision, comment=comment, form=form, idempotency_key=key or str(uuid.uuid4()))
        answer = self._transport.send("POST", _task(run, path, "decision"), body, repeatable=True)
        return cast(DecisionAnswer, answer)


def _task(run: str, path: str, what: str) -> str:
    return path_of("runs", run, "tasks", path, what)
