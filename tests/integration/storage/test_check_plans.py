"""How the doctor reads a large database: along tables and indexes that are there, each row looked up by a key.

SQLite plans without statistics (nobody runs ANALYZE), so the plans on an empty database are those on a large one.
"""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from millrace.storage.database import SqliteDatabase
from millrace.storage.doctor import CHECKS
from millrace.system import SystemClock

SORTED = {"due_time_started_twice", "rate_limit_far_ahead"}
"""What no index is kept for, since nothing but the doctor would use it; of the rate limits it is only their keys."""

LIVE_ROWS_ONLY = {
    "task_rows_missing": "ix_runs_status_id",
    "ready_without_attempt": "ix_runs_status_id",
    "live_attempt_of_finished_run": "uq_attempts_live",
    "attempt_of_lost_worker": "ix_attempts_incarnation",
    "unserved_queue": "ix_attempts_queue",
    "limit_exceeded": "ix_runs_admitted",
}


@pytest.fixture
async def plans(tmp_path: Path) -> AsyncIterator[dict[str, list[str]]]:
    place = tmp_path / "millrace.db"
    await (await SqliteDatabase.open(place, clock=SystemClock(), synchronous="off")).close()
    with closing(sqlite3.connect(place)) as connection:
        connection.create_function("now_us", 0, lambda: 0)
        yield {
            check.code: [
                str(row[3]) for row in connection.execute(f"explain query plan {check.query}", {"patience": 1})
            ]
            for check in CHECKS
        }


async def test_no_check_builds_an_index_or_keeps_a_table_in_memory(plans: dict[str, list[str]]) -> None:
    wrong = re.compile("AUTOMATIC|MATERIALIZE|TEMP B-TREE")
    found = {code: plan for code, plan in plans.items() if code not in SORTED and any(map(wrong.search, plan))}
    assert found == {}


async def test_what_concerns_live_rows_reads_no_others(plans: dict[str, list[str]]) -> None:
    assert {code: index for code, index in LIVE_ROWS_ONLY.items() if f"INDEX {index}" not in plans[code][0]} == {}
