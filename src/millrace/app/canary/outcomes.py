"""How the two versions did, side by side. Pure: from the runs that were made meanwhile to figures.

Only what the canary could have taken is compared: starts by triggers. Explicit starts, sub-workflows and tests take a
version of their own, and a repetition would count a failure twice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from millrace.app.canary.repository import SeenRun
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.core.values import JsonObject

NOT_TRIGGERED: Final = frozenset({"manual", "sub_workflow", "test"})
"""Trigger types of runs that no canary takes."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the runs of one version."""

    statuses: Counter[str]
    durations: Sequence[int]
    """In microseconds, of those that have finished, the shortest first."""
    last_failure: str | None
    """The id of the newest run that failed."""


def outcomes_of(seen: Sequence[SeenRun], version_id: str | None) -> Outcomes:
    """`seen`: runs of a workflow, newest first."""
    ours = [run for run in seen if run.version_id == version_id and _counts(run)]
    failed = (run.id for run in ours if run.status == RunStatus.FAILED)
    taken = [
        run.finished_at - run.started_at for run in ours if run.started_at is not None and run.finished_at is not None
    ]
    return Outcomes(Counter(run.status for run in ours), sorted(taken), next(failed, None))


def _counts(run: SeenRun) -> bool:
    return run.trigger_type not in NOT_TRIGGERED and run.retry_of is None


def outcomes_view(version: int, found: Outcomes, last_failure: JsonObject | None) -> JsonObject:
    completed, failed = found.statuses[RunStatus.COMPLETED], found.statuses[RunStatus.FAILED]
    finished = sum(found.statuses[status] for status in FINISHED_RUN)
    return {
        "version": version,
        "total": found.statuses.total(),
        "completed": completed,
        "failed": failed,
        "cancelled": found.statuses[RunStatus.CANCELLED],
        "unfinished": found.statuses.total() - finished,
        "failure_rate": None if completed + failed == 0 else round(failed / (completed + failed), 4),
        "duration_ms": None
        if not found.durations
        else {"p50": _percentile(found.durations, 0.50), "p95": _percentile(found.durations, 0.95)},
        "last_failure": last_failure,
    }


def _percentile(ordered: Sequence[int], share: float) -> float:
    """The duration that so large a share of the runs did not exceed, in milliseconds."""
    return ordered[ceil(share * len(ordered)) - 1] / 1000
