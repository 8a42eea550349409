# Printed by scripts/print-client from aio/triggers.py; changes belong there.
"""What starts runs, when it is due next, and what became of each time it fired."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from millrace.client.requests import Body, Moment, given, json_body, path_of, word_query
from millrace.client.sync.resource import Resource
from millrace.client.types import (
    CronTriggerConfigDst,
    FiringPage,
    FiringView,
    Preview,
    ScheduleSimulation,
    SimulationPage,
    TriggerPage,
    TriggerTypePage,
    TriggerView,
)


class Triggers(Resource):
    """`client.triggers`."""

    def types(self) -> TriggerTypePage:
        """The trigger types that fire in this release, and what their `config` takes."""
        return cast(TriggerTypePage, self._transport.get("/trigger-types"))

    def list(
        self,
        *,
        workflow: str | None = None,
        type: str | Sequence[str] | None = None,
        enabled: bool | None = None,
        overdue: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> TriggerPage:
        """A page of the triggers; `overdue`: only schedules that should have fired and did not."""
        query = _filter(workflow, type, enabled, overdue) | {"cursor": cursor, "limit": limit}
        return cast(TriggerPage, self._transport.get("/triggers", query))

    def iterate(
        self,
        *,
        workflow: str | None = None,
        type: str | Sequence[str] | None = None,
        enabled: bool | None = None,
        overdue: bool | None = None,
    ) -> Iterator[TriggerView]:
        """All triggers that `list` would find on its pages."""
        return self._transport.pages("/triggers", _filter(workflow, type, enabled, overdue))

    def get(self, trigger: str) -> TriggerView:
        """One trigger by its id: its last and next firing, and why it is silent."""
        return cast(TriggerView, self._transport.get(path_of("triggers", trigger)))

    def enable(self, trigger: str) -> TriggerView:
        """Let the trigger fire from now on. What was due while it was silent does not fire."""
        return cast(TriggerView, self._transport.send("POST", path_of("triggers", trigger, "enable")))

    def disable(self, trigger: str) -> TriggerView:
        """Silence the trigger until it is enabled again; a deploy keeps it so. Runs that it has started go on."""
        return cast(TriggerView, self._transport.send("POST", path_of("triggers", trigger, "disable")))

    def firings(
        self,
        trigger: str,
        *,
        decision: str | Sequence[str] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> FiringPage:
        """A page of what became of each time the trigger fired, newest first, with the run or the reason."""
        query = {"decision": word_query(decision), "cursor": cursor, "limit": limit}
        return cast(FiringPage, self._transport.get(path_of("triggers", trigger, "firings"), query))

    def iterate_firings(self, trigger: str, *, decision: str | Sequence[str] | None = None) -> Iterator[FiringView]:
        """All firings of the trigger, newest first."""
        return self._transport.pages(path_of("triggers", trigger, "firings"), {"decision": word_query(decision)})

    def firings_of_workflow(
        self,
        workflow: str,
        *,
        decision: str | Sequence[str] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> FiringPage:
        """As `firings`, of all triggers of a workflow."""
        query = {"decision": word_query(decision), "cursor": cursor, "limit": limit}
        return cast(FiringPage, self._transport.get(self._workflow_path(workflow, "firings"), query))

    def simulate(
        self,
        event: Mapping[str, Any],
        *,
        workflow: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> SimulationPage:
        """Which triggers an event would make fire, and which filters of the others refuse it. Nothing is started.

        `event` is one as it is published: `type` and whatever else it has. Triggers that wait for its type come first.
        """
        body = json_body(event=event, workflow=workflow, cursor=cursor, limit=limit)
        return cast(SimulationPage, self._transport.send("POST", "/triggers/simulate", body, repeatable=True))

    def preview(self, workflow: str, trigger: str, *, count: int | None = None, start: Moment | None = None) -> Preview:
        """The next firings of a trigger, named by its id in the definition, after `start` or now."""
        path = self._workflow_path(workflow, "triggers", trigger, "preview")
        return cast(Preview, self._transport.get(path, {"count": count, "from": start}))

    def preview_schedule(
        self,
        expression: str,
        *,
        timezone: str | None = None,
        dst: CronTriggerConfigDst | None = None,
        catch_up: Literal["none", "latest", "all"] | Mapping[str, Any] | None = None,
        jitter: str | float | None = None,
        not_before: str | None = None,
        not_after: str | None = None,
        count: int | None = None,
        start: Moment | None = None,
    ) -> Preview:
        """The next firings of a schedule, given as the `config` of a trigger of the type cron. Nothing is saved.

        `not_before` and `not_after` are its `start` and `end`; `start` is after when firings are shown.
        """
        config = {"timezone": timezone, "dst": dst, "catch_up": catch_up, "jitter": jitter}
        bounds = {"start": not_before, "end": not_after}
        return self._preview({"expression": expression, **config, **bounds, "count": count, "from": start})

    def preview_interval(
        self,
        every: str | float,
        *,
        counted_from: Literal["anchor", "last_end"] | None = None,
        anchor: str | None = None,
        timezone: str | None = None,
        catch_up: Literal["none", "latest", "all"] | Mapping[str, Any] | None = None,
        jitter: str | float | None = None,
        not_before: str | None = None,
        not_after: str | None = None,
        count: int | None = None,
        start: Moment | None = None,
    ) -> Preview:
        """As `preview_schedule`, of the type interval; counted from `last_end` only the first firing is known."""
        config = {"timezone": timezone, "catch_up": catch_up, "jitter": jitter}
        steps = {"every": every, "counted_from": counted_from, "anchor": anchor, "start": not_before, "end": not_after}
        return self._preview({"type": "interval", **steps, **config, "count": count, "from": start})

    def preview_once(
        self,
        at: Moment,
        *,
        timezone: str | None = None,
        catch_up: Literal["none", "latest", "all"] | Mapping[str, Any] | None = None,
        jitter: str | float | None = None,
        start: Moment | None = None,
    ) -> Preview:
        """As `preview_schedule`, of the type once; a text without an offset is what clocks in `timezone` show."""
        config = {"at": at, "timezone": timezone, "catch_up": catch_up, "jitter": jitter}
        return self._preview({"type": "once", **config, "from": start})

    def _preview(self, asked: Mapping[str, Any]) -> Preview:
        body = Body(given(asked))
        return cast(Preview, self._transport.send("POST", "/triggers/preview", body, repeatable=True))

    def simulate_schedules(
        self, *, start: Moment, until: Moment, workflow: str | None = None, limit: int | None = None
    ) -> ScheduleSimulation:
        """What active schedules would fire after `start` and up to `until`, the earliest first. Nothing is started."""
        body = Body(given({"from": start, "until": until, "workflow": workflow, "limit": limit}))
        answered = self._transport.send("POST", "/triggers/simulate", body, repeatable=True)
        return cast(ScheduleSimulation, answered)


def _filter(
    workflow: str | None, type: str | Sequence[str] | None, enabled: bool | None, overdue: bool | None
) -> dict[str, Any]:
    return {"workflow": workflow, "type": word_query(type), "enabled": enabled, "overdue": overdue}
