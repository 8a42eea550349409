"""Operations on many runs: asked for at once, done in batches in the background, with progress, and across restarts.

Which runs are meant is fixed when the operation begins: those that the filter finds up to the newest run of that
moment. They are gone through by id, so none is missed and none is met twice; the progress is kept with each batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from millrace.app.operations import repository
from millrace.app.operations.repository import OperationRow
from millrace.app.runs.control import RunControl
from millrace.app.runs.repeating import SAME, RepeatRequest, RunRepeater
from millrace.app.runs.repository import RunFilter, count_matching, matching_ids
from millrace.app.runs.views import View
from millrace.auth.permissions import Permission, require
from millrace.auth.principal import Principal
from millrace.core.errors import MillraceError, NotFound, Unavailable
from millrace.core.states import RunStatus
from millrace.core.values import SECOND, to_iso
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import StartKey

BATCH = 100
KEYS = "operation"
KEY_LIFETIME = 30 * 86_400 * SECOND

MEANT: Mapping[str, tuple[str, ...]] = {
    "cancel": ("pending", "running", "waiting", "paused", "cancelling"),
    "pause": ("pending", "running", "waiting"),
    "resume": ("paused",),
    "retry": (RunStatus.FAILED.value, RunStatus.CANCELLED.value),
}
"""The actions, and the statuses of the runs that each can mean."""


@dataclass(frozen=True, slots=True)
class BulkRequest:
    action: str
    narrow: RunFilter
    reason: str | None = None
    version: int | str = SAME
    """For `retry`: the version the new runs take."""
    dry_run: bool = False
    """Only count."""
    confirmation: bool = False
    """For `retry`: runs whose workflow asks for a confirmation of each start are retried as well, not refused."""


class Operations(Service):
    interval = 5.0

    def __init__(self, database: Database, control: RunControl, repeater: RunRepeater, clock: Clock, ids: Ids) -> None:
        super().__init__()
        self._database = database
        self._control = control
        self._repeater = repeater
        self._clock = clock
        self._ids = ids

    async def begin(self, request: BulkRequest, *, by: Principal) -> View:
        """Note what is to be done and begin with it. Raises `Forbidden` for a retry without the right to start."""
        if request.action == "retry":
            require(by, Permission.RUN_START)
        meant = MEANT[request.action]
        statuses = tuple(status for status in request.narrow.status or meant if status in meant)
        narrow = replace(request.narrow, status=statuses or ("none",))
        until, now = self._ids.new(), self._clock.now()
        total = await self._database.read(lambda connection: count_matching(connection, narrow, until=until))
        stored = {
            "narrow": asdict(narrow),
            "until": until,
            "reason": request.reason,
            "version": request.version,
            "confirmation": request.confirmation,
        }
        row = OperationRow(
            id=until,
            kind=request.action,
            request=orjson.dumps(stored).decode(),
            status="completed" if request.dry_run else "running",
            position="",
            total=total,
            done=0,
            failed=0,
            error=None,
            created_by=by.user_id,
            created_at=now,
            finished_at=now if request.dry_run else None,
        )
        if not request.dry_run:
            await self._database.write(lambda connection: repository.add(connection, row))
            self.wake()
        return view(row)

    async def get(self, operation_id: str) -> View:
        row = await self._database.read(lambda connection: repository.find(connection, operation_id))
        if row is None:
            raise NotFound("operation_not_found", f"there is no operation with the id {operation_id!r}")
        return view(row)

    async def run_once(self) -> float | None:
        """One batch of every operation that has not finished."""
        open_ = await self._database.read(repository.unfinished)
        for row in open_:
            await self._batch(row)
        return 0.0 if open_ else None

    async def _batch(self, row: OperationRow) -> None:
        asked = orjson.loads(row.request)
        narrow = RunFilter(**asked["narrow"])
        run_ids = await self._database.read(
            lambda connection: matching_ids(
                connection, narrow, after=row.position or "", until=asked["until"], limit=BATCH
            )
        )
        if not run_ids:
            over = replace(row, status="completed", finished_at=self._clock.now())
            await self._database.write(lambda connection: repository.save(connection, over))
            return
        if row.kind == "retry":
            done, error = await self._retry(row, run_ids, _repeat(asked))
        else:
            done = await self._control.wish(run_ids, row.kind, by=row.created_by or "", reason=asked["reason"])
            error = None
        further = replace(
            row,
            position=run_ids[-1],
            done=row.done + done,
            failed=row.failed + len(run_ids) - done,
            error=error or row.error,
        )
        await self._database.write(lambda connection: repository.save(connection, further))

    async def _retry(self, row: OperationRow, run_ids: Sequence[str], request: RepeatRequest) -> tuple[int, str | None]:
        """How many were retried, and what the last refusal said. A batch that is done again starts nothing twice."""
        done, error = 0, None
        for run_id in run_ids:
            key = StartKey(KEYS, row.id, run_id, row.id, self._clock.now() + KEY_LIFETIME)
            try:
                await self._repeater.retry(run_id, request, by=row.created_by or "", start_key=key)
            except Unavailable:
                raise
            except MillraceError as refusal:
                error = f"{run_id}: {refusal.message}"
            else:
                done += 1
        return done, error


def _repeat(asked: Mapping[str, Any]) -> RepeatRequest:
    """What is asked of each run. An operation noted before it could be confirmed was not."""
    return RepeatRequest(version=asked["version"], confirmation=asked.get("confirmation") is True)


def view(row: OperationRow) -> View:
    return {
        "id": row.id,
        "action": row.kind,
        "status": row.status,
        "total": row.total,
        "done": row.done,
        "failed": row.failed,
        "error": row.error,
        "created_by": row.created_by,
        "created_at": to_iso(row.created_at),
        "finished_at": None if row.finished_at is None else to_iso(row.finished_at),
    }
