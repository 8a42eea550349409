"""W4: from runs to figures: what counts, what does not, and how they are reckoned."""

from dataclasses import replace
from typing import Any

import pytest

from millrace.app.canary.outcomes import outcomes_of, outcomes_view
from millrace.app.canary.repository import SeenRun

RUN = SeenRun("r", "v2", "completed", "event", None, started_at=0, finished_at=1_000)


def view(*seen: SeenRun) -> dict[str, Any]:
    found = outcomes_of(seen, "v2")
    return outcomes_view(2, found, None if found.last_failure is None else {"run_id": found.last_failure})


def test_nothing_is_told_where_nothing_ran() -> None:
    assert view() == {
        "version": 2, "total": 0, "completed": 0, "failed": 0, "cancelled": 0, "unfinished": 0,
        "failure_rate": None, "duration_ms": None, "last_failure": None,
    }  # fmt: skip


def test_each_status_counts_once_and_the_newest_failure_is_named() -> None:
    statuses = [
        "failed", "running", "completed", "failed", "completed", "completed", "cancelled", "pending", "waiting",
        "paused", "cancelling",
    ]  # fmt: skip
    unfinished = {"running", "pending", "waiting", "paused", "cancelling"}
    runs = [
        replace(RUN, id=str(number), status=status, finished_at=None if status in unfinished else 1_000)
        for number, status in enumerate(statuses)
    ]
    found = view(*runs)
    assert (found["total"], found["completed"], found["failed"], found["cancelled"]) == (11, 3, 2, 1)
    assert (found["unfinished"], found["failure_rate"], found["last_failure"]) == (5, 0.4, {"run_id": "0"})


@pytest.mark.parametrize(
    "other",
    [{"version_id": "v1"}, {"trigger_type": "manual"}, {"trigger_type": "sub_workflow"}, {"trigger_type": "test"},
     {"retry_of": "r"}],
    ids=str,
)  # fmt: skip
def test_what_no_canary_takes_does_not_count(other: dict[str, str]) -> None:
    assert view(replace(RUN, **other)) == view()  # type: ignore[arg-type]
    assert view(replace(RUN, **other), RUN)["total"] == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (20, 10, 19), (100, 50, 95), (101, 51, 96)])
def test_so_large_a_part_did_not_take_longer(count: int, p50: float, p95: float) -> None:
    runs = [replace(RUN, finished_at=1_000 * number) for number in range(count, 0, -1)]
    never_began = replace(RUN, status="cancelled", started_at=None, finished_at=9_000_000)
    assert view(never_began, *runs)["duration_ms"] == {"p50": p50, "p95": p95}
