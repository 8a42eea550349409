"""What retention would delete and what it has deleted. Reading only."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from millrace.app.archive.repository import count_older_than
from millrace.app.retention import repository
from millrace.app.retention.cleaning import LOOKED_AT_ONCE, Retention
from millrace.app.retention.incarnations import TO_THE_END, DeadIncarnations
from millrace.app.retention.policy import Cutoffs, Policy
from millrace.app.retention.rounds import repository as rounds
from millrace.app.retention.rounds.repository import RoundRow
from millrace.core.values import Instant, JsonObject, JsonValue, to_iso
from millrace.ports.clock import Clock
from millrace.ports.database import Database


@dataclass(slots=True)
class Due:
    """What would go: runs with all that belongs to them, and payloads of runs that stay."""

    families: int = 0
    runs: int = 0
    archived: int = 0
    """Of the runs those that would be archived before."""
    payloads: int = 0

    def add(self, other: "Due") -> None:
        self.families += other.families
        self.runs += other.runs
        self.archived += other.archived
        self.payloads += other.payloads

    def as_json(self) -> JsonObject:
        return {
            "families": self.families,
            "runs": self.runs,
            "archived": self.archived,
            "payloads": self.payloads,
        }


class RetentionQueries:
    def __init__(self, database: Database, clock: Clock, policy: Policy, retention: Retention) -> None:
        self._database, self._clock, self._policy, self._retention = database, clock, policy, retention

    async def show(self) -> JsonObject:
        """The rule, what workflows say otherwise, the round under way and the last one."""
        # First: a round that ends meanwhile is the last one then, so that it is seen as one of both in any case.
        current = self._retention.current or await self._database.read(rounds.round_asked_for)
        rules = await self._database.read(repository.workflow_rules)
        last = await self._database.read(rounds.last_round)
        workflows: list[JsonValue] = [
            {"workflow_id": rule.id, "name": rule.name, **_periods(self._policy.with_changes(rule.retention))}
            for rule in rules
            if rule.retention
        ]
        return {
            **_periods(self._policy),
            "archives": self._policy.archives,
            "workflows": workflows,
            "current_round": None if current is None else round_view(current),
            "last_round": None if last is None else round_view(last),
        }

    async def preview(self) -> JsonObject:
        """What a round would delete now, by workflow. Nothing is changed."""
        now, total = self._clock.now(), Due()
        workflows: list[JsonValue] = []
        for rule in await self._database.read(repository.workflow_rules):
            policy = self._policy.with_changes(rule.retention)
            due = await self._due(rule.id, policy.at(now))
            due.archived = due.runs if policy.archive else 0
            if due != Due():
                workflows.append({"workflow_id": rule.id, "name": rule.name, "kept": _periods(policy), **due.as_json()})
            total.add(due)
        left = {**await self._left(self._policy.at(now)), "archives": await self._archives(self._policy.at(now))}
        return {"dry_run": True, **total.as_json(), **left, "workflows": workflows}

    async def _left(self, cutoffs: Cutoffs) -> JsonObject:
        """What would go that belongs to no run."""
        if cutoffs.runs is None or cutoffs.operations is None:
            return {"operations": 0, "incarnations": 0}
        operations = await self._database.read(partial(repository.count_old_operations, cutoff=cutoffs.operations))
        walk = DeadIncarnations(self._database, most=TO_THE_END).unreferenced(cutoffs.runs)
        dead = [len(ids) async for ids in walk]
        return {"operations": operations, "incarnations": sum(dead)}

    async def _archives(self, cutoffs: Cutoffs) -> int:
        if cutoffs.archives is None:
            return 0
        return await self._database.read(partial(count_older_than, cutoff=cutoffs.archives))

    async def _due(self, workflow_id: str, cutoffs: Cutoffs) -> Due:
        due = Due()
        if cutoffs.runs is not None:
            async for roots in self._found(workflow_id, cutoffs.runs, payloads=False):
                due.families += len(roots)
                due.runs += await self._database.read(partial(repository.family_size, roots=roots))
        if cutoffs.payloads is not None:
            async for run_ids in self._found(workflow_id, cutoffs.payloads, payloads=True):
                due.payloads += len(run_ids)
                if cutoffs.runs is not None:
                    going = partial(repository.count_old, run_ids=run_ids, cutoff=cutoffs.runs)
                    due.payloads -= await self._database.read(going)
        return due

    async def _found(self, workflow_id: str, cutoff: Instant, *, payloads: bool) -> AsyncIterator[Sequence[str]]:
        look = partial(repository.look, workflow_id=workflow_id, payloads=payloads, cutoff=cutoff)
        after, more = "", True
        while more:
            window = await self._database.read(partial(look, after=after, limit=LOOKED_AT_ONCE))
            if window.due:
                yield window.due
            after, more = window.last, window.more


def round_view(row: RoundRow) -> JsonObject:
    return {
        "id": row.id,
        "cause": row.cause,
        "started_at": to_iso(row.started_at),
        "finished_at": None if row.finished_at is None else to_iso(row.finished_at),
        "runs": row.runs,
        "payloads": row.payloads,
        "firings": row.firings,
        "events": row.events,
        "operations": row.operations,
        "incarnations": row.incarnations,
        "archived": row.archived,
        "archives": row.archives,
        "error": row.error,
    }


def _periods(policy: Policy) -> JsonObject:
    return {"payloads": policy.payloads, "runs": policy.runs, "archive": policy.archive}
