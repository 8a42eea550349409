"""The trigger types that fire in this release, by name."""

from typing import ClassVar

from millrace.ports.runner import ConfigModel
from millrace.ports.trigger import TriggerTypes
from millrace.triggers.configs import CronConfig, IntervalConfig, ManualConfig, OnceConfig

OF_ALL = frozenset({"id", "type", "time"})
OF_SCHEDULES = OF_ALL | {"due_at", "due_date", "due_time"}


class Cron:
    type: ClassVar[str] = "cron"
    summary: ClassVar[str] = "Starts runs at the times of a cron expression, in any time zone."
    config_model: ClassVar[ConfigModel] = CronConfig
    fields: ClassVar[frozenset[str]] = OF_SCHEDULES


class Interval:
    type: ClassVar[str] = "interval"
    summary: ClassVar[str] = "Starts runs at equal distances in time, counted from an anchor."
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


TRIGGER_TYPES: TriggerTypes = {kind.type: kind for kind in (Cron, Interval, Once, Manual)}
