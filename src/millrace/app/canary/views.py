"""How a canary is shown: in short beside its workflow, and in full."""

from typing import Final

from millrace.app.canary.choosing import PLACES
from millrace.app.canary.repository import CanaryRow
from millrace.core.errors import NotFound
from millrace.core.values import JsonObject, to_iso

HUNDREDTHS: Final = PLACES // 100
"""Of a percent: people say and read percent."""


def live_view(row: CanaryRow | None) -> JsonObject | None:
    if row is None:
        return None
    return {"version": row.version, "share": percent(row), "since": to_iso(row.started_at)}


def canary_view(row: CanaryRow, workflow_name: str) -> JsonObject:
    return {
        "id": row.id,
        "workflow": {"id": row.workflow_id, "name": workflow_name},
        "version": row.version,
        "stable": row.stable,
        "share": percent(row),
        "since": to_iso(row.started_at),
        "started_by": row.started_by,
        "outcome": row.outcome,
        "ended_at": None if row.ended_at is None else to_iso(row.ended_at),
        "ended_by": row.ended_by,
    }


def percent(row: CanaryRow) -> float:
    return row.share / HUNDREDTHS


def no_canary(workflow: str) -> NotFound:
    return NotFound(
        "canary_not_found",
        f"the workflow {workflow!r} has no canary under way; begin one with a version and its share",
    )
