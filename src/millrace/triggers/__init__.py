"""Trigger types: what starts runs. Pure: given a config and an instant they say what is due, and do nothing about it.

cron      a schedule of wall-clock times      fields  its language      wall   its times on a calendar without a zone
zones     what a zone's clocks show when      jitter  a delay that is the same each time
configs   what each type's `config` takes     registry  the types by name
"""

from millrace.triggers.configs import CronConfig, ManualConfig
from millrace.triggers.cron import CronSchedule, Due
from millrace.triggers.faults import InvalidSchedule
from millrace.triggers.jitter import jitter_for
from millrace.triggers.registry import TRIGGER_TYPES

__all__ = ["TRIGGER_TYPES", "CronConfig", "CronSchedule", "Due", "InvalidSchedule", "ManualConfig", "jitter_for"]
