"""Tasks of workflows from before there were uids get theirs when the database is migrated."""

import json
import sqlite3
from contextlib import closing

from millrace.storage.schema import migrate

WORKFLOW = """insert into workflows (id, name, slug, status, newest_version, created_at, updated_at)
values (:id, :id, :id, 'active', 1, 1, 1)"""
VERSION = """insert into workflow_versions (id, workflow_id, number, definition, content_hash, created_at)
values (:id, :workflow, :number, :definition, 'x', 1)"""


def test_each_task_of_each_workflow_gets_one() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "0001")
        versions = {
            ("one", 1): {"tasks": [{"id": "a"}, {"id": "gone"}]},
            ("one", 2): {"tasks": [{"id": "a"}, {"id": "b"}], "finally": [{"id": "z"}]},
            ("two", 1): {"tasks": [{"id": "a"}]},
        }
        for workflow in ("one", "two"):
            raw.execute(WORKFLOW, {"id": workflow})
        for (workflow, number), definition in versions.items():
            values = {"id": f"{workflow}{number}", "workflow": workflow, "number": number}
            raw.execute(VERSION, {**values, "definition": json.dumps(definition)})
        migrate(raw)
        rows = raw.execute("select workflow_id, task_id, uid from task_uids").fetchall()
    assert sorted(row[:2] for row in rows) == [("one", "a"), ("one", "b"), ("one", "gone"), ("one", "z"), ("two", "a")]
    uids = {row[2] for row in rows}
    assert len(uids) == 5
    assert all(len(uid) == 36 for uid in uids)
