"""Reads the histories that many runs left in the database, and holds them to what Millrace promises.

It knows the records' names and nothing of the code that wrote them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from millrace.core.plan import Plan

ENDS = {"run.completed", "run.failed", "run.cancelled"}
TASK_ENDS = {"task.completed", "task.failed", "task.skipped", "task.cancelled"}
ENDS_OF_ATTEMPTS = TASK_ENDS | {"task.lost", "task.stopped", "task.retrying", "task.withdrawn"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen from outside."""

    plans: Mapping[str, Plan]
    executed: Counter[str]
    """How often the work of an attempt was begun, by token."""
    attempts: Collection[tuple[str, str, int]]


def check_stories(connection: Connection, world: Seen, accepted: Collection[str]) -> None:
    assert max(world.executed.values(), default=1) == 1, "an attempt was executed twice"
    runs = {row.id: row.version_id for row in connection.exec_driver_sql("select id, version_id from runs")}
    assert set(accepted) <= set(runs), "an accepted run is lost"
    assert len(set(runs.values())) == len(runs), "one start key started two runs"
    histories: dict[str, list[tuple[int, str, str | None, dict[str, object]]]] = defaultdict(list)
    for run_id, seq, kind, path, data in connection.exec_driver_sql(
        "select run_id, seq, type, path, data from records order by run_id, seq"
    ):
        histories[run_id].append((seq, kind, path, json.loads(data) if data else {}))
    for run_id, version_id in runs.items():
        history = histories[run_id]
        assert [seq for seq, *_ in history] == list(range(1, len(history) + 1)), f"a gap in {run_id}"
        assert history[0][1] == "run.created"
        ends = [position for position, (_, kind, _, _) in enumerate(history) if kind in ENDS]
        assert len(ends) == 1, f"{run_id} ended {len(ends)} times"
        after = [kind for _, kind, path, _ in history[ends[0] + 1 :] if path is not None]
        assert after == [], f"{run_id} went on after its end: {after}"
        for path, plan in world.plans[version_id].tasks.items():
            told = [(kind, data) for _, kind, where, data in history if where == path]
            check_task(run_id, path, told, world, on_crash=plan.retry.on_crash)


def check_task(
    run_id: str, path: str, told: list[tuple[str, dict[str, object]]], world: Seen, *, on_crash: bool
) -> None:
    kinds = [kind for kind, _ in told]
    place = f"{run_id} {path}: {kinds}"
    assert sum(kind in TASK_ENDS for kind in kinds) == 1, place
    assert kinds[-1] in TASK_ENDS, place
    live: object = None
    ambiguous = False
    for kind, data in told:
        number = data.get("attempt")
        match kind:
            case "task.scheduled":
                assert live is None, place
                live = number
            case "task.started":
                assert live in (None, number), place
                assert not (ambiguous and not on_crash), f"started again although it may have run: {place}"
                live = number
            case _ if kind in ENDS_OF_ATTEMPTS:
                ambiguous = ambiguous or kind in ("task.lost", "task.stopped")
                live = None
    if kinds[-1] == "task.completed":
        assert (run_id, path, told[-1][1]["attempt"]) in world.attempts, f"completed without being executed: {place}"
