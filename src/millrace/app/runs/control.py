"""Cancel and stop. A wish about a run is a row in its inbox, so it survives whatever happens to this process."""

from collections.abc import Sequence

from millrace.app.runs import repository
from millrace.app.runs.queries import RunQueries, is_finished
from millrace.app.workflows.catalog import Catalog
from millrace.core.errors import Conflict
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
        if not await self._cancel([run_id], by, reason):
            head = await self._queries.head(run_id)
            status = head.status if is_finished(head) else "finished"
            raise Conflict("run_finished", f"run {run_id} is {status} already and cannot be cancelled")

    async def stop(self, reference: str, *, by: str, reason: str | None) -> int:
        """Cancel every run of a workflow that has not finished; answers how many."""
        workflow_id = (await self._catalog.resolve(reference)).workflow.id
        live = await self._database.read(lambda connection: repository.live_runs(connection, workflow_id))
        return await self._cancel(live, by, reason)

    async def _cancel(self, run_ids: Sequence[str], by: str, reason: str | None) -> int:
        data: JsonObject = {"by": by} if reason is None else {"by": by, "reason": reason}
        items = [InboxItem(self._ids.new(), run_id, "cancel", data) for run_id in run_ids]
        accepted = await self._store.post(items) if items else frozenset()
        self._engine.receive([item for item in items if item.id in accepted])
        return len(accepted)
