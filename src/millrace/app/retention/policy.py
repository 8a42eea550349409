"""How long what is kept: the rule of the installation, and of each workflow whose definition says otherwise.

A family (a run with its retries and the runs it started and waited for) is deleted as one, by the rule of its root's
workflow. Payloads go by the rule of each run's own workflow, when the whole family has ended so long ago.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from millrace.app.runs.keys import LIFETIME
from millrace.config import Settings
from millrace.core.durations import parse_period
from millrace.core.values import Duration, Instant

NEVER = "never"


@dataclass(frozen=True, slots=True)
class Policy:
    """Periods after the end of a run, as they are written: a duration, or `never`."""

    payloads: str
    """What tasks took and answered, and logs."""
    runs: str
    """The run with all that belongs to it."""
    archive: bool = False
    """Whether a run is archived before it is deleted."""
    archives: str = NEVER
    """After an archive was written: that archive."""

    def with_changes(self, changes: Mapping[str, object]) -> "Policy":
        """The rule of a workflow, whose definition may name either period, and whether its runs are archived."""
        archive = changes.get("archive")
        return replace(
            self,
            payloads=str(changes.get("payloads") or self.payloads),
            runs=str(changes.get("runs") or self.runs),
            archive=self.archive if archive is None else bool(archive),
        )

    def at(self, now: Instant) -> "Cutoffs":
        runs = _before(now, self.runs)
        operations = None if runs is None else min(runs, now - LIFETIME)
        return Cutoffs(_before(now, self.payloads), runs, operations, _before(now, self.archives))


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What ended at that time or before has been kept long enough; `None`: nothing has."""

    payloads: Instant | None
    runs: Instant | None
    operations: Instant | None
    """As runs, but not while an idempotency key may hold the operation."""
    archives: Instant | None


def policy_of(settings: Settings) -> Policy:
    return Policy(
        settings.retention_payloads,
        settings.retention_runs,
        archive=settings.retention_archive,
        archives=settings.retention_archives,
    )


def _before(now: Instant, period: str) -> Instant | None:
    kept: Duration | None = parse_period(period)
    return None if kept is None else now - kept
