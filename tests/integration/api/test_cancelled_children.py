"""Runs of sub-workflows are ended with the run that waits for them, and tidy up unless they are to end at once."""

from typing import Any

import httpx2
import pytest

from millrace.app.artifacts.payloads import StoredPayloads
from millrace.app.plans import StoredPlans
from millrace.app.runs.children.starting import ChildStarts
from millrace.app.runs.takeover import Takeover
from millrace.engine.inbox import InboxReader
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import create, eventually, start
from tests.support.installation import Installation

URL = "/api/v1"
HOLD = {"id": "long", "type": "hold"}
TIDY = {"id": "tidy", "type": "echo", "config": {"value": "tidied"}}
HOLD_TIDY = {"id": "tidy", "type": "hold"}


async def family(millrace: Installation, api: httpx2.AsyncClient, tidy: dict[str, Any]) -> list[dict[str, Any]]:
    """A run, that of its sub-workflow, and that of the sub-workflow of this one, which goes on for ever."""
    names = ("oldest", "middle", "youngest")
    await create(api, {"name": names[2], "tasks": [HOLD], "finally": [tidy]})
    for name, waits_for in ((names[1], names[2]), (names[0], names[1])):
        sub = {"id": "sub", "type": "sub_workflow", "config": {"workflow": waits_for}}
        await create(api, {"name": name, "tasks": [sub], "finally": [TIDY]})
    await start(api, names[0])
    made = millrace.container
    payloads = StoredPayloads(millrace.objects, 65_536)
    takeover = Takeover(millrace.database, StoredPlans(millrace.database), payloads)
    children = ChildStarts(millrace.database, made.run_starter, takeover, millrace.engine, SystemClock(), Uuid7Ids())
    return [await first_run(api, name, children) for name in names]


async def first_run(api: httpx2.AsyncClient, workflow: str, children: ChildStarts) -> dict[str, Any]:
    """The only run of a workflow, as soon as it has begun."""
    items: list[dict[str, Any]] = []
    while not items or items[0]["started_at"] is None:
        await children.run_once()
        items = (await api.get(f"{URL}/runs", params={"workflow": workflow})).json()["items"]
    return items[0]


async def tidied(millrace: Installation, api: httpx2.AsyncClient, run: dict[str, Any]) -> str:
    """What became of `finally`, once the run has been cancelled."""
    await told(millrace, api, f"runs/{run['id']}", "cancelled")
    status: str = (await api.get(f"{URL}/runs/{run['id']}/tasks/tidy")).json()["status"]
    return status


async def told(millrace: Installation, api: httpx2.AsyncClient, what: str, status: str) -> None:
    """Hand over what runs tell each other until one, or a task run, has the status."""
    inbox = InboxReader(millrace.store, millrace.engine)

    async def there() -> bool:
        await inbox.run_once()
        return bool((await api.get(f"{URL}/{what}")).json()["status"] == status)

    await eventually(there)


@pytest.mark.parametrize("how", ["bulk", "stop", "one after the other", "the parent first"])
async def test_runs_that_are_cancelled_with_their_parents_tidy_up(
    millrace: Installation, api: httpx2.AsyncClient, how: str
) -> None:
    runs = await family(millrace, api, TIDY)
    if how == "bulk":
        await api.post(f"{URL}/runs/bulk", json={"action": "cancel", "filter": {}, "all": True})
        while await millrace.container.operations.run_once() is not None:
            pass
    elif how == "stop":
        for name in ("youngest", "middle", "oldest"):
            await api.post(f"{URL}/workflows/{name}/stop")
    else:
        for run in runs if how == "the parent first" else reversed(runs):
            await api.post(f"{URL}/runs/{run['id']}/cancel")
    assert [await tidied(millrace, api, run) for run in runs] == ["completed"] * 3


async def test_a_second_cancel_of_a_parent_ends_all_that_it_waits_for(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    runs = await family(millrace, api, HOLD_TIDY)
    await api.post(f"{URL}/runs/{runs[0]['id']}/cancel")
    await told(millrace, api, f"runs/{runs[2]['id']}/tasks/tidy", "running")
    await api.post(f"{URL}/runs/{runs[0]['id']}/cancel")
    assert [await tidied(millrace, api, run) for run in runs] == ["skipped", "skipped", "cancelled"]
