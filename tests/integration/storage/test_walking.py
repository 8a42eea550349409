"""Lists that look at a bounded number of rows for a page: nothing is left out or shown twice, whatever the bound is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, select

from millrace.app.walking import Walk, newest
from millrace.storage.tables import runs
from millrace.system import SystemClock
from tests.support.api import create, definition, start
from tests.support.installation import Installation, installation
from tests.support.planting import Planted, plant

MANY = 120
STATUSES = ("completed", "completed", "completed", "failed", "cancelled", "paused", "completed")

NARROWED: list[dict[str, str]] = [
    {},
    {"status": "completed"},
    {"status": "failed"},
    {"status": "failed,paused,cancelled"},
    {"status": "completed,failed"},
    {"status": "waiting"},
    {"trigger_type": "webhook"},
    {"trigger_type": "email"},
    {"trigger_type": "webhook", "status": "failed,cancelled"},
    {"workflow": "one"},
    {"workflow": "one", "status": "failed,paused"},
    {"workflow": "one", "status": "failed,cancelled", "trigger_type": "webhook"},
    {"workflow": "one", "status": "completed", "trigger_type": "webhook"},
    {"correlation_id": "rare", "status": "completed"},
    {"correlation_id": "rare", "workflow": "two"},
    {"label": "team:a"},
    {"label": "team:a", "status": "failed,cancelled,paused"},
    {"label": "team:a", "trigger_type": "webhook"},
    {"label": "team:none"},
    {"label": "team:a", "workflow": "two"},
    {"label": "team:a", "workflow": "three"},
]


@pytest.fixture
async def millrace(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home") as millrace, millrace.client() as api:
        made = {
            name: await create(api, {**definition(name), "labels": {"team": team}})
            for name, team in (("one", "a"), ("two", "a"), ("three", "b"))
        }
        first = await start(api, made["one"]["id"], wait=True)
        version = await millrace.database.read(
            lambda connection: connection.execute(
                select(runs.c.version_id).where(runs.c.id == first["id"])
            ).scalar_one()
        )
        now = SystemClock().now()

        def fill(connection: Connection) -> None:
            for number in range(MANY):
                status = STATUSES[number % len(STATUSES)]
                differs = {
                    "status": status,
                    "trigger_type": "webhook" if number % 11 == 0 else "manual",
                    "correlation_id": "rare" if number % 9 == 0 else None,
                }
                workflow = made[("one", "two", "three")[number % 3 if number % 4 else 0]]
                plant(connection, workflow, version, Planted(now, number, finished=status != "paused", run=differs))

        await millrace.database.write(fill)
        yield millrace


async def all_pages(api: httpx2.AsyncClient, **query: str) -> tuple[list[dict[str, Any]], list[int]]:
    """All items of a list, and how many each page had."""
    items: list[dict[str, Any]] = []
    sizes: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        response = await api.get("/api/v1/runs", params={**query, **cursor})
        assert response.status_code == 200, response.text
        page = response.json()
        items += page["items"]
        sizes.append(len(page["items"]))
        if page["next_cursor"] is None:
            return items, sizes
        cursor = {"cursor": page["next_cursor"]}


def fits(run: dict[str, Any], narrow: dict[str, str]) -> bool:
    teams = {"one": "team:a", "two": "team:a", "three": "team:b"}
    shown = {**run, "workflow": run["workflow"]["name"], "label": teams[run["workflow"]["name"]]}
    return all(shown[name] in value.split(",") for name, value in narrow.items())


@pytest.mark.parametrize(("bound", "limit"), [(7, "5"), (40, "10"), (20_000, "200")])
async def test_all_pages_together_hold_each_run_that_fits_once(
    millrace: Installation, monkeypatch: pytest.MonkeyPatch, bound: int, limit: str
) -> None:
    async with millrace.client() as api:
        everything, _ = await all_pages(api, limit="200")
        assert len(everything) == MANY + 1
        monkeypatch.setattr("millrace.app.runs.repository.TOGETHER", bound)
        monkeypatch.setattr("millrace.app.walking.Walk.__init__.__defaults__", ((), (), bound))
        for narrow in NARROWED:
            found, sizes = await all_pages(api, limit=limit, **narrow)
            assert [run["id"] for run in found] == [run["id"] for run in everything if fits(run, narrow)], narrow
            assert max(sizes) <= int(limit)
            if "email" in narrow.values():
                assert len(sizes) > 1 or bound > MANY, "the bound counts"


async def test_a_page_ends_where_it_has_looked_at_enough(millrace: Installation) -> None:
    def look(connection: Connection) -> None:
        ids = connection.execute(select(runs.c.id).order_by(runs.c.id.desc())).scalars().all()
        none = Walk(fits=(runs.c.trigger_type == "none",), at_most=50)
        found = newest(connection, runs.c.id, [none], limit=10)
        assert (found.ids, found.next) == ([], ids[50])
        rest = Walk(along=(runs.c.id < ids[100],), fits=none.fits, at_most=50)
        assert newest(connection, runs.c.id, [rest], limit=10).next is None
        all_of_them = newest(connection, runs.c.id, [Walk(at_most=1)], limit=100)
        assert (all_of_them.ids, all_of_them.next) == (ids[:100], ids[99])

    await millrace.database.read(look)
