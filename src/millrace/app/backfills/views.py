"""How backfills are shown: how far each has come, and what it waits for."""

from collections.abc import Mapping
from typing import TypeAlias

import orjson
from sqlalchemy.engine import RowMapping

from millrace.core.values import Instant, to_iso

View: TypeAlias = Mapping[str, object]


def backfill_view(row: RowMapping) -> View:
    decided = row["fired_before"] + row["started"] + row["skipped"] + row["refused"]
    return {
        "id": row["id"],
        "trigger": {"id": row["trigger_id"], "name": row["trigger_name"]},
        "workflow": {"id": row["workflow_id"], "name": row["workflow_name"]},
        "from": to_iso(row["range_from"]),
        "until": to_iso(row["range_until"]),
        "order": "in_order" if row["at_once"] == 1 else "parallel",
        "max_parallel": row["at_once"],
        "again": row["again"],
        "stop_on_failure": row["stop_on_failure"],
        "status": row["status"],
        "reason": row["reason"],
        "rests_because": _rest(row),
        "total": row["total"],
        "left": row["total"] - decided,
        **{name: row[name] for name in ("fired_before", "started", "skipped", "refused", "completed", "failed")},
        "under_way": orjson.loads(row["under_way"]),
        "created_by": row["created_by"],
        "created_at": to_iso(row["created_at"]),
        "finished_at": _iso(row["finished_at"]),
    }


def _rest(row: RowMapping) -> str | None:
    """Why a backfill that is not paused itself starts nothing now."""
    if row["status"] != "running" or row["trigger_name"] is None or row["trigger_active"]:
        return None
    if not row["trigger_enabled"]:
        return "trigger_disabled"
    return "workflow_not_deployed" if row["workflow_status"] == "active" else f"workflow_{row['workflow_status']}"


def _iso(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
