"""Starts the runs of sub-workflow tasks. The wish for one is a row that the parent's own commit has written.

    rows that are wanted (by an index) → start, under the id that the parent knows → tell the parent what became of it

The id of the run is its start key: whoever starts it once more, after a crash or in another process, finds it started.
Its end is told by the run itself, in the commit that ends it (`engine.parking`).

Where the parent repeats a run whose own child did not complete, the new child repeats that one: what is done there it
takes over by the rules of any retry (`app.runs.takeover`), and so do the children of the child.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from millrace.app.firing.occasions import MOST_CAUSES
from millrace.app.plans import CompiledVersion
from millrace.app.runs.children import repository
from millrace.app.runs.children.repository import Ancestor, WantedChild
from millrace.app.runs.making import Origin
from millrace.app.runs.starting import RunStarter, StartRequest
from millrace.app.runs.takeover import OldRun, Takeover, from_the_beginning
from millrace.app.workflows.catalog import unknown_workflow
from millrace.app.workflows.repository import find_workflow
from millrace.auth.grants.repository import granted
from millrace.auth.permissions import Permission
from millrace.auth.sight import grants_with
from millrace.core.errors import Conflict, InvalidRequest, MillraceError, NotFound, Unavailable
from millrace.core.failures import Failure, FailureKind
from millrace.core.states import FINISHED_RUN
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.engine.engine import Engine
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStoreUnavailable
from millrace.ports.payloads import PayloadLost
from millrace.ports.store import InboxItem, NewRun, Refusal, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

BATCH: Final = 200
STARTED: Final = "child_started"
GONE: Final = frozenset({Refusal.PAYLOADS_DELETED.value, "run_not_found"})
"""Why a run cannot be started that is to repeat another: that one, or what its tasks answered, was deleted."""


class ChildStarts(Service):
    interval = 1.0

    def __init__(
        self, database: Database, starter: RunStarter, takeover: Takeover, engine: Engine, clock: Clock, ids: Ids
    ) -> None:
        super().__init__()
        self._database = database
        self._starter = starter
        self._takeover = takeover
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._none_at: int | None = None
        """How much had been written when none was wanted."""

    async def run_once(self) -> float | None:
        written = self._database.written
        if written is not None and written == self._none_at:
            return None
        found = await self._database.read(lambda connection: repository.wanted(connection, BATCH))
        self._none_at = None if found else written
        await asyncio.gather(*map(self._start, found))
        return 0.0 if len(found) == BATCH else None

    async def _start(self, child: WantedChild) -> None:
        try:
            item = await self._started(child)
        except (Unavailable, StoreUnavailable, ObjectStoreUnavailable) as error:
            logger.warning("run %s must wait to be started: %s", child.run_id, error)
            return
        except MillraceError as error:
            # Another process may have started it before whatever refuses it now.
            there = await self._database.read(lambda connection: repository.is_there(connection, child.run_id))
            item = self._item(child, STARTED) if there else self._refused(child, _failure_of(error))
        except Exception as error:  # whatever is wrong with this one, the others are started
            logger.exception("run %s could not be started", child.run_id)
            failure = Failure(FailureKind.ERROR, f"an error within Millrace kept its run from starting: {error!r}")
            item = self._refused(child, failure)
        note = partial(repository.note_outcome, child=child, item=item, started=item.kind == STARTED)
        if await self._database.write(note):
            self._engine.receive([item])

    async def _started(self, child: WantedChild) -> InboxItem:
        asked = child.request
        line, is_startable = await self._database.read(partial(_looked_at, child=child))
        if not line:
            raise InvalidRequest("parent_gone", f"run {child.parent_id} is not there any more")
        if not is_startable:
            raise unknown_workflow(str(asked["workflow"]))
        parent = line[0]
        if parent.depth >= MOST_CAUSES:
            message = f"loop: run {parent.id} is the {parent.depth}th in a line of runs that started one another"
            raise _Forbidden(Failure(FailureKind.REFUSED, f"{message}, and at most {MOST_CAUSES} may be in one"))
        awaits = asked.get("wait") is True
        before = await self._before(asked) if awaits else None

        async def complete(new: NewRun, version: CompiledVersion) -> NewRun:
            _check_places(new, version, line=line if awaits else ())
            return new if before is None else await self._repeating(before, version, new)

        try:
            await self._starter.start_child(
                str(asked["workflow"]),
                _request(asked, parent),
                _origin(child, parent, self._now(), awaits=awaits),
                run_id=child.run_id,
                complete=complete,
            )
        except (Conflict, NotFound) as error:
            if before is None or error.code not in GONE:
                raise
            # Retention has just deleted what was to be taken over: looked at again, it is seen to be gone.
            raise Unavailable(error.code, error.message) from error
        return self._item(child, STARTED)

    async def _before(self, asked: JsonObject) -> OldRun | None:
        """The run that the parent of an earlier start waited for, if the new one may repeat it."""
        run_id = asked.get("retry_of")
        try:
            old = await self._takeover.find(run_id) if isinstance(run_id, str) else None
        except PayloadLost as lost:
            logger.warning("nothing of run %s can be taken over: %s", run_id, lost)
            return None
        return old if old is not None and old.row["status"] in FINISHED_RUN else None

    async def _repeating(self, old: OldRun, version: CompiledVersion, new: NewRun) -> NewRun:
        """The run with what it takes over. One of another workflow repeats nothing."""
        if old.row["workflow_id"] != new.workflow_id:
            return new
        new = replace(new, retry_of=old.id)
        if old.row["payloads_deleted_at"] is not None:
            return from_the_beginning(old, new)
        adopting = await self._takeover.adopting(old, version, new, trigger=True)
        return from_the_beginning(old, new) if await self._takeover.deleted(adopting) else adopting

    def _now(self) -> str:
        return to_iso(self._clock.now())

    def _refused(self, child: WantedChild, failure: Failure) -> InboxItem:
        return self._item(child, "child_refused", error=failure.to_json())

    def _item(self, child: WantedChild, kind: str, **data: JsonValue) -> InboxItem:
        told: JsonObject = {"path": child.path, "run_id": child.run_id, **data}
        return InboxItem(self._ids.new(), child.parent_id, kind, told)


class _Forbidden(MillraceError):
    """A rule of sub-workflows forbids the start."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind.value, failure.message)


def _looked_at(connection: "Connection", child: WantedChild) -> tuple[Sequence[Ancestor], bool]:
    """The line above, and whether who wrote the parent's version may start what it names.

    That was judged when he saved it. But a name may lead elsewhere by now, and a grant may have been taken from him.
    """
    line = repository.line_above(connection, child.parent_id, MOST_CAUSES + 1)
    author = repository.restricted_author(connection, child.parent_id)
    if author is None:
        return line, True
    user_id, own = author
    wanted = find_workflow(connection, str(child.request["workflow"]))
    given = grants_with(Permission.RUN_START)
    may = wanted is None or wanted.id == own or not given.isdisjoint(granted(connection, user_id, wanted.id))
    if not may and wanted is not None:
        logger.warning("run %s may not start %s: its author was not granted that", child.parent_id, wanted.id)
    return line, may


def _request(asked: JsonObject, parent: Ancestor) -> StartRequest:
    given, variables = asked.get("input"), asked.get("variables")
    version, priority = asked.get("version"), asked.get("priority")
    correlation_id = asked.get("correlation_id")
    return StartRequest(
        input=given if isinstance(given, dict) else {},
        variables=variables if isinstance(variables, dict) else {},
        version=None if version is None else str(version),
        correlation_id=correlation_id if isinstance(correlation_id, str) else parent.correlation_id,
        priority=priority if isinstance(priority, int) else None,
    )


def _origin(child: WantedChild, parent: Ancestor, now: str, *, awaits: bool) -> Origin:
    return Origin(
        "sub_workflow",
        {"id": None, "type": "sub_workflow", "time": now, "run_id": parent.id, "task": child.path},
        triggered_by=parent.triggered_by,
        root_run_id=parent.root_id if awaits else None,
        causation_depth=parent.depth + 1,
        parent_run_id=parent.id,
        parent_path=child.path if awaits else None,
    )


def _check_places(new: NewRun, version: CompiledVersion, *, line: Sequence[Ancestor]) -> None:
    """Refuse a run that would wait for a place which those hold who wait for it: none of them would ever go on."""
    waiting = []
    for ancestor in line:
        waiting.append(ancestor)
        if not ancestor.awaited:
            break
    key, limit = new.admission_key, new.admission_limit
    held = [one.id for one in waiting if key is not None and one.admission_key == key and one.admitted]
    if limit is not None and len(held) >= limit:
        message = (
            f"the limit of {version.definition.name!r} is {limit}, and {', '.join(held)}, which would wait for "
            "this run, holds it"
        )
        raise _Forbidden(Failure(FailureKind.REFUSED, message))


def _failure_of(error: MillraceError) -> Failure:
    faults = "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)
    message = f"{error.message}: {faults}" if faults else error.message
    kind = FailureKind.INVALID_INPUT if isinstance(error, InvalidRequest) else FailureKind.REFUSED
    return Failure(kind, f"its run cannot be started: {message}")
