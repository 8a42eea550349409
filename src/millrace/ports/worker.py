"""The ports between an engine and the worker of the same process.

A worker offers its free slots; the engine reserves slots while it builds a commit, claims attempts for them in that
same commit, and hands over what was claimed once the commit is durable. Slots that came to nothing are given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from millrace.core.plan import Plan
from millrace.ports.evaluator import Scope
from millrace.ports.runner import Outcome
from millrace.ports.store import ClaimedAttempt, LogLine, TaskPayload


class ClaimHost(Protocol):
    """A worker, as the engine sees it."""

    @property
    def incarnation_id(self) -> str: ...

    @property
    def queues(self) -> tuple[str, ...]: ...

    def reserve(self, wanted: int) -> int:
        """Take up to `wanted` free slots; answers how many. None while the worker is draining."""
        ...

    def release(self, count: int) -> None:
        """Give reserved slots back unused."""
        ...

    def launch(self, attempt: ClaimedAttempt, claimed_by: str) -> None:
        """Run an attempt that was claimed for this incarnation in a reserved slot. Never blocks.

        What was claimed for an earlier life of the worker is left to others, who find it lost.
        """
        ...

    def stop(self, run_id: str, path: str, number: int) -> bool:
        """End the attempt if it runs here (its run is ending); its report follows on the usual path.

        Whether it runs here.
        """
        ...

    def declared_dead(self) -> None:
        """This incarnation was declared lost: end everything and come back as a new one."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """How an attempt ended, with everything the worker has left to hand in about it."""

    attempt: ClaimedAttempt
    outcome: Outcome
    payload: TaskPayload
    logs: Sequence[LogLine] = ()


class AttemptDesk(Protocol):
    """An engine, as the worker sees it."""

    def plan_of(self, run_id: str) -> Plan | None:
        """The plan of a run that is at hand, without waiting."""
        ...

    async def load_plan(self, run_id: str) -> Plan:
        """The plan of the run, loaded if need be. Raises `LookupError` for a run that does not exist."""
        ...

    def workflow_of(self, run_id: str) -> str:
        """The name of the workflow that a run whose plan is at hand is of."""
        ...

    async def scope(self, run_id: str, path: str) -> Scope:
        """The names that expressions of this task run see, `secrets` aside."""
        ...

    def report(self, report: Report) -> None:
        """Hand in the end of an attempt. The engine commits it; the worker's slot is free already."""
        ...

    def abandoned(self, run_id: str) -> None:
        """An attempt ended whose end is not this worker's to report any more."""
        ...

    def lost(self, run_id: str, path: str, number: int) -> None:
        """The database holds the attempt for this worker, but the worker does not know it."""
        ...
