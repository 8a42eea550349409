# Printed by scripts/print-client from aio/backfills.py; changes belong there.
"""Backfills: runs for due times of the past that had none."""

from collections.abc import Iterator, Sequence
from typing import Literal, cast

from millrace.client.requests import Moment, json_body, path_of, word_query
from millrace.client.sync.resource import Resource
from millrace.client.types import BackfillPage, BackfillPreview, BackfillView


class Backfills(Resource):
    """`client.backfills`."""

    def start(
        self,
        trigger: str,
        *,
        start: Moment,
        until: Moment,
        order: Literal["in_order", "parallel"] | None = None,
        max_parallel: int | None = None,
        again: bool | None = None,
        stop_on_failure: bool | None = None,
    ) -> BackfillView:
        """Start a run for each due time from `start` to `until` that has none: one after the other, or with the order
        `parallel` at most `max_parallel` at once. `again`: also where there is a run already."""
        wanted = {"from": start, "until": until, "order": order, "max_parallel": max_parallel}
        body = json_body(**wanted, again=again, stop_on_failure=stop_on_failure)
        return cast(BackfillView, self._transport.send("POST", path_of("triggers", trigger, "backfill"), body))

    def preview(self, trigger: str, *, start: Moment, until: Moment, again: bool | None = None) -> BackfillPreview:
        """How many due times `start` would be about, and how many of them have fired. Nothing is started."""
        body = json_body(**{"from": start, "until": until}, again=again, dry_run=True)
        path = path_of("triggers", trigger, "backfill")
        return cast(BackfillPreview, self._transport.send("POST", path, body, repeatable=True))

    def list(
        self,
        *,
        workflow: str | None = None,
        trigger: str | None = None,
        status: str | Sequence[str] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> BackfillPage:
        """A page of the backfills, newest first."""
        query = {"workflow": workflow, "trigger": trigger, "status": word_query(status)}
        return cast(BackfillPage, self._transport.get("/backfills", query | {"cursor": cursor, "limit": limit}))

    def iterate(
        self,
        *,
        workflow: str | None = None,
        trigger: str | None = None,
        status: str | Sequence[str] | None = None,
    ) -> Iterator[BackfillView]:
        """All backfills that `list` would find on its pages."""
        query = {"workflow": workflow, "trigger": trigger, "status": word_query(status)}
        return self._transport.pages("/backfills", query)

    def get(self, backfill: str) -> BackfillView:
        """How far a backfill has come."""
        return cast(BackfillView, self._transport.get(path_of("backfills", backfill)))

    def pause(self, backfill: str) -> BackfillView:
        """Start no more runs until it is resumed. Those that were started go on."""
        return cast(BackfillView, self._transport.send("POST", path_of("backfills", backfill, "pause")))

    def resume(self, backfill: str) -> BackfillView:
        """Let a paused backfill go on."""
        return cast(BackfillView, self._transport.send("POST", path_of("backfills", backfill, "resume")))

    def cancel(self, backfill: str) -> BackfillView:
        """End a backfill. Runs that it has started go on."""
        return cast(BackfillView, self._transport.send("POST", path_of("backfills", backfill, "cancel")))
