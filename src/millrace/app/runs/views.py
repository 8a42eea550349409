"""How runs, task runs, records and log lines are shown. Stored JSON goes out as it was stored, without being parsed.

A view is a mapping that `orjson` can write; payloads in it are fragments of JSON text.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson
from sqlalchemy.engine import RowMapping

from millrace.app.runs.repository import RUN_PAYLOADS, TASK_PAYLOADS
from millrace.core.values import to_iso

View: TypeAlias = Mapping[str, object]


def run_view(row: RowMapping) -> View:
    return {
        "id": row["id"],
        "workflow": {"id": row["workflow_id"], "name": row["workflow_name"], "version": row["version_number"]},
        "status": row["status"],
        "trigger_type": row["trigger_type"],
        "trigger_id": row["trigger_id"],
        "triggered_by": row["triggered_by"],
        **_json(row, RUN_PAYLOADS),
        "error": _fragment(row["error"]),
        "correlation_id": row["correlation_id"],
        "priority": row["priority"],
        "parent": row["parent_run_id"],
        "retry_of": row["retry_of"],
        **_times(row, ("created_at", "started_at", "finished_at", "cancelled_at")),
        "cancelled_by": row["cancelled_by"],
    }


def task_run_view(row: RowMapping) -> View:
    worker = row["worker"]
    return {
        "run_id": row["run_id"],
        "task": row["path"],
        "path": row["path"],
        "type": row["type"],
        "status": row["status"],
        "attempt": row["attempt"],
        "failures": row["failures"],
        "crashes": row["crashes"],
        "skip_reason": row["skip_reason"],
        **_json(row, TASK_PAYLOADS),
        "error": _fragment(row["error"]),
        "worker": None if worker is None else {"id": worker, "host": row["worker_host"]},
        **_times(row, ("ready_at", "available_at", "started_at", "finished_at")),
    }


def record_view(row: RowMapping) -> View:
    return {
        "seq": row["seq"],
        "type": row["type"],
        "path": row["path"],
        "at": to_iso(row["at"]),
        "data": _fragment(row["data"]),
    }


def log_view(row: RowMapping) -> View:
    return {
        "seq": row["seq"],
        "path": row["path"],
        "attempt": row["attempt"],
        "at": to_iso(row["at"]),
        "level": row["level"],
        "text": row["text"],
        "metadata": _fragment(row["metadata"]),
    }


def _json(row: RowMapping, names: Sequence[str]) -> dict[str, object]:
    view: dict[str, object] = {name: _fragment(row[name]) for name in names}
    omitted = [name for name in names if row.get(f"{name}_omitted")]
    return {**view, "omitted": omitted} if omitted else view


def _times(row: RowMapping, names: Sequence[str]) -> dict[str, object]:
    return {name: None if row[name] is None else to_iso(row[name]) for name in names}


def _fragment(text: str | None) -> object:
    return None if text is None else orjson.Fragment(text)
