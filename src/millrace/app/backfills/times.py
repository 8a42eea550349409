"""How a backfill names due times: as the scheduler does, so that what has fired is found, and is not fired again."""

import orjson

from millrace.app.firing.scheduler import KEY_LIFETIME, KEYS
from millrace.app.firing.scheduler import start_key as key_of_scheduler
from millrace.app.triggers.repository import TriggerRow
from millrace.core.values import Instant, to_iso

__all__ = ["KEYS", "KEY_LIFETIME", "key_again", "schedule_text", "start_key"]


def start_key(row: TriggerRow, due: Instant) -> str:
    """Of the run that the due time starts once, whoever starts it."""
    return key_of_scheduler(row, due)


def key_again(backfill_id: str, due: Instant) -> str:
    """Of the run that a backfill starts though there may be one already."""
    return f"backfill:{backfill_id}:{to_iso(due)}"


def schedule_text(row: TriggerRow) -> str:
    """What decides when the trigger is due; two rows with the same text have the same due times."""
    return orjson.dumps([row.type, row.config]).decode()
