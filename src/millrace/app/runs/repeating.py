"""Retry, rerun from a task, restart, each with the same or other input and version: a new run, linked to the old one.

The old run never changes. What the new one takes over it refers to: outputs are not copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import RowMapping

from millrace.app.plans import CompiledVersion, StoredPlans
from millrace.app.runs import repository
from millrace.app.runs.adoption import adoptable
from millrace.app.runs.making import Origin, RunMaker, Wanted, check_values, refuse_inactive, require_confirmation
from millrace.app.runs.payloads import whole_row
from millrace.app.runs.queries import unknown_run
from millrace.app.runs.starting import RunStarter, payloads_deleted
from millrace.app.workflows.catalog import Catalog, CatalogEntry
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.failures import Failure
from millrace.core.plan import Phase
from millrace.core.states import FINISHED_RUN, RunStatus, TaskStatus
from millrace.core.values import JsonObject
from millrace.definition import check_overrides
from millrace.engine.cell import Started
from millrace.ports.database import Database
from millrace.ports.payloads import Payloads
from millrace.ports.store import StartKey

SAME, NEWEST = "same", "newest"


@dataclass(frozen=True, slots=True)
class RepeatRequest:
    """What is to be other than in the old run; `None` keeps what it had."""

    input: JsonObject | None = None
    variables: JsonObject | None = None
    version: int | str = SAME
    """A number, `same` or `newest`."""
    priority: int | None = None
    confirmation: bool = False


@dataclass(frozen=True, slots=True)
class OldRun:
    row: Mapping[str, Any]
    tasks: dict[str, RowMapping]
    version: CompiledVersion


class RunRepeater:
    def __init__(
        self,
        database: Database,
        plans: StoredPlans,
        catalog: Catalog,
        maker: RunMaker,
        starter: RunStarter,
        payloads: Payloads,
    ) -> None:
        self._database = database
        self._plans = plans
        self._catalog = catalog
        self._maker = maker
        self._starter = starter
        self._payloads = payloads

    async def retry(
        self, run_id: str, request: RepeatRequest, *, by: str, start_key: StartKey | None = None
    ) -> Started:
        """Do again what did not complete, and all that comes after it; the rest is taken over.

        What failed as its `allow_failure` says counts as done, unless something before it is done again.

        Raises `NotFound`, `InvalidRequest`, `Forbidden`, and `Conflict`: the run goes on still (`run_not_finished`), or
        has completed (`nothing_to_retry`).
        """
        old = await self._old_run(run_id)
        if old.row["status"] == RunStatus.COMPLETED:
            raise Conflict("nothing_to_retry", f"run {run_id} has completed; to do it again, rerun it")
        return await self._repeat(old, request, by, from_task=None, adopts=True, start_key=start_key)

    async def rerun(self, run_id: str, request: RepeatRequest, *, by: str, from_task: str | None) -> Started:
        """Do everything again, or `from_task` and all that comes after it."""
        old = await self._old_run(run_id)
        return await self._repeat(old, request, by, from_task=from_task, adopts=from_task is not None)

    async def _repeat(
        self,
        old: OldRun,
        request: RepeatRequest,
        by: str,
        *,
        from_task: str | None,
        adopts: bool,
        start_key: StartKey | None = None,
    ) -> Started:
        check_values(input=request.input or {}, variables=request.variables or {})
        entry = await self._catalog.resolve(old.row["workflow_id"])
        refuse_inactive(entry.workflow)
        version = await self._version(old, entry, request.version)
        require_confirmation(version, request.confirmation)
        check_overrides(version.definition, request.variables or {})
        adopted = self._adopted(old, version, request, from_task) if adopts else {}
        await self._refuse_deleted(adopted)
        origin = Origin(
            trigger_type=old.row["trigger_type"],
            trigger=repository.json_of(old.row["trigger_data"]),
            trigger_id=old.row["trigger_id"],
            triggered_by=by,
            retry_of=old.row["id"],
            root_run_id=old.row["root_run_id"],
            causation_depth=old.row["causation_depth"],
            adopted=adopted,
            adopted_failures=_failures(old, adopted),
        )
        wanted = Wanted(
            input=repository.json_of(old.row["input"]) if request.input is None else request.input,
            variables={**repository.json_of(old.row["variables"]), **(request.variables or {})},
            correlation_id=old.row["correlation_id"],
            priority=old.row["priority"] if request.priority is None else request.priority,
        )
        new = await self._maker.make(entry.workflow, version, wanted, origin, start_key=start_key)
        return await self._starter.submit(entry.workflow, version, new)

    async def _refuse_deleted(self, adopted: dict[str, str]) -> None:
        """What a task answered is kept for a while only; without it nothing can be taken over."""
        origins = sorted(set(adopted.values()))
        gone = await self._database.read(lambda connection: repository.without_payloads(connection, origins))
        if gone:
            raise payloads_deleted(gone[0])

    def _adopted(
        self, old: OldRun, version: CompiledVersion, request: RepeatRequest, from_task: str | None
    ) -> dict[str, str]:
        if from_task is not None and from_task not in version.plan.tasks_of(Phase.MAIN):
            known = ", ".join(version.plan.tasks_of(Phase.MAIN)[:20])
            message = f"version {version.number} has no task {from_task!r}"
            fault = Fault("from_task", "unknown_task", message, f"write one of {known}")
            raise InvalidRequest("unknown_task", "there is no such task to start from", faults=[fault])
        edited = request.input is not None or request.variables is not None or version.id != old.version.id
        statuses = {path: _status(row) for path, row in old.tasks.items()}
        paths = adoptable(
            old.version.plan,
            version.plan,
            statuses,
            settled=() if edited else ("skipped by if",),
            again=() if from_task is None else (from_task,),
        )
        return {path: old.tasks[path]["adopted_from"] or old.row["id"] for path in paths}

    async def _old_run(self, run_id: str) -> OldRun:
        row, tasks = await self._database.read(lambda connection: repository.run_to_repeat(connection, run_id))
        if row is None:
            raise unknown_run(run_id)
        if RunStatus(row["status"]) not in FINISHED_RUN:
            raise Conflict("run_not_finished", f"run {run_id} is {row['status']}; wait for its end, or cancel it first")
        whole = await whole_row(dict(row), ("input", "variables", "trigger_data"), self._payloads)
        return OldRun(whole, {task["path"]: task for task in tasks}, await self._plans.version(row["version_id"]))

    async def _version(self, old: OldRun, entry: CatalogEntry, wanted: int | str) -> CompiledVersion:
        if wanted == SAME:
            return old.version
        number = entry.workflow.newest_version if wanted == NEWEST else wanted
        assert isinstance(number, int), "checked where the request was read"  # noqa: S101
        return await self._plans.version((await self._catalog.version(entry.workflow, str(number))).id)


def _failures(old: OldRun, adopted: Mapping[str, str]) -> dict[str, Failure]:
    """With what those of the adopted tasks failed that did."""
    errors = {path: old.tasks[path]["error"] for path in adopted if old.tasks[path]["status"] == TaskStatus.FAILED}
    return {path: Failure.from_json(repository.json_of(error)) for path, error in errors.items()}


def _status(row: RowMapping) -> str:
    status: str = row["status"]
    return "skipped by if" if status == TaskStatus.SKIPPED and row["skip_reason"] == "condition" else status
