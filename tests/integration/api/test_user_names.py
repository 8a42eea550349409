"""X9, W3, W8: documents say by whom something was done, by id and by name."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from millrace.api.naming import USERS
from millrace.auth import repository
from millrace.auth.names import FRESH, UserNames
from millrace.auth.permissions import Role
from millrace.core.values import SECOND
from millrace.storage.tables import users
from tests.support.api import create, definition, start
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.logins import new_key

URL = "/api/v1"
ADA = "019e2f5f-0000-7000-8000-000000000001"
SHOWN = {"id": ADA, "name": "Ada Lovelace"}
HOLD = {"id": "hold", "type": "hold", "config": {"value": None}}


@pytest.fixture
async def ada(millrace: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    await millrace.database.write(
        lambda connection: repository.add_user(
            connection, user_id=ADA, email="ada@example.com", name=SHOWN["name"], role=Role.ADMIN, now=1
        )
    )
    _, key = await new_key(millrace, ADA)
    async with millrace.client(key) as client:
        yield client


async def got(client: httpx2.AsyncClient, path: str) -> Any:
    response = await client.get(f"{URL}{path}")
    assert response.status_code == 200, response.text
    return response.json()


async def test_documents_about_workflows_name_their_users(api: httpx2.AsyncClient, ada: httpx2.AsyncClient) -> None:
    created = await create(api, definition("mixed"))
    admin = created["created_by"]
    assert admin["name"] == "Administrator"
    changed = (await ada.patch(f"{URL}/workflows/mixed", json={"tasks": [HOLD]})).json()
    assert (changed["created_by"], changed["updated_by"]) == (admin, SHOWN)
    (listed,) = (await got(api, "/workflows"))["items"]
    assert (listed["created_by"], listed["updated_by"]) == (admin, SHOWN)
    assert [item["author"] for item in (await got(api, "/workflows/mixed/versions"))["items"]] == [SHOWN, admin]
    difference = await got(api, "/workflows/mixed/diff")
    assert (difference["from"]["author"], difference["to"]["author"]) == (admin, SHOWN)
    deployed = await got(api, "/workflows/mixed/deploy")
    assert (deployed["version"]["author"], deployed["deployment"]["deployed_by"]) == (SHOWN, SHOWN)
    assert [item["deployed_by"] for item in (await got(api, "/deployments"))["items"]] == [SHOWN, admin]


async def test_documents_about_runs_name_their_users(api: httpx2.AsyncClient, ada: httpx2.AsyncClient) -> None:
    await create(api, definition("held", HOLD))
    run = await start(ada, "held")
    assert (run["triggered_by"], run["cancelled_by"]) == (SHOWN, None)
    assert (await ada.post(f"{URL}/runs/{run['id']}/cancel", json={"reason": "enough"})).status_code == 202
    await got(api, f"/runs/{run['id']}/events?wait_seconds=5&after=3")
    ended = await got(api, f"/runs/{run['id']}")
    assert (ended["triggered_by"], ended["cancelled_by"]) == (SHOWN, SHOWN)
    assert [item["triggered_by"] for item in (await got(api, "/workflows/held/runs"))["items"]] == [SHOWN]
    told = [item for item in (await got(api, f"/runs/{run['id']}/events"))["items"] if "by" in (item["data"] or {})]
    assert {item["type"]: item["data"]["by"] for item in told} == {"run.created": SHOWN, "run.cancel_requested": SHOWN}
    notes = {note["type"]: note["data"] for note in (await got(api, f"/runs/{run['id']}/timeline"))["notes"]}
    assert notes["run.cancel_requested"] == {"by": SHOWN, "reason": "enough"}
    streamed = await api.get(f"{URL}/runs/{run['id']}/events", headers={"Accept": "text/event-stream"})
    assert streamed.text.count(f'"by":{{"id":"{ADA}","name":"Ada Lovelace"}}') == 2
    bulk = await ada.post(
        f"{URL}/runs/bulk", json={"action": "cancel", "filter": {"workflow": "held"}, "dry_run": True}
    )
    assert bulk.json()["created_by"] == SHOWN


async def test_documents_about_other_things_name_their_users(ada: httpx2.AsyncClient) -> None:
    sent = await ada.put(f"{URL}/secrets/orders_api", json={"value": "a secret value"})
    assert (sent.json()["created_by"], sent.json()["updated_by"]) == (SHOWN, SHOWN)
    body = {"type": "http", "config": {"url": "https://api.example.com"}}
    assert (await ada.put(f"{URL}/connections/orders", json=body)).json()["updated_by"] == SHOWN
    for path in ("/secrets", "/connections"):
        assert [item["created_by"] for item in (await got(ada, path))["items"]] == [SHOWN], path
    sent = await ada.post(f"{URL}/artifacts?name=a.txt", content=b"a", headers={"Content-Type": "text/plain"})
    assert sent.json()["created_by"] == SHOWN
    assert [item["created_by"] for item in (await got(ada, "/artifacts"))["items"]] == [SHOWN]


async def test_what_others_call_an_author_in_values_is_left_alone(api: httpx2.AsyncClient) -> None:
    metadata = {"author": ADA, "created_by": ADA}
    made = await create(api, {**definition("values"), "metadata": metadata})
    assert made["metadata"] == made["definition"]["metadata"] == metadata
    run = await start(api, "values", input=metadata)
    assert (await got(api, f"/runs/{run['id']}"))["input"] == metadata


async def test_a_run_is_shown_with_one_read_and_a_page_with_one_more_at_most(
    api: httpx2.AsyncClient, ada: httpx2.AsyncClient, millrace: Installation
) -> None:
    await create(api, definition("counted"))
    run, *_ = [await start(client, "counted", wait=True) for client in (api, ada, api, ada)]
    await got(api, f"/runs/{run['id']}")
    before = millrace.database.reads
    for _ in range(3):
        await got(api, f"/runs/{run['id']}")
    assert millrace.database.reads - before == 3
    fresh = replace(millrace.container, user_names=UserNames(millrace.database, FakeClock()))
    millrace.app.state.container = fresh
    before = millrace.database.reads
    assert len((await got(api, "/runs"))["items"]) == 4
    assert millrace.database.reads - before == 2


async def test_a_name_is_read_again_after_a_minute_and_nobody_is_called_by_the_id(
    ada: httpx2.AsyncClient, millrace: Installation
) -> None:
    clock = FakeClock()
    names = UserNames(millrace.database, clock)
    assert await names.of([ADA, "millrace"]) == {ADA: "Ada Lovelace", "millrace": "millrace"}
    await millrace.database.write(lambda connection: connection.execute(users.update().values(name="Countess")))
    assert await names.of([ADA]) == {ADA: "Ada Lovelace"}
    clock.advance(int(FRESH * SECOND))
    assert await names.of([ADA]) == {ADA: "Countess"}


async def test_every_field_that_holds_a_user_is_described_as_one(api: httpx2.AsyncClient) -> None:
    schemas = (await api.get("/openapi.json")).json()["components"]["schemas"]
    fields = {
        (name, field): described
        for name, schema in schemas.items()
        for field, described in schema.get("properties", {}).items()
        if field in USERS or field.endswith("_by")
    }
    others = {"used_by", "overridden_by"}
    wrong = [
        key
        for key, described in fields.items()
        if key[1] not in others and {"$ref": "#/components/schemas/UserRef"} not in described.get("anyOf", [])
    ]
    assert (wrong, bool(fields)) == ([], True)
