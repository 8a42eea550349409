"""Cancel, pause, resume, signal, stop. A wish about a run is a row in its inbox: it survives whatever happens here."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from millrace.app.runs import repository
from millrace.app.runs.keys import CallerKeys, KeySpace, fingerprint, other_request
from millrace.app.runs.queries import RunQueries, is_finished, unknown_run
from millrace.app.runs.repository import RunHead
from millrace.app.runs.telling import check_told
from millrace.app.workflows.catalog import Catalog
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.errors import Conflict
from millrace.core.states import RunStatus
from millrace.core.values import Instant, JsonObject, JsonValue
from millrace.engine.engine import Engine
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem, StartKey, Store

LONGEST_REASON = 500
LOOKED_AT_ONCE = 500
ACTIONS = {
    "cancel": Action.RUN_CANCEL,
    "pause": Action.RUN_PAUSE,
    "resume": Action.RUN_RESUME,
    "signal": Action.RUN_SIGNAL,
}


class RunControl:
    def __init__(
        self,
        database: Database,
        store: Store,
        engine: Engine,
        ids: Ids,
        catalog: Catalog,
        queries: RunQueries,
        keys: CallerKeys,
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._engine = engine
        self._ids = ids
        self._catalog = catalog
        self._queries = queries
        self._keys = keys
        self._clock = clock

    async def cancel(self, run_id: str, *, by: str, reason: str | None, key: str | None = None) -> None:
        """Ask for the end of a run. Durable when this returns; raises `Conflict` `run_finished` if it has ended.

        `key` is a caller's, here and below: for a while a second request with it changes nothing, and raises `Conflict`
        (`idempotency_conflict`) if it asks for something else.
        """
        given = self._keys.key(KeySpace.CONTROL, run_id, key, lambda: fingerprint(("cancel", reason)))
        if given is not None:
            await self._wish_once(run_id, "cancel", by, given, reason=reason)
        elif not await self.wish([run_id], "cancel", by=by, reason=reason):
            head = await self._queries.head(run_id)
            raise _refused(replace(head, status=head.status if is_finished(head) else "finished"), "cancel")

    async def pause(self, run_id: str, *, by: str, key: str | None = None) -> None:
        """Start nothing more of a run; what runs, runs on. Raises `Conflict` when it has finished or is being ended."""
        await self._wish(run_id, "pause", by, key)

    async def resume(self, run_id: str, *, by: str, key: str | None = None) -> None:
        """Let a paused run go on. Raises `Conflict` when it has finished."""
        await self._wish(run_id, "resume", by, key)

    async def signal(self, run_id: str, name: str, data: JsonValue, *, by: str, key: str | None = None) -> None:
        """Tell a run something that its tasks wait for, or will. Raises `Conflict` `run_finished` when it has finished.

        Raises `InvalidRequest` for data that cannot be stored or is too large.
        """
        check_told("data", data)
        given = self._keys.key(KeySpace.CONTROL, run_id, key, lambda: fingerprint(("signal", name, data)))
        item = InboxItem(self._ids.new(), run_id, "signal", {"name": name, "data": data, "by": by})
        await self._queries.head(run_id)
        if given is not None:
            await self._post_once(item, given)
        elif not await self._posted([item]):
            raise _refused(await self._queries.head(run_id), "signal")

    async def _wish(self, run_id: str, kind: str, by: str, key: str | None) -> None:
        given = self._keys.key(KeySpace.CONTROL, run_id, key, lambda: fingerprint((kind,)))
        if given is not None:
            await self._wish_once(run_id, kind, by, given)
            return
        head = await self._queries.head(run_id)
        if not _takes(head, kind) or not await self.wish([run_id], kind, by=by):
            raise _refused(await self._queries.head(run_id), kind)

    async def _wish_once(self, run_id: str, kind: str, by: str, key: StartKey, *, reason: str | None = None) -> None:
        """Key and wish are noted in one transaction: an answer that was lost is given again, and the run asked once."""
        await self._queries.head(run_id)
        (wish,) = self.wishes([run_id], kind, by=by, reason=reason)
        await self._post_once(wish, key)

    async def _post_once(self, wish: InboxItem, key: StartKey) -> None:
        now = self._clock.now()
        self.posted(await self._database.write(lambda connection: _asked_once(connection, wish, key, now)))

    async def wish(self, run_ids: Sequence[str], kind: str, *, by: str, reason: str | None = None) -> frozenset[str]:
        """Ask runs to `cancel`, `pause` or `resume`, in one commit; answers which have not finished."""
        return await self._posted(self.wishes(run_ids, kind, by=by, reason=reason))

    async def _posted(self, items: Sequence[InboxItem]) -> frozenset[str]:
        """The runs that have taken it."""
        accepted = await self._database.write(lambda connection: _taken(connection, items, noted=True))
        self.posted(accepted)
        return frozenset(item.run_id for item in accepted)

    def wishes(self, run_ids: Sequence[str], kind: str, *, by: str, reason: str | None) -> Sequence[InboxItem]:
        """What asks the runs, for a caller who posts it in a transaction of his own."""
        data: JsonObject = {"by": by} if reason is None else {"by": by, "reason": reason}
        return [InboxItem(self._ids.new(), run_id, kind, data) for run_id in run_ids]

    def posted(self, items: Sequence[InboxItem]) -> None:
        """The wishes are in the inbox: they need not wait until it is looked into."""
        self._engine.receive(items)

    async def stop(self, reference: str, *, by: str, reason: str | None) -> int:
        """Cancel every run of a workflow, also of a deleted one, that has not finished; answers how many."""
        workflow_id = await self._catalog.id_of_runs(reference)
        live = await self._database.read(lambda connection: repository.live_runs(connection, workflow_id))
        items = self.wishes(live, "cancel", by=by, reason=reason)

        def work(connection: Connection) -> Sequence[InboxItem]:
            accepted = _taken(connection, items, noted=False)
            if accepted:
                told = {"runs": len(accepted), "reason": reason}
                note(connection, Action.WORKFLOW_STOP, workflow_id, reference, after=told)
            return accepted

        accepted = await self._database.write(work)
        self.posted(accepted)
        return len(accepted)


def _asked_once(connection: Connection, wish: InboxItem, key: StartKey, now: Instant) -> Sequence[InboxItem]:
    """The wish, posted, or none if the key has been used for it."""
    request_hash, held = repository.take_key(connection, key, wish.id, now)
    if held != wish.id:
        if request_hash != key.request_hash:
            raise other_request()
        return []
    head = repository.head(connection, wish.run_id)
    if head is None:
        raise unknown_run(wish.run_id)
    if not _takes(head, wish.kind):
        raise _refused(head, wish.kind)
    repository.post(connection, [wish])
    _note(connection, wish)
    return [wish]


def _taken(connection: Connection, items: Sequence[InboxItem], *, noted: bool) -> Sequence[InboxItem]:
    """Those for runs that have not finished, posted."""
    run_ids, live = [item.run_id for item in items], set[str]()
    for first in range(0, len(run_ids), LOOKED_AT_ONCE):
        live |= repository.unfinished(connection, run_ids[first : first + LOOKED_AT_ONCE])
    accepted = [item for item in items if item.run_id in live]
    repository.post(connection, accepted)
    for item in accepted if noted else ():
        _note(connection, item)
    return accepted


def _note(connection: Connection, wish: InboxItem) -> None:
    """What a signal says is in the history of the run."""
    told: JsonObject = {name: value for name, value in wish.data.items() if name in {"name", "reason"}}
    note(connection, ACTIONS[wish.kind], wish.run_id, after=told)


def _takes(head: RunHead, kind: str) -> bool:
    return not is_finished(head) and not (kind == "pause" and head.status == RunStatus.CANCELLING)


def _refused(head: RunHead, kind: str) -> Conflict:
    if kind == "cancel":
        return Conflict("run_finished", f"run {head.id} is {head.status} already and cannot be cancelled")
    code = "run_cancelling" if head.status == RunStatus.CANCELLING else "run_finished"
    return Conflict(code, f"run {head.id} is {head.status}; there is nothing to {kind}")
