"""Events that tasks publish, in a whole Millrace: stored once for each task run, listed, read, and free of secrets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from millrace.api.create import create_app
from millrace.app.events.publishing import EventPublisher
from millrace.auth.first_admin import ensure_first_admin
from millrace.auth.masking import SecretMasker
from millrace.bootstrap import Runtime, running
from millrace.config import Settings
from millrace.ports.events import EventRefused, TaskEvent
from millrace.storage.tables import events
from millrace.system import SystemClock, Uuid7Ids
from tests.support.api import create, problem, start

SECRET = "tell nobody of this"


@pytest.fixture
async def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    monkeypatch.setenv("MILLRACE_SECRET_HIDDEN", SECRET)
    async with running(Settings(home=tmp_path / "home", port=0)) as started:
        yield started


@pytest.fixture
async def api(runtime: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
    key = await ensure_first_admin(runtime.database, SystemClock(), Uuid7Ids(), runtime.settings.home)
    assert key is not None
    transport = httpx2.ASGITransport(app=create_app(runtime.container), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers={"X-API-Key": key}) as client:
        yield client


def publishing(task_id: str, **config: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "publish_event", "config": {"type": "orders.imported", **config}}


async def ran(api: httpx2.AsyncClient, *tasks: dict[str, Any], **run: Any) -> dict[str, Any]:
    made = await create(api, {"name": f"Orders {tasks[0]['id']}", "tasks": list(tasks)})
    return await start(api, made["id"], wait=True, **run)


async def listed(api: httpx2.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await api.get("/api/v1/events", params=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def test_an_event_is_stored_and_can_be_read(api: httpx2.AsyncClient) -> None:
    run = await ran(
        api, publishing("tell", subject="day/{{ input.day }}", data={"n": "{{ input.n }}"}), input={"day": 7, "n": 2}
    )
    assert run["status"] == "completed", run
    (event,) = (await listed(api))["items"]
    assert event == {
        "id": event["id"],
        "type": "orders.imported",
        "source": "workflows/orders-tell",
        "subject": "day/7",
        "data": {"n": 2},
        "run_id": run["id"],
        "task": "tell",
        "at": event["at"],
        "external_id": None,
        "occurred_at": None,
        "extensions": {},
    }
    assert (await api.get(f"/api/v1/events/{event['id']}")).json() == event
    task = (await api.get(f"/api/v1/runs/{run['id']}/tasks/tell")).json()
    assert task["output"] == {key: event[key] for key in ("id", "type", "source", "subject", "at")}
    problem(await api.get("/api/v1/events/nothing"), 404, "event_not_found")


async def test_events_are_listed_page_by_page_and_narrowed(api: httpx2.AsyncClient) -> None:
    tasks = [publishing(f"t{number}", subject=f"s{number % 2}", source="mine") for number in range(5)]
    run = await ran(api, *tasks, publishing("other", type="orders.lost"))
    assert run["status"] == "completed", run
    first = await listed(api, type="orders.imported", limit=3)
    second = await listed(api, type="orders.imported", limit=3, cursor=first["next_cursor"])
    assert [one["task"] for one in (*first["items"], *second["items"])] == ["t4", "t3", "t2", "t1", "t0"]
    assert second["next_cursor"] is None
    assert [one["task"] for one in (await listed(api, type="orders.lost"))["items"]] == ["other"]
    assert [one["task"] for one in (await listed(api, source="mine", subject="s1"))["items"]] == ["t3", "t1"]
    assert len((await listed(api, run=run["id"]))["items"]) == 6
    assert (await listed(api, run="another"))["items"] == []
    problem(await api.get("/api/v1/events", params={"cursor": "x"}), 422, "invalid_cursor")


async def test_no_secret_is_in_an_event(api: httpx2.AsyncClient) -> None:
    hidden = "{{ secrets.hidden }}"
    await ran(api, publishing("tell", source=f"a {hidden}", subject=hidden, data={"a": [hidden], "b": hidden}))
    page = await api.get("/api/v1/events")
    assert SECRET not in page.text
    (event,) = page.json()["items"]
    assert (event["source"], event["subject"], event["data"]) == ("a ***", "***", {"a": ["***"], "b": "***"})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"type": "millrace.{{ 'run' }}.completed"}, "types that begin with millrace. are Millrace's own"),
        ({"subject": "{{ 'a\\nb' }}"}, "cannot hold a line break"),
        ({"data": "{{ input.large }}"}, "bytes of JSON are too many for an event"),
    ],
)
async def test_what_is_no_event(api: httpx2.AsyncClient, config: dict[str, Any], told: str) -> None:
    run = await ran(api, publishing("tell", **config), input={"large": "x" * 300_000})
    assert run["status"] == "failed"
    assert run["error"]["kind"] == "invalid_input"
    assert told in run["error"]["message"]
    assert (await listed(api))["items"] == []


async def test_a_task_run_publishes_once_however_often_it_is_tried(api: httpx2.AsyncClient, runtime: Runtime) -> None:
    run = await ran(api, publishing("tell", data=1))
    (event,) = (await listed(api))["items"]
    publisher = EventPublisher(runtime.database, SystemClock(), Uuid7Ids(), SecretMasker())
    again = await publisher.publish(TaskEvent(run["id"], "tell", "orders.imported", data=2))
    assert (again.id, again.repeated) == (event["id"], True)
    assert (await listed(api))["items"] == [event]
    other = await publisher.publish(TaskEvent(run["id"], "other", "orders.imported"))
    assert (other.id != event["id"], other.repeated) == (True, False)
    with pytest.raises(EventRefused, match="no run"):
        await publisher.publish(TaskEvent("nothing", "tell", "orders.imported"))


async def test_the_database_itself_refuses_a_second_event_of_a_task_run(
    api: httpx2.AsyncClient, runtime: Runtime
) -> None:
    def put(event_id: str, run_id: str | None, path: str | None) -> Any:
        row = {"id": event_id, "type": "t", "source": "s", "run_id": run_id, "task_path": path, "at": 1}
        return runtime.database.write(lambda connection: connection.execute(insert(events).values(**row)) and None)

    await put("1", "run", "tell")
    with pytest.raises(IntegrityError, match="UNIQUE"):
        await put("2", "run", "tell")
    for event_id in ("3", "4"):
        await put(event_id, None, None)
    assert {one["id"] for one in (await listed(api))["items"]} == {"1", "3", "4"}


async def test_an_event_is_one_level_deeper_than_its_run(api: httpx2.AsyncClient, runtime: Runtime) -> None:
    await ran(api, publishing("tell"))
    depths = await runtime.database.read(
        lambda connection: connection.execute(events.select()).mappings().one()["causation_depth"]
    )
    assert depths == 1
