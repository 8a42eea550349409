"""Cancel, pause, resume, stop. A wish about a run is a row in its inbox: it survives whatever happens here."""

from collections.abc import Sequence

from millrace.app.runs import repository
from millrace.app.runs.queries import RunQueries, is_finished
from millrace.app.workflows.catalog import Catalog
from millrace.core.errors import Conflict
from millrace.core.states import RunStatus
from millrace.core.values import JsonObject
from millrace.engine.engine import Engine
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem, Store

LONGEST_REASON = 500


class RunControl:
    def __init__(
        self, database: Database, store: Store, engine: Engine, ids: Ids, catalog: Catalog, queries: RunQueries
    ) -> None:
        self._database = database
        self._store = store
        self._engine = engine
        self._ids = ids
        self._catalog = catalog
        self._queries = queries

    async def cancel(self, run_id: str, *, by: str, reason: str | None) -> None:
        """Ask for the end of a run. Durable when this returns; raises `Conflict` `run_finished` if it has ended."""
        if not await self.wish([run_id], "cancel", by=by, reason=reason):
            head = await self._queries.head(run_id)
            status = head.status if is_finished(head) else "finished"
            raise Conflict("run_finished", f"run {run_id} is {status} already and cannot be cancelled")

    async def pause(self, run_id: str, *, by: str) -> None:
        """Start nothing more of a run; what runs, runs on. Raises `Conflict` when it has finished or is being ended."""
        await self._wish(run_id, "pause", by, but=(RunStatus.CANCELLING,))

    async def resume(self, run_id: str, *, by: str) -> None:
        """Let a paused run go on. Raises `Conflict` when it has finished."""
        await self._wish(run_id, "resume", by)

    async def _wish(self, run_id: str, kind: str, by: str, *, but: Sequence[RunStatus] = ()) -> None:
        head = await self._queries.head(run_id)
        item = InboxItem(self._ids.new(), run_id, kind, {"by": by})
        if is_finished(head) or head.status in but or not await self._store.post([item]):
            now = (await self._queries.head(run_id)).status
            raise Conflict(
                "run_finished" if not but or is_finished(head) else "run_cancelling",
                f"run {run_id} is {now}; there is nothing to {kind}",
            )
        self._engine.receive([item])

    async def wish(self, run_ids: Sequence[str], kind: str, *, by: str, reason: str | None = None) -> frozenset[str]:
        """Ask many runs to `cancel`, `pause` or `resume`, in one commit; answers which have not finished."""
        data: JsonObject = {"by": by} if reason is None else {"by": by, "reason": reason}
        items = [InboxItem(self._ids.new(), run_id, kind, data) for run_id in run_ids]
        accepted = await self._store.post(items) if items else frozenset()
        self._engine.receive([item for item in items if item.id in accepted])
        return frozenset(item.run_id for item in items if item.id in accepted)

    async def stop(self, reference: str, *, by: str, reason: str | None) -> int:
        """Cancel every run of a workflow, also of a deleted one, that has not finished; answers how many."""
        workflow_id = await self._catalog.id_of_runs(reference)
        live = await self._database.read(lambda connection: repository.live_runs(connection, workflow_id))
        return len(await self.wish(live, "cancel", by=by, reason=reason))
