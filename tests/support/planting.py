"""Runs that ended long ago, written by SQL: what a test cannot wait for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert

from millrace.core.values import SECOND, Instant
from millrace.storage import tables

DAY = 86_400 * SECOND


@dataclass(frozen=True)
class Planted:
    """A run with one task run, attempt and artifact, and so many records and log lines."""

    at: Instant
    number: int = 0
    records: int = 5
    logs: int = 2
    finished: bool = True
    finished_at: Instant | None = None
    root: str | None = None
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        milliseconds = self.at // 1000
        return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{self.number:012x}"


def plant(connection: Connection, workflow: Mapping[str, Any], version_id: str, planted: Planted) -> str:
    """Write all rows of a run; answers its id."""
    run_id, end = planted.id, (planted.finished_at or planted.at + SECOND) if planted.finished else None
    status = "completed" if planted.finished else "running"
    run = {
        "id": run_id, "workflow_id": workflow["id"], "version_id": version_id, "status": status, "phase": "main",
        "outcome": "completed" if planted.finished else None, "revision": 2, "last_seq": planted.records,
        "last_log": planted.logs, "trigger_type": "manual", "root_run_id": planted.root or run_id,
        "input": '{"kept":true}', "output": '"kept"', "created_at": planted.at, "started_at": planted.at,
        "finished_at": end,
    }  # fmt: skip
    connection.execute(insert(tables.runs).values({**run, **planted.run}))
    task = {"run_id": run_id, "path": "a"}
    connection.execute(
        insert(tables.task_runs).values(
            **task, type="echo", status=status, attempt=1, live=not planted.finished, input='{"value":1}',
            output=json.dumps("x" * 500) if planted.finished else None, revision=2, finished_at=end,
        )
    )  # fmt: skip
    connection.execute(
        insert(tables.attempts).values(
            **task, number=1, token=run_id, status=status, queue="default", available_at=planted.at, finished_at=end
        )
    )
    plain = {"run_id": run_id, "at": planted.at}
    if planted.records:
        types = ["run.created"] * (planted.records - 1) + ["run.completed"]
        rows = [{**plain, "seq": seq, "type": type_} for seq, type_ in enumerate(types, 1)]
        connection.execute(insert(tables.records), rows)
    if planted.logs:
        rows = [{**plain, "seq": seq, "level": "info", "text": f"line {seq}"} for seq in range(1, planted.logs + 1)]
        connection.execute(insert(tables.logs), rows)
    connection.execute(
        insert(tables.artifacts).values(
            id=f"a{run_id[1:]}", name="file", media_type="text/plain", size=1, sha256="0" * 64, object_key="none",
            run_id=run_id, created_at=planted.at,
        )
    )  # fmt: skip
    return run_id


def rows_by_table(connection: Connection, run_id: str) -> dict[str, int]:
    """How many rows of a run there are in each table that has some."""
    found = {}
    for name, table in tables.metadata.tables.items():
        if (name != "changes" and "run_id" in table.c) or name == "runs":
            column = "id" if name == "runs" else "run_id"
            query = f"select count(*) from {name} where {column} = '{run_id}'"  # noqa: S608
            found[name] = connection.exec_driver_sql(query).scalar_one()
    return {name: count for name, count in found.items() if count}
