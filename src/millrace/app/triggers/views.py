"""How triggers and firings are shown: what each waits for, when it fires next, and why it does not."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy.engine import RowMapping

from millrace.app.triggers.repository import OVERDUE
from millrace.app.triggers.schedules import Schedule, Schedules, UnusableSchedule
from millrace.core.values import EPOCH, Instant, to_iso
from millrace.triggers.after_end import AfterEnd
from millrace.triggers.configs import SCHEDULES
from millrace.triggers.registry import TRIGGER_TYPES

View: TypeAlias = Mapping[str, object]


def trigger_view(row: RowMapping, schedules: Schedules, now: Instant, paths: Sequence[str] = ()) -> View:
    """A trigger at the time `now`; `paths` are those of a webhook."""
    schedule = _schedule(row, schedules)
    return {
        "id": row["id"],
        "name": row["name"],
        "workflow": {"id": row["workflow_id"], "name": row["workflow_name"], "status": row["workflow_status"]},
        "type": row["type"],
        "origin": row["origin"],
        "enabled": row["enabled"],
        "active": row["active"] and row["type"] in TRIGGER_TYPES,
        "silent_because": _silence(row, schedule, now),
        "if": None if row["condition"] is None else orjson.Fragment(row["condition"]),
        "config": orjson.Fragment(row["config"]),
        "input": orjson.Fragment(row["input"]),
        "webhook": {"paths": [f"/webhook/{path}" for path in paths]} if row["type"] == "webhook" else None,
        "next_firing": _next_firing(row, schedule),
        "awaits_run": row["last_run_id"] if _awaits(row, schedule, now) else None,
        "overdue": _is_overdue(row, now),
        "overdue_since": to_iso(row["next_due_at"] + row["jitter_us"]) if _is_overdue(row, now) else None,
        "last_firing": None
        if row["last_fired_at"] is None
        else {"at": to_iso(row["last_fired_at"]), "run_id": row["last_run_id"]},
        "last_error": row["last_error"],
        "counts": {name: row[f"{name}_count"] for name in ("fired", "started", "failed", "missed")},
        "created_at": to_iso(row["created_at"]),
        "updated_at": to_iso(row["updated_at"]),
    }


def firing_view(row: RowMapping) -> View:
    return {
        "id": row["id"],
        "trigger_id": row["trigger_id"],
        "workflow_id": row["workflow_id"],
        "decision": row["decision"],
        "reason": row["reason"],
        "run_id": row["run_id"],
        "due_at": _iso(row["due_at"]),
        "due_until": _iso(row["due_until"]),
        "count": row["count"],
        "start_key": row["start_key"],
        "at": to_iso(row["at"]),
    }


def local_iso(instant: Instant, timezone: str) -> str:
    """The instant as clocks in that zone show it, with its offset."""
    return (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(timezone)).isoformat()


def _schedule(row: RowMapping, schedules: Schedules) -> Schedule | None:
    try:
        return schedules.of(row["type"], row["config"])
    except UnusableSchedule:
        return None


def _next_firing(row: RowMapping, schedule: Schedule | None) -> View | None:
    """`due_at` is what the schedule says, `starts_at` is later by the jitter."""
    due = row["next_due_at"]
    if due is None or schedule is None:
        return None
    return {
        "due_at": to_iso(due),
        "local": local_iso(due, schedule.timezone),
        "timezone": schedule.timezone,
        "starts_at": to_iso(due + row["jitter_us"]),
    }


def _silence(row: RowMapping, schedule: Schedule | None, now: Instant) -> str | None:
    if row["type"] not in TRIGGER_TYPES:
        return "not_supported"
    if not row["enabled"]:
        return "disabled"
    if row["workflow_status"] != "active":
        return f"workflow_{row['workflow_status']}"
    if row["deployed_version"] is None:
        return "workflow_not_deployed"
    if row["next_due_at"] is None and row["type"] in SCHEDULES and not _awaits(row, schedule, now):
        return "no_next_time"
    return None


def _awaits(row: RowMapping, schedule: Schedule | None, now: Instant) -> bool:
    """Whether it is due some time after the end of its last run."""
    if schedule is None or not isinstance(schedule.times, AfterEnd) or not row["active"] or row["last_run_id"] is None:
        return False
    return row["next_due_at"] is None and schedule.times.next_after(now) is not None


def _is_overdue(row: RowMapping, now: Instant) -> bool:
    due = row["next_due_at"]
    return due is not None and due + row["jitter_us"] < now - OVERDUE


def _iso(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
