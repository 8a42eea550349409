"""How runs and task runs are shown. Stored JSON goes out as it was stored, without being parsed.

A view is a mapping that `orjson` can write; payloads in it are fragments of JSON text.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson
from sqlalchemy.engine import RowMapping

from millrace.app.runs.repository import RUN_PAYLOADS
from millrace.app.runs.tasks.repository import TASK_PAYLOADS
from millrace.core.controls import id_in
from millrace.core.plan import Plan
from millrace.core.values import JsonObject, to_iso
from millrace.definition.mocks import Terms
from millrace.ports.payloads import MARK, PutAway

View: TypeAlias = Mapping[str, object]
Place: TypeAlias = tuple[str | None, str | None, int | None]

NO_PLACE: Place = (None, None, None)
NO_KEYS: Mapping[str, Sequence[str]] = {}


def run_view(
    row: RowMapping, waiting_for: Sequence[View] = (), told: JsonObject | None = None, test: View | None = None
) -> View:
    """`told`: what the history of the run knows (`repository.told_of`), where a single run is shown; `test`: what it
    tests, where a single test run is."""
    told = told or {}
    done_again = told.get("done_again")
    return {
        "id": row["id"],
        "workflow": {"id": row["workflow_id"], "name": row["workflow_name"], "version": row["version_number"]},
        "status": row["status"],
        "trigger_type": row["trigger_type"],
        "trigger_id": row["trigger_id"],
        "triggered_by": row["triggered_by"],
        **_json(row, RUN_PAYLOADS),
        "error": _fragment(row["error"]),
        "test": test,
        "correlation_id": row["correlation_id"],
        "priority": row["priority"],
        "parent": row["parent_run_id"],
        "parent_path": row["parent_path"],
        "retry_of": row["retry_of"],
        "root": row["root_run_id"],
        "done_again": [{"task": path, "reason": why} for path, why in done_again.items()]
        if isinstance(done_again, dict)
        else [],
        "waiting_for": waiting_for,
        **_times(row, ("run_at", "created_at", "started_at", "finished_at", "cancelled_at")),
        "cancelled_by": row["cancelled_by"],
        "cancel_reason": told.get("cancel_reason"),
        **_times(row, ("payloads_deleted_at",)),
    }


def test_view(terms: str) -> View:
    """What a test run tests, by its terms as they are kept."""
    kept = Terms.from_json(orjson.loads(terms))
    return {"mocked": list(kept.mocks), "only": kept.only, "virtual_time": kept.virtual_time}


def task_run_view(
    row: RowMapping,
    place: Place = NO_PLACE,
    keys: Mapping[str, Sequence[str]] = NO_KEYS,
    plan: Plan | None = None,
    *,
    begun: int | None = None,
) -> View:
    """`place`: the control task around it, and the loop and the number of its iteration; `keys`: of items, by loop.

    `plan`: of its run, and has its path; without one it is taken for a task that was done. `begun`: of a loop, how many
    of its iterations have.
    """
    worker = row["worker"]
    parent, loop, index = place
    named = keys.get(loop, ()) if loop is not None else ()
    return {
        "run_id": row["run_id"],
        "task": id_in(row["path"]),
        "path": row["path"],
        "parent": parent,
        "iteration": index,
        "item_key": named[index] if index is not None and index < len(named) else None,
        "type": row["type"],
        "mocked": plan is not None and plan.task_at(row["path"]).mock is not None,
        "status": row["status"],
        "attempt": row["attempt"],
        "failures": row["failures"],
        "crashes": row["crashes"],
        "skip_reason": row["skip_reason"],
        **_json(row, TASK_PAYLOADS),
        "error": _fragment(row["error"]),
        "block": row["block"],
        "items": row["size"],
        "begun": begun,
        "child_run_id": row["child_run_id"],
        "adopted_from": row["adopted_from"],
        "worker": None if worker is None else {"id": worker, "host": row["worker_host"]},
        **_times(row, ("ready_at", "available_at", "started_at", "finished_at")),
    }


def _json(row: RowMapping, names: Sequence[str]) -> dict[str, object]:
    view: dict[str, object] = {name: _fragment(row[name]) for name in names}
    omitted = [name for name in names if row.get(f"{name}_omitted")]
    return {**view, "omitted": omitted} if omitted else view


def _times(row: RowMapping, names: Sequence[str]) -> dict[str, object]:
    return {name: None if row[name] is None else to_iso(row[name]) for name in names}


def _fragment(text: str | None) -> object:
    """Stored JSON as it is; `PutAway` for what is not in its row, which `payloads.read_back` fetches."""
    if text is None:
        return None
    return PutAway(text) if text[:1] == MARK else orjson.Fragment(text)
