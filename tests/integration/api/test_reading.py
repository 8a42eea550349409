"""Nothing is changed by looking (GET must not act): whatever a page elsewhere has a browser fetch does nothing."""

import asyncio
import re
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, select

from millrace.storage.tables import metadata
from tests.integration.api.test_access import all_routes
from tests.support.api import ECHO, create, start, until_status
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

NOTED_BY_ITSELF = {
    "api_keys": {"last_used_at"},
    "sessions": {"last_used_at"},
    "incarnations": {"lease_until", "heartbeat_at"},
    "followers": {"position", "moved_at"},
}
"""What grows whether anybody looks or not."""
NOTED = {"/api/v1/db/backup": {"audit_log"}}
"""Who takes a copy of everything away is noted; the routes of browsers have no such thing."""


async def everything(millrace: Installation) -> dict[str, list[Any]]:
    """All rows of all tables."""

    def read(connection: Connection) -> dict[str, list[Any]]:
        found = {}
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in NOTED_BY_ITSELF.get(table.name, ())]
            if columns:
                found[table.name] = sorted(map(repr, map(tuple, connection.execute(select(*columns)))))
        return found

    return await millrace.database.read(read)


async def planted(api: httpx2.AsyncClient) -> dict[str, str]:
    """Something of most kinds, by the names that paths have for it."""
    made = await create(
        api, {"name": "w", "tasks": [ECHO], "triggers": [{"type": "webhook", "config": {"auth": {"type": "none"}}}]}
    )
    run = await start(api, "w", input={})
    await until_status(api, run, "completed")
    key = (await api.post("/api/v1/api-keys", json={"name": "k"})).json()
    sent = (await api.post("/api/v1/artifacts", params={"name": "page.html"}, content=b"<script>")).json()
    return {"workflow": made["id"], "run": run["id"], "key": key["id"], "artifact": sent["id"], "number": "1"}


async def test_no_get_changes_anything(millrace: Installation, api: httpx2.AsyncClient) -> None:
    known = await planted(api)
    gets = {str(route.path) for route in all_routes(millrace) if "GET" in (route.methods or ())}
    paths = [re.sub(r"\{(\w+)[^}]*\}", lambda found: known.get(found[1], "nothing"), path) for path in sorted(gets)]
    before, reached = await everything(millrace), 0
    # They go on until the server stops, so they are open while all the others are asked.
    streams = [asyncio.create_task(api.get(path)) for path in paths if path.endswith("/stream")]
    for path in paths:
        for method in ("HEAD",) if path.endswith("/stream") else ("GET", "HEAD"):
            answer = await api.request(method, path)
            assert answer.status_code < 500, f"{method} {path}: {answer.text}"
            reached += answer.status_code == 200
        after = await everything(millrace)
        changed = {name for name in after if after[name] != before[name]}
        assert changed == NOTED.get(path, set()), f"GET {path} changes {changed}"
        before = after
    millrace.app.state.streams.close()
    assert {answer.status_code for answer in await asyncio.gather(*streams)} == {200}
    assert len(streams) == 2
    assert reached > 30
    assert await everything(millrace) == before
