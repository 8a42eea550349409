"""Retry, rerun from a task, restart, each with the same or other input and version: a new run, linked to the old one.

The old run never changes. What the new one takes over it refers to: outputs are not copied.
"""

from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from millrace.app.plans import CompiledVersion, StoredPlans
from millrace.app.runs import repository
from millrace.app.runs.keys import CallerKeys, KeySpace, fingerprint
from millrace.app.runs.making import Origin, RunMaker, Wanted, check_values, refuse_inactive, require_confirmation
from millrace.app.runs.queries import unknown_run
from millrace.app.runs.starting import RunStarter, payloads_deleted
from millrace.app.runs.takeover import OldRun, Takeover
from millrace.app.runs.tasks.order import is_path
from millrace.app.workflows.catalog import Catalog, CatalogEntry
from millrace.core.counting import is_loop
from millrace.core.errors import Conflict, Fault, InvalidRequest, MillraceError
from millrace.core.plan import Phase, Plan, TaskPlan
from millrace.core.states import FINISHED_RUN, RunStatus
from millrace.core.values import JsonObject
from millrace.definition import check_overrides
from millrace.engine.cell import Started
from millrace.ports.plans import TEST
from millrace.ports.store import NewRun, StartKey

SAME, NEWEST = "same", "newest"

KNOWN_TOLD = 20
"""Of a version whose task was asked for under a wrong name."""


@dataclass(frozen=True, slots=True)
class RepeatRequest:
    """What is to be other than in the old run; `None` keeps what it had."""

    input: JsonObject | None = None
    variables: JsonObject | None = None
    version: int | str = SAME
    """A number, `same` or `newest`."""
    priority: int | None = None
    confirmation: bool = False

    def fingerprint(self, operation: str, from_task: str | None = None) -> str:
        """Two repetitions of a run with the same one are the same request for an idempotency key."""
        return fingerprint((operation, from_task, self.input, self.variables, self.version, self.priority))


class RunRepeater:
    def __init__(
        self,
        plans: StoredPlans,
        catalog: Catalog,
        maker: RunMaker,
        starter: RunStarter,
        takeover: Takeover,
        keys: CallerKeys,
    ) -> None:
        self._plans = plans
        self._catalog = catalog
        self._maker = maker
        self._starter = starter
        self._takeover = takeover
        self._keys = keys

    async def retry(
        self,
        run_id: str,
        request: RepeatRequest,
        *,
        by: str,
        key: str | None = None,
        start_key: StartKey | None = None,
    ) -> Started:
        """Do again what did not complete, and all that comes after it; the rest is taken over.

        What failed as its `allow_failure` says counts as done, unless something before it is done again. `key` is a
        caller's: it gives what an earlier retry of this run with it has started. `start_key` is one of our own.

        Raises `NotFound`, `InvalidRequest`, `Forbidden`, and `Conflict`: the run goes on still (`run_not_finished`),
        has completed (`nothing_to_retry`), or the key was used for another request (`idempotency_conflict`).
        """
        given = self._key(run_id, key, request, "retry")

        async def repeated() -> Started:
            old = await self._old_run(run_id)
            if old.row["status"] == RunStatus.COMPLETED:
                raise Conflict("nothing_to_retry", f"run {run_id} has completed; to do it again, rerun it")
            return await self._repeat(old, request, by, from_task=None, adopts=True, start_key=start_key or given)

        return await self._once(given, repeated())

    async def rerun(
        self, run_id: str, request: RepeatRequest, *, by: str, from_task: str | None, key: str | None = None
    ) -> Started:
        """Do everything again, or `from_task` and all that comes after it. `key` as for `retry`."""
        given = self._key(run_id, key, request, "rerun", from_task)

        async def repeated() -> Started:
            old = await self._old_run(run_id)
            adopts = from_task is not None
            return await self._repeat(old, request, by, from_task=from_task, adopts=adopts, start_key=given)

        return await self._once(given, repeated())

    def _key(
        self, run_id: str, key: str | None, request: RepeatRequest, operation: str, from_task: str | None = None
    ) -> StartKey | None:
        """The key of a request whose values can be stored. Raises `InvalidRequest` for those that cannot."""
        check_values(input=request.input or {}, variables=request.variables or {})
        return self._keys.key(KeySpace.REPEAT, run_id, key, partial(request.fingerprint, operation, from_task))

    async def _once(self, key: StartKey | None, repeated: Coroutine[Any, Any, Started]) -> Started:
        try:
            return await repeated
        except MillraceError:
            # What a key has started stays started, whatever became of the old run and its workflow since.
            started = await self._keys.holder(key)
            if started is None:
                raise
            return started

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
        entry = await self._catalog.resolve(old.row["workflow_id"])
        refuse_inactive(entry.workflow)
        version = await self._version(old, entry, request.version)
        require_confirmation(version, request.confirmation)
        check_overrides(version.definition, request.variables or {})
        origin = Origin(
            trigger_type=old.row["trigger_type"],
            trigger=repository.json_of(old.row["trigger_data"]),
            trigger_id=old.row["trigger_id"],
            triggered_by=by,
            retry_of=old.row["id"],
            root_run_id=old.row["root_run_id"],
            causation_depth=old.row["causation_depth"],
        )
        wanted = Wanted(
            input=repository.json_of(old.row["input"]) if request.input is None else request.input,
            variables={**repository.json_of(old.row["variables"]), **(request.variables or {})},
            correlation_id=old.row["correlation_id"],
            priority=old.row["priority"] if request.priority is None else request.priority,
            kept=request.input is None and version.id == old.version.id,
        )
        new = await self._maker.make(entry.workflow, version, wanted, origin, start_key=start_key)
        if adopts:
            new = await self._adopting(old, version, new, from_task)
        return await self._starter.submit(entry.workflow, version, new)

    async def _adopting(self, old: OldRun, version: CompiledVersion, new: NewRun, from_task: str | None) -> NewRun:
        """The run with what it takes over. Raises `InvalidRequest` and `Conflict`."""
        if from_task is not None:
            _require_start(old, version, from_task)
        again = {} if from_task is None else {from_task: "the new run begins with it"}
        new = await self._takeover.adopting(old, version, new, again=again)
        # What a task answered is kept for a while only; without it nothing can be taken over.
        gone = await self._takeover.deleted(new)
        if gone is not None:
            raise payloads_deleted(gone)
        return new

    async def _old_run(self, run_id: str) -> OldRun:
        old = await self._takeover.find(run_id)
        if old is None:
            raise unknown_run(run_id)
        if old.row["trigger_type"] == TEST:
            raise Conflict("test_run", "a test run cannot be repeated; start the test again")
        if (status := RunStatus(old.row["status"])) not in FINISHED_RUN:
            raise Conflict("run_not_finished", f"run {run_id} is {status}; wait for its end, or cancel it first")
        return old

    async def _version(self, old: OldRun, entry: CatalogEntry, wanted: int | str) -> CompiledVersion:
        if wanted == SAME:
            return old.version
        number = entry.workflow.newest_version if wanted == NEWEST else wanted
        assert isinstance(number, int), "checked where the request was read"  # noqa: S101
        return await self._plans.version((await self._catalog.version(entry.workflow, str(number))).id)


def _require_start(old: OldRun, version: CompiledVersion, path: str) -> None:
    """Raise `InvalidRequest` for a path that no run of the version can begin with, after what came before it."""
    plan = version.plan
    if not is_path(plan, path) or plan.task_at(path).phase is not Phase.MAIN:
        raise _no_start("unknown_task", *_no_task(version, path))
    if plan.task_at(path).parent is not None and path not in old.tasks:
        raise _no_start("unknown_task", f"run {old.row['id']} did not come to {path}", "write a task that has run")


def _no_task(version: CompiledVersion, path: str) -> tuple[str, str]:
    """Message and remedy: a task in a loop is named with its iteration, and each by its path."""
    plan = version.plan
    task = plan.tasks.get(path)
    if task is not None and task.phase is Phase.MAIN:
        remedy = f"write its path with the number of the iteration, such as {_start_at(plan, task)}"
        return f"{path} runs once in each iteration, so it cannot be named by its id", remedy
    if task is not None:
        return f"{path} runs in the part {task.phase.value}, after the tasks of the main part", "write one of those"
    main = (task for task in plan.tasks.values() if task.phase is Phase.MAIN)
    known = ", ".join(islice(dict.fromkeys(_start_at(plan, task) for task in main), KNOWN_TOLD))
    return f"version {version.number} has no task {path[:100]!r}", f"write one of {known}"


def _start_at(plan: Plan, task: TaskPlan) -> str:
    """Where a run can begin to do a task again: its path in the first iterations."""
    loops: list[str] = []
    around = task.parent
    while around is not None:
        if is_loop(plan, around):
            loops.insert(0, f"{around}[0].")
        around = plan.tasks[around].parent
    return f"{''.join(loops)}{task.id}"


def _no_start(code: str, message: str, remedy: str) -> InvalidRequest:
    fault = Fault("from_task", code, message, remedy)
    return InvalidRequest("unknown_task", "there is no such task to start from", faults=[fault])
