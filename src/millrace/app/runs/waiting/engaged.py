"""What a task waits for that no worker runs: a time, an event, a signal, a decision, the end of another run."""

from typing import Any

import orjson
from sqlalchemy.engine import RowMapping

from millrace.app.runs.views import View
from millrace.core.values import to_iso

LONGEST_QUESTION = 200
"""Characters of what an approval asks; the task itself has the whole."""


def told_of_wait(row: RowMapping) -> View:
    """As the other reasons: `{reason, message, task, …}`, with `until` when the wait has a limit."""
    request: dict[str, Any] = {} if row["request"] is None else orjson.loads(row["request"])
    until = None if row["fire_at"] is None else to_iso(row["fire_at"])
    limit = "" if until is None else f", until {until}"
    told: dict[str, Any] = {"task": row["path"], **({} if until is None else {"until": until})}
    match row["kind"]:
        case "sleep":
            return {"reason": "sleep", "message": f"it goes on at {until}", **told}
        case "event":
            types = request["types"]
            key = "" if request.get("key") is None else f" with the key {_plain(request['key'])}"
            message = f"it waits for an event of type {' or '.join(types)}{key}{limit}"
            return {"reason": "event", "message": message, "types": types, "key": request.get("key"), **told}
        case "signal":
            message = f"it waits for the signal {request['name']!r}{limit}"
            return {"reason": "signal", "message": message, "signal": request["name"], **told}
        case "approval":
            asked = request["message"]
            short = asked if len(asked) <= LONGEST_QUESTION else f"{asked[:LONGEST_QUESTION]}…"
            return {"reason": "approval", "message": f"it waits for a decision{limit}: {short}", **told}
        case _:
            return {**_child(row, request, limit), **told}


def _child(row: RowMapping, request: dict[str, Any], limit: str) -> dict[str, Any]:
    run, workflow = row["child_run_id"], request["workflow"]
    if row["wanted"]:
        message = f"its run {run} of the workflow {workflow} is about to start{limit}"
    else:
        message = f"it waits for the end of run {run} of the workflow {workflow}{limit}"
    return {"reason": "sub_workflow", "message": message, "run_id": run}


def _plain(key: object) -> str:
    return repr(key) if isinstance(key, str) else orjson.dumps(key).decode()
