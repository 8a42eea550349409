"""Who works for this installation, and who did."""

import orjson
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.workers import repository
from millrace.core.values import Instant, JsonObject, JsonValue, to_iso
from millrace.ports.database import Database


class WorkerQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, live_only: bool, limit: int) -> JsonObject:
        """The incarnations, newest first, and the id of the installation they belong to."""

        def work(connection: Connection) -> JsonObject:
            rows = repository.list_incarnations(connection, live_only=live_only, limit=limit)
            items: list[JsonValue] = [_view(row) for row in rows]
            return {"installation_id": repository.installation_id(connection), "items": items, "next_cursor": None}

        return await self._database.read(work)


def _view(row: RowMapping) -> JsonObject:
    return {
        "id": row["id"],
        "status": _status(row),
        "host": row["host"],
        "pid": row["pid"],
        "queues": orjson.loads(row["queues"]),
        "slots": row["slots"],
        "running": row["running"],
        "started_at": to_iso(row["started_at"]),
        "heartbeat_at": to_iso(row["heartbeat_at"]),
        "lost_at": _iso_or_none(row["lost_at"]),
        "retired_at": _iso_or_none(row["retired_at"]),
    }


def _status(row: RowMapping) -> str:
    if row["lost_at"] is not None:
        return "lost"
    return "live" if row["retired_at"] is None else "retired"


def _iso_or_none(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
