"""O7 over the API: a backup is one sound file, made once at a time, and leaves nothing behind on the server."""

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2

from tests.support.api import create, definition, problem, start
from tests.support.databases import ON_SQLITE
from tests.support.installation import Installation

pytestmark = ON_SQLITE


async def test_a_backup_is_what_was_committed_and_nothing_is_left_on_the_server(
    millrace: Installation, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    await create(api, definition("kept"))
    run = await start(api, "kept", wait=True)
    before = sorted(place.name for place in (tmp_path / "home").iterdir())

    response = await api.get("/api/v1/db/backup")

    assert response.status_code == 200
    assert response.headers["ETag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.headers["Content-Disposition"].startswith('attachment; filename="millrace-2')
    assert sorted(place.name for place in (tmp_path / "home").iterdir()) == before
    file = tmp_path / "backup.db"
    file.write_bytes(response.content)
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as raw:
        assert raw.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert raw.execute("select id, status from runs").fetchall() == [(run["id"], "completed")]
        assert raw.execute("pragma auto_vacuum").fetchone() == (2,)


async def test_one_backup_at_a_time(millrace: Installation, api: httpx2.AsyncClient) -> None:
    responses = await asyncio.gather(*(api.get("/api/v1/db/backup") for _ in range(3)))
    assert sorted(response.status_code for response in responses) == [200, 409, 409]
    refused = next(response for response in responses if response.status_code == 409)
    problem(refused, 409, "backup_running")
    assert (await api.get("/api/v1/db/backup")).status_code == 200


async def test_a_backup_that_has_no_place_is_refused(
    millrace: Installation, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "home" / ".millrace.db.backup"
    in_the_way.mkdir()
    problem(await api.get("/api/v1/db/backup"), 503, "backup_failed")
    in_the_way.rmdir()
    assert (await api.get("/api/v1/db/backup")).status_code == 200
