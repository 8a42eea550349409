"""Trigger types: what starts runs. Pure: given a config and an instant they say what is due, and do nothing about it.

cron      a schedule of wall-clock times      fields  its language      wall   its times on a calendar without a zone
interval  equal steps from an anchor          once    one moment        bounds from when to when a schedule holds
zones     what a zone's clocks show when      jitter  a delay that is the same each time
due       what every schedule answers         moments a moment as it is written
event     what happened, and who waits for it   globs   patterns with * in them
webhook   requests from outside: who may send them, and what they say
configs   what each type's `config` takes     registry  the types by name
"""

from millrace.triggers.configs import CronConfig, ManualConfig
from millrace.triggers.cron import CronSchedule
from millrace.triggers.due import Due
from millrace.triggers.faults import InvalidSchedule
from millrace.triggers.jitter import jitter_for
from millrace.triggers.registry import TRIGGER_TYPES

__all__ = ["TRIGGER_TYPES", "CronConfig", "CronSchedule", "Due", "InvalidSchedule", "ManualConfig", "jitter_for"]
