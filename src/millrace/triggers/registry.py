"""The trigger types that fire in this release, by name."""

from collections.abc import Mapping
from typing import ClassVar

from millrace.core.values import JsonObject
from millrace.ports.runner import ConfigModel
from millrace.ports.trigger import Route, Routed, TriggerTypes
from millrace.triggers.configs import CronConfig, IntervalConfig, ManualConfig, OnceConfig
from millrace.triggers.event import EventConfig, types_in
from millrace.triggers.webhook.config import WebhookConfig
from millrace.triggers.webhook.paths import normalised

OF_ALL = frozenset({"id", "type", "time"})
OF_SCHEDULES = OF_ALL | {"due_at", "due_date", "due_time", "backfill"}


class Cron:
    type: ClassVar[str] = "cron"
    summary: ClassVar[str] = "Starts runs at the times of a cron expression, in any time zone."
    config_model: ClassVar[ConfigModel] = CronConfig
    fields: ClassVar[frozenset[str]] = OF_SCHEDULES


class Interval:
    type: ClassVar[str] = "interval"
    summary: ClassVar[str] = (
        "Starts runs at equal distances in time, counted from an anchor or from the end of the last run."
    )
    config_model: ClassVar[ConfigModel] = IntervalConfig
    fields: ClassVar[frozenset[str]] = OF_SCHEDULES


class Once:
    type: ClassVar[str] = "once"
    summary: ClassVar[str] = "Starts one run at one moment."
    config_model: ClassVar[ConfigModel] = OnceConfig
    fields: ClassVar[frozenset[str]] = OF_SCHEDULES


class Manual:
    type: ClassVar[str] = "manual"
    summary: ClassVar[str] = "Says how runs are started by hand; a workflow can be started by hand without it, too."
    config_model: ClassVar[ConfigModel] = ManualConfig
    fields: ClassVar[frozenset[str]] = OF_ALL | {"user_id"}


class Event:
    type: ClassVar[str] = "event"
    summary: ClassVar[str] = "Starts a run for each event of a type, from others or from tasks, and when runs end."
    config_model: ClassVar[ConfigModel] = EventConfig
    fields: ClassVar[frozenset[str]] = OF_ALL | {"event"}

    @classmethod
    def routes(cls, config: JsonObject) -> tuple[Route, ...]:
        return tuple(Route("event", type_) for type_ in types_in(config))


class Webhook:
    type: ClassVar[str] = "webhook"
    summary: ClassVar[str] = "Starts a run for each request to an address of its own, and tells who may send one."
    config_model: ClassVar[ConfigModel] = WebhookConfig
    fields: ClassVar[frozenset[str]] = OF_ALL | {
        "method", "path", "headers", "query", "body", "event_type", "files", "raw"
    }  # fmt: skip

    @classmethod
    def routes(cls, config: JsonObject) -> tuple[Route, ...]:
        path = config.get("path")
        return (Route("webhook", normalised(path) if isinstance(path, str) else None),)


TRIGGER_TYPES: TriggerTypes = {kind.type: kind for kind in (Cron, Interval, Once, Manual, Event, Webhook)}

ROUTED: Mapping[str, type[Routed]] = {Event.type: Event, Webhook.type: Webhook}
"""Those that wait for something to come in, by name."""
