"""Operations on many runs: asked for at once, done in batches in the background, with progress, and across restarts.

Which runs are meant is fixed when the operation begins: those that the filter finds up to the newest run of that
moment. That one is looked up together with the count: ids begin with the time, and other processes may have made theirs
by a clock that is ahead. Runs are gone through by id, so none is missed and none is met twice; each batch is noted with
how far it brings the operation. One that cannot go on holds up no other.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection

from millrace.app.operations import repository
from millrace.app.operations.repository import OperationRow
from millrace.app.runs.control import RunControl
from millrace.app.runs.keys import CallerKeys, KeySpace, fingerprint, same_request
from millrace.app.runs.repeating import SAME, RepeatRequest, RunRepeater
from millrace.app.runs.repository import (
    RunFilter,
    count_matching,
    matching_ids,
    newest_id,
    post,
    repeats_of,
    started_with,
    take_key,
    unfinished,
)
from millrace.app.runs.views import View
from millrace.app.workflows.catalog import Catalog, require_seen
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.permissions import Access, Permission, Role, everywhere
from millrace.auth.principal import Principal
from millrace.auth.repository import find_user
from millrace.auth.sight import Sight
from millrace.core.errors import Conflict, MillraceError, NotFound, Unavailable
from millrace.core.states import RunStatus
from millrace.core.values import SECOND, to_iso
from millrace.engine.cell import Started
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.objects import ObjectStoreUnavailable
from millrace.ports.store import InboxItem, StartKey, StoreUnavailable

logger = logging.getLogger(__name__)

BATCH = 100
MOST_REFUSED = 100
"""Runs that did not take it of which an operation says why."""
HAD_FINISHED = "it had finished already"
KEYS = "operation"
KEY_LIFETIME = 30 * 86_400 * SECOND

MEANT: Mapping[str, tuple[str, ...]] = {
    "cancel": ("pending", "running", "waiting", "paused", "cancelling"),
    "pause": ("pending", "running", "waiting"),
    "resume": ("paused",),
    "retry": (RunStatus.FAILED.value, RunStatus.CANCELLED.value),
}
"""The actions, and the statuses of the runs that each can mean."""

RIGHT_LOST = "who asked for it may not do that any more; the runs that it had not come to are as they were"


@dataclass(frozen=True, slots=True)
class BulkRequest:
    action: str
    narrow: RunFilter
    """Without the workflow, which is known by its id there."""
    workflow: str | None = None
    """Id, name or slug of the only workflow whose runs are meant; of a deleted one its id, but not to retry."""
    reason: str | None = None
    version: int | str = SAME
    """For `retry`: the version the new runs take."""
    dry_run: bool = False
    """Only count."""
    confirmation: bool = False
    """For `retry`: runs whose workflow asks for a confirmation of each start are retried as well, not refused."""
    again: bool = False
    """For `retry`: also runs that another run does again already."""

    def fingerprint(self) -> str:
        """Two requests with the same one are the same request for an idempotency key.

        The workflow counts as it was written: what a key holds is answered also when that workflow is gone.
        """
        narrow = {name: value for name, value in asdict(self.narrow).items() if name != "sight"}
        asked = (self.action, self.workflow, narrow, self.reason, self.version, self.confirmation)
        # Without it as it was before there was the word: keys outlive an upgrade.
        return fingerprint((*asked, True) if self.again else asked)


@dataclass(frozen=True, slots=True)
class _Counts:
    until: str
    """The newest run."""
    meant: int
    """Runs up to it that are meant."""
    repeated: int
    """Left out: another run does them again already."""
    waited_for: int
    """Left out: a task of another run waited for them, whose retry does their work again."""


class Operations(Service):
    interval = 5.0

    def __init__(
        self,
        database: Database,
        control: RunControl,
        repeater: RunRepeater,
        clock: Clock,
        ids: Ids,
        catalog: Catalog,
        keys: CallerKeys,
    ) -> None:
        super().__init__()
        self._database = database
        self._control = control
        self._repeater = repeater
        self._clock = clock
        self._ids = ids
        self._catalog = catalog
        self._keys = keys
        self._put_off = set[str]()
        """Operations that could not go on the last time."""
        self.after_begin: Callable[[], None] = self.wake
        """Called when an operation was noted, which this process or another one then goes about."""

    async def begin(self, request: BulkRequest, *, by: Principal, key: str | None = None) -> View:
        """Note what is to be done and begin with it, or find what an earlier request with the same key has begun.

        A dry run does nothing, so it takes no key. Raises `NotFound` for a workflow that is not there, and `Conflict`
        when the key was used for another request.
        """
        if request.dry_run:
            return view(await self._counted(request, by))
        given = self._keys.key(KeySpace.MANY, by.user_id, key, request.fingerprint)
        # What a key has begun stays begun, whatever became of the workflow and its runs since.
        if (begun := await self._held(given)) is not None:
            return view(begun)
        row = await self._counted(request, by)
        noted = await self._database.write(lambda connection: _begun(connection, row, given))
        if noted.existed:
            return await self.get(same_request(noted, "operation").run_id)
        self.after_begin()
        return view(row)

    async def _held(self, key: StartKey | None) -> OperationRow | None:
        """What an earlier request with the key has begun. Raises `Conflict` if that was another request."""
        if key is None:
            return None
        now = self._clock.now()
        found = await self._database.read(lambda connection: repository.held_by(connection, key, now))
        if found is None:
            return None
        request_hash, row = found
        same_request(Started(row.id, existed=True, same_request=request_hash == key.request_hash), "operation")
        return row

    async def _counted(self, request: BulkRequest, by: Principal) -> OperationRow:
        """The operation as it begins, with how many runs it means; a dry run is over with that."""
        meant = MEANT[request.action]
        statuses = tuple(status for status in request.narrow.status or meant if status in meant)
        workflow_id = await self._workflow_id(request)
        narrow = replace(request.narrow, status=statuses or ("none",), workflow_id=workflow_id)
        now = self._clock.now()
        repeated = request.again or request.action != "retry"
        waited_for = request.action != "retry"
        counts = await self._database.read(
            lambda connection: _counts(connection, narrow, repeated=repeated, waited_for=waited_for)
        )
        stored = {
            "narrow": asdict(narrow),
            "until": counts.until,
            "reason": request.reason,
            "version": request.version,
            "confirmation": request.confirmation,
            "repeated": repeated,
            "left_out": counts.repeated,
            "waited_for": waited_for,
            "left_to_parents": counts.waited_for,
        }
        return OperationRow(
            id=self._ids.new(),
            kind=request.action,
            request=orjson.dumps(stored).decode(),
            status="completed" if request.dry_run else "running",
            position="",
            total=counts.meant,
            done=0,
            failed=0,
            error=None,
            created_by=by.user_id,
            created_at=now,
            finished_at=now if request.dry_run else None,
        )

    async def _workflow_id(self, request: BulkRequest) -> str | None:
        """A deleted workflow starts nothing, so its runs can be ended and not retried."""
        if request.workflow is None:
            return None
        if request.action == "retry":
            found = (await self._catalog.resolve(request.workflow)).workflow.id
        else:
            found = await self._catalog.id_of_runs(request.workflow)
        await require_seen(self._database, found, request.narrow.sight, request.workflow)
        return found

    async def get(self, operation_id: str) -> View:
        row = await self._database.read(lambda connection: repository.find(connection, operation_id))
        if row is None:
            raise unknown_operation(operation_id)
        return view(row)

    async def run_once(self) -> float | None:
        """One batch of every operation that has not finished; those that could not go on are tried again later."""
        open_ = await self._database.read(repository.unfinished)
        went_on = [await self._go_on(row) for row in open_]
        return 0.0 if any(went_on) else None

    async def _go_on(self, row: OperationRow) -> bool:
        """Whether it did. What hinders one, full queues or a defect, need not hinder those after it."""
        try:
            await self._batch(row)
        except StoreUnavailable:
            raise
        except Exception as error:
            # Told once, however often it is tried again beside others.
            if row.id not in self._put_off:
                expected = isinstance(error, ObjectStoreUnavailable | Unavailable)
                logger.warning("operation %s is put off: %s", row.id, error, exc_info=not expected)
            self._put_off.add(row.id)
            return False
        self._put_off.discard(row.id)
        return True

    async def _batch(self, row: OperationRow) -> None:
        asked = orjson.loads(row.request)
        run_ids = await self._database.read(lambda connection: _next(connection, row, asked))
        if not run_ids:
            lost = run_ids is None
            status, error = ("failed", RIGHT_LOST) if lost else ("completed", row.error)
            over = replace(row, status=status, error=error, finished_at=self._clock.now())
            await self._database.write(lambda connection: repository.save(connection, over, seen=row.position))
        elif row.kind == "retry":
            further = _further(row, run_ids, await self._retry(row, run_ids, asked))
            await self._database.write(lambda connection: repository.save(connection, further, seen=row.position))
        else:
            wishes = self._control.wishes(run_ids, row.kind, by=row.created_by or "", reason=asked["reason"])
            self._control.posted(await self._database.write(lambda connection: _wished(connection, row, wishes)))

    async def _retry(self, row: OperationRow, run_ids: Sequence[str], asked: Mapping[str, Any]) -> dict[str, str]:
        """The runs that were not retried, and why. A batch that is done again starts nothing twice."""
        refused, request = dict[str, str](), _repeat(asked)
        for run_id in run_ids:
            key = StartKey(KEYS, row.id, run_id, row.id, self._clock.now() + KEY_LIFETIME)
            try:
                if not _repeated(asked):
                    await self._refuse_repeated(run_id, asked["until"], key)
                await self._repeater.retry(run_id, request, by=row.created_by or "", start_key=key)
            except Unavailable:
                raise
            except MillraceError as refusal:
                refused[run_id] = refusal.message
        return refused

    async def _refuse_repeated(self, run_id: str, until: str, key: StartKey) -> None:
        """Raise `Conflict` if somebody else has a run done again since the operation began."""

        def read(connection: Connection) -> list[str]:
            ours = started_with(connection, key.namespace, key.scope, key.key)
            repeats = repeats_of(connection, run_id, after=until)
            return [other for other in repeats if ours is None or other != ours[1]]

        if others := await self._database.read(read):
            raise Conflict("already_retried", f"it was retried meanwhile, as run {others[-1]}")


def unknown_operation(operation_id: str) -> NotFound:
    return NotFound("operation_not_found", f"there is no operation with the id {operation_id!r}")


def _counts(connection: Connection, narrow: RunFilter, *, repeated: bool, waited_for: bool) -> _Counts:
    until = newest_id(connection)
    found = count_matching(connection, narrow, until=until)
    taken = found if waited_for else count_matching(connection, narrow, until=until, waited_for=False)
    meant = (
        taken if repeated else count_matching(connection, narrow, until=until, repeated=False, waited_for=waited_for)
    )
    return _Counts(until, meant, repeated=taken - meant, waited_for=found - taken)


def needed_for(action: str) -> Permission:
    """What to begin an operation takes, and to go on with it."""
    return Permission.RUN_START if action == "retry" else Permission.RUN_CONTROL


def _next(connection: Connection, row: OperationRow, asked: Mapping[str, Any]) -> Sequence[str] | None:
    """The runs of the next batch; `None` if who asked for the operation might not ask for it now."""
    told, until = asked["narrow"], asked["until"]
    if not _is_entitled(connection, row, of_all=told.get("sight") is None):
        return None
    # Who was let do this with some workflows then is asked about anew: what was taken from him meanwhile is left out.
    narrow = RunFilter(**{**told, "sight": Sight.stored(told.get("sight"))})
    repeated, waited_for = _repeated(asked), _waited_for(asked)
    return matching_ids(
        connection, narrow, after=row.position or "", until=until, limit=BATCH, repeated=repeated, waited_for=waited_for
    )


def _is_entitled(connection: Connection, row: OperationRow, *, of_all: bool) -> bool:
    """Whether who asked is not disabled, and has the right to all workflows if that was what he asked by."""
    user = find_user(connection, row.created_by or "")
    if user is None or user.disabled_at is not None:
        return False
    return not of_all or needed_for(row.kind) in everywhere(Role(user.role), Access(user.access))


def _wished(connection: Connection, row: OperationRow, wishes: Sequence[InboxItem]) -> Sequence[InboxItem]:
    """The wishes, posted together with how far that brings the operation: a second cancel would mean more than one.

    None if another process has done this batch.
    """
    run_ids = [wish.run_id for wish in wishes]
    asked = unfinished(connection, run_ids)
    refused = {run_id: HAD_FINISHED for run_id in run_ids if run_id not in asked}
    if not repository.save(connection, _further(row, run_ids, refused), seen=row.position):
        return []
    posted = [wish for wish in wishes if wish.run_id in asked]
    post(connection, posted)
    return posted


def _further(row: OperationRow, run_ids: Sequence[str], refused: Mapping[str, str]) -> OperationRow:
    """The operation once it has dealt with these runs."""
    asked = orjson.loads(row.request)
    told = [*_refused(asked), *({"run": run_id, "message": message} for run_id, message in refused.items())]
    return replace(
        row,
        request=orjson.dumps({**asked, "refused": told[:MOST_REFUSED]}).decode(),
        position=run_ids[-1],
        done=row.done + len(run_ids) - len(refused),
        failed=row.failed + len(refused),
        error=f"{told[-1]['run']}: {told[-1]['message']}" if refused else row.error,
    )


def _repeated(asked: Mapping[str, Any]) -> bool:
    """Whether runs are meant that are done again already. An operation noted before it could say so means them."""
    return asked.get("repeated", True) is True


def _waited_for(asked: Mapping[str, Any]) -> bool:
    """Whether runs are meant that a task of another run waits for. Noted before it could say so, it means them."""
    return asked.get("waited_for", True) is True


def _refused(asked: Mapping[str, Any]) -> list[dict[str, str]]:
    """The first runs that did not take it, and why, as they are kept with what was asked."""
    refused: list[dict[str, str]] = asked.get("refused", [])
    return refused


def _begun(connection: Connection, row: OperationRow, key: StartKey | None) -> Started:
    """The operation, noted with its key in one transaction, or the one that the key holds."""
    if key is not None:
        request_hash, held = take_key(connection, key, row.id, row.created_at)
        if held != row.id:
            return Started(held, existed=True, same_request=request_hash == key.request_hash)
    repository.add(connection, row)
    asked = orjson.loads(row.request)
    narrow = {name: value for name, value in asked["narrow"].items() if value}
    told = {"action": row.kind, "narrow": narrow, "reason": asked["reason"], "total": row.total}
    note(connection, Action.OPERATION_BEGIN, row.id, row.kind, after=told)
    return Started(row.id)


def _repeat(asked: Mapping[str, Any]) -> RepeatRequest:
    """What is asked of each run. An operation noted before it could be confirmed was not."""
    return RepeatRequest(version=asked["version"], confirmation=asked.get("confirmation") is True)


def view(row: OperationRow) -> View:
    asked = orjson.loads(row.request)
    return {
        "id": row.id,
        "action": row.kind,
        "status": row.status,
        "total": row.total,
        "already_retried": asked.get("left_out", 0),
        "left_to_parents": asked.get("left_to_parents", 0),
        "done": row.done,
        "failed": row.failed,
        "refused": _refused(asked),
        "error": row.error,
        "created_by": row.created_by,
        "created_at": to_iso(row.created_at),
        "finished_at": None if row.finished_at is None else to_iso(row.finished_at),
    }
