"""What a new run takes over from one that it repeats: read from its rows, decided by `adoption`.

Whoever makes the new run decides which run it repeats, with which version and input: `repeating` for people,
`children.starting` for the run of a sub-workflow whose task goes on.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.plans import CompiledVersion, StoredPlans
from millrace.app.runs import repository
from millrace.app.runs.adoption import NOTHING_ELSE, Adoption, Ended, adoption, changed_reads
from millrace.app.runs.payloads import whole_row
from millrace.core.failures import Failure
from millrace.core.run import Ahead, SkipReason, TaskRun
from millrace.core.states import TaskStatus
from millrace.core.values import JsonObject
from millrace.ports.database import Database
from millrace.ports.payloads import Payloads
from millrace.ports.store import NewRun

MOST_TOLD = 100
"""Tasks that are told of which are done again although they were done; a workflow may have a thousand."""
NOT_KEPT = "what it answered is not kept any more (retention)"
RUN_NOT_KEPT = "what the tasks of its run answered is not kept any more (retention)"


@dataclass(frozen=True, slots=True)
class OldRun:
    row: Mapping[str, Any]
    tasks: dict[str, RowMapping]
    ahead: Mapping[str, Ahead]
    """Where it went on itself, if it repeated another."""
    children: Mapping[str, bool]
    """The runs of its sub-workflows that did not complete, as far as there are any: whether their payloads are kept."""
    version: CompiledVersion

    @property
    def id(self) -> str:
        run_id: str = self.row["id"]
        return run_id


class Takeover:
    def __init__(self, database: Database, plans: StoredPlans, payloads: Payloads) -> None:
        self._database = database
        self._plans = plans
        self._payloads = payloads

    async def find(self, run_id: str) -> OldRun | None:
        """The run with all that may be taken over of it, if there is such a one. Raises `PayloadLost`."""
        found = await self._database.read(lambda connection: repository.run_to_repeat(connection, run_id))
        if found is None:
            return None
        row = await whole_row(dict(found.row), ("input", "variables", "trigger_data"), self._payloads)
        tasks = {task["path"]: task for task in found.tasks}
        version = await self._plans.version(found.row["version_id"])
        return OldRun(row, tasks, found.ahead, found.children, version)

    async def adopting(
        self,
        old: OldRun,
        version: CompiledVersion,
        new: NewRun,
        *,
        again: Mapping[str, str] = NOTHING_ELSE,
        trigger: bool = False,
    ) -> NewRun:
        """The new run, of `version`, with what it takes over. `again`: tasks to be done again whatever they came to,
        each with why. `trigger`: what started it is another than what started the old run.

        Whether all of that is kept still is for the caller to ask (`deleted`).
        """
        found = _adoption(old, version, new, again, trigger=trigger)
        adopted = {path: old.tasks[path]["adopted_from"] or old.id for path in found.adopted if path in old.tasks}
        told = dict(islice((await self._told(old, found)).items(), MOST_TOLD))
        return replace(new, adopted=adopted, endings=_endings(old, adopted), ahead=found.ahead, done_again=told)

    async def deleted(self, new: NewRun) -> str | None:
        """A run that does not keep any more what its tasks answered, although the new run wants it."""
        origins = sorted(new.origins)
        gone = await self._database.read(lambda connection: repository.without_payloads(connection, origins))
        return gone[0] if gone else None

    async def _told(self, old: OldRun, found: Adoption) -> Mapping[str, str]:
        """What is done again although it was done. Of a sub-workflow that does not complete only its run can tell."""
        gone = {
            path: one.child
            for path, one in found.ahead.items()
            if one.child is not None and not old.children.get(one.child, False)
        }
        asked = {*gone.values(), *(child for children in found.lost.values() for child in children)}
        if not asked:
            return found.done_again
        busy = await self._database.read(lambda connection: _that_did_something(connection, asked))
        idle = {path for path, children in found.lost.items() if busy.isdisjoint(children)}
        told = {path: why for path, why in found.done_again.items() if path not in idle}
        return told | {path: RUN_NOT_KEPT for path, child in gone.items() if child in busy}


def _that_did_something(connection: Connection, runs: Iterable[str]) -> frozenset[str]:
    return repository.that_did_something(connection, sorted(runs))


def from_the_beginning(old: OldRun, new: NewRun) -> NewRun:
    """The new run, which repeats a run of which nothing can be taken over."""
    done = (path for path, row in old.tasks.items() if row["status"] == TaskStatus.COMPLETED)
    return replace(new, done_again=dict.fromkeys(islice(done, MOST_TOLD), NOT_KEPT))


def _adoption(
    old: OldRun, version: CompiledVersion, new: NewRun, again: Mapping[str, str], *, trigger: bool
) -> Adoption:
    before = {name: repository.json_of(old.row[name]) for name in ("input", "variables")}
    now: dict[str, JsonObject] = {"input": new.input, "variables": new.variables}
    if trigger:
        before["trigger"], now["trigger"] = repository.json_of(old.row["trigger_data"]), new.trigger
    return adoption(
        old.version.plan,
        version.plan,
        _ended(old),
        settled=("skipped by if",) if version.id == old.version.id else (),
        again=again,
        changed=changed_reads(version.plan, before, now),
    )


def _ended(old: OldRun) -> dict[str, Ended]:
    """How the task runs of the old run ended. What it did not come to is as a run before it had left it."""
    ended = {path: _ended_so(old, row) for path, row in old.tasks.items()}
    for path, before in old.ahead.items():
        own = ended.get(path)
        if own is None or (own.block is None and own.child is None and own.status != TaskStatus.COMPLETED):
            status = TaskStatus.CANCELLED.value if own is None else own.status
            ended[path] = Ended(status, before.block, before.size, before.child, before.origin)
    return ended


def _ended_so(old: OldRun, row: RowMapping) -> Ended:
    child = row["child_run_id"] if row["child_run_id"] in old.children else None
    return Ended(_status(row), row["block"], row["size"], child, row["adopted_from"] or old.id)


def _status(row: RowMapping) -> str:
    status: str = row["status"]
    return "skipped by if" if status == TaskStatus.SKIPPED and row["skip_reason"] == "condition" else status


def _endings(old: OldRun, adopted: Collection[str]) -> dict[str, TaskRun]:
    """How those of the adopted tasks ended that did not just complete."""
    found = ((path, old.tasks[path]) for path in adopted)
    return {
        path: TaskRun(
            path,
            TaskStatus(row["status"]),
            skip=None if row["skip_reason"] is None else SkipReason(row["skip_reason"]),
            failure=None if row["error"] is None else Failure.from_json(repository.json_of(row["error"])),
            block=row["block"],
            size=row["size"],
            child=row["child_run_id"],
        )
        for path, row in found
        if row["status"] != TaskStatus.COMPLETED or row["block"] is not None or row["child_run_id"] is not None
    }
