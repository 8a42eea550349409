"""`POST /events`: Millrace's own JSON and CloudEvents in all three modes, stored once for each id, or refused whole."""

import asyncio
import base64
from typing import Any

import httpx2
import pytest

from tests.support.api import problem
from tests.support.installation import Installation

URL = "/api/v1/events"
CLOUD = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "orders.imported"}


async def published(api: httpx2.AsyncClient, **event: Any) -> dict[str, Any]:
    response = await api.post(URL, json=event)
    assert response.status_code == 202, response.text
    told: dict[str, Any] = response.json()
    return told


async def structured(api: httpx2.AsyncClient, event: Any, kind: str = "cloudevents") -> httpx2.Response:
    return await api.post(URL, json=event, headers={"Content-Type": f"application/{kind}+json; charset=utf-8"})


async def binary(api: httpx2.AsyncClient, content: bytes = b"", **headers: str) -> httpx2.Response:
    attributes = {f"ce-{name}": str(value) for name, value in CLOUD.items()}
    return await api.post(URL, content=content, headers={**attributes, **headers})


async def test_an_event_in_our_own_words(api: httpx2.AsyncClient) -> None:
    told = await published(
        api, type="a", source="s", subject="x", data={"n": 1}, id="7", time="2026-03-29T01:00:00+02:00"
    )
    assert told == {
        "id": told["id"],
        "type": "a",
        "source": "s",
        "subject": "x",
        "data": {"n": 1},
        "run_id": None,
        "task": None,
        "at": told["at"],
        "external_id": "7",
        "occurred_at": "2026-03-28T23:00:00.000000Z",
        "extensions": {},
        "repeated": False,
    }
    del told["repeated"]
    assert (await api.get(f"{URL}/{told['id']}")).json() == told
    least = await published(api, type="a")
    assert (least["source"], least["subject"], least["data"], least["external_id"]) == ("api", None, None, None)
    assert (await api.post(URL, content="type: a", headers={"Content-Type": "application/yaml"})).status_code == 202


async def test_the_same_source_and_id_are_the_same_event(api: httpx2.AsyncClient) -> None:
    first = await published(api, type="a", source="s", id="7", data=1)
    again = await api.post(URL, json={"type": "b", "source": "s", "id": "7", "data": 2})
    assert again.status_code == 200
    assert again.json() == {**first, "repeated": True}
    assert (await published(api, type="a", source="other", id="7"))["id"] != first["id"]
    assert (await published(api, type="a", source="s"))["id"] != (await published(api, type="a", source="s"))["id"]


async def test_an_idempotency_key_is_the_id_of_an_event_without_one(api: httpx2.AsyncClient) -> None:
    first = await api.post(URL, json={"type": "a"}, headers={"Idempotency-Key": "k"})
    again = await api.post(URL, json={"type": "a"}, headers={"Idempotency-Key": "k"})
    own = await api.post(URL, json={"type": "a", "id": "own"}, headers={"Idempotency-Key": "k"})
    assert [answer.status_code for answer in (first, again, own)] == [202, 200, 202]
    assert (first.json()["external_id"], own.json()["external_id"]) == ("k", "own")
    other = await api.post(URL, json={"type": "a", "data": 1}, headers={"Idempotency-Key": "k"})
    problem(other, 409, "idempotency_conflict")


async def test_the_same_event_told_at_the_same_time(api: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(api.post(URL, json={"type": "a", "id": "7"}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_structured_cloud_event(api: httpx2.AsyncClient) -> None:
    event = {
        **CLOUD,
        "subject": "day/7",
        "time": "2026-03-29T01:00:00Z",
        "datacontenttype": "application/json",
        "data": {"n": 1},
        "tenant": "berlin",
        "attempt": 2,
    }
    response = await structured(api, event)
    assert response.status_code == 202, response.text
    told = response.json()
    assert (told["external_id"], told["source"], told["subject"], told["data"]) == ("7", "/shop", "day/7", {"n": 1})
    assert told["extensions"] == {"datacontenttype": "application/json", "tenant": "berlin", "attempt": 2}
    assert (await structured(api, event)).status_code == 200


async def test_binary_cloud_events(api: httpx2.AsyncClient) -> None:
    told = (await binary(api, b'{"n": 1}', **{"Content-Type": "application/json", "ce-tenant": "M%C3%BCnchen"})).json()
    assert told["data"] == {"n": 1}
    assert told["extensions"] == {"datacontenttype": "application/json", "tenant": "München"}
    told = (await binary(api, b"hello", **{"Content-Type": "text/plain", "ce-id": "8"})).json()
    assert (told["data"], told["extensions"]["data_encoding"]) == ("hello", "text")
    told = (await binary(api, b"\xff\x00", **{"Content-Type": "image/png", "ce-id": "9"})).json()
    assert base64.b64decode(told["data"]) == b"\xff\x00"
    assert told["extensions"] == {"datacontenttype": "image/png", "data_encoding": "base64"}
    told = (await binary(api, **{"ce-id": "10"})).json()
    assert (told["data"], told["extensions"]) == (None, {})


async def test_a_batch_is_stored_whole_or_not_at_all(api: httpx2.AsyncClient) -> None:
    batch = [{**CLOUD, "id": str(number), "data_base64": "aGk="} for number in range(3)]
    response = await structured(api, batch, "cloudevents-batch")
    assert response.status_code == 202, response.text
    assert [one["external_id"] for one in response.json()["items"]] == ["0", "1", "2"]
    assert response.json()["items"][0]["extensions"] == {"data_encoding": "base64"}
    again = await structured(api, [*batch, {**CLOUD, "id": "3"}], "cloudevents-batch")
    assert [one["repeated"] for one in again.json()["items"]] == [True, True, True, False]
    assert (await structured(api, batch, "cloudevents-batch")).status_code == 200
    faulty = await structured(api, [{**CLOUD, "id": "4"}, {**CLOUD, "id": "5", "type": 1}, 6], "cloudevents-batch")
    refused = problem(faulty, 422, "invalid_event")
    assert {fault["path"] for fault in refused["faults"]} == {"[1].type", "[2]"}
    assert len((await api.get(URL)).json()["items"]) == 4
    both = [{**CLOUD, "id": "8"}, {**CLOUD, "id": "8"}]
    assert [one["repeated"] for one in (await structured(api, both, "cloudevents-batch")).json()["items"]] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({}, "type"),
        ({"type": ""}, "type"),
        ({"type": " a"}, "type"),
        ({"type": "a\nb"}, "type"),
        ({"type": "millrace.run.completed"}, "type"),
        ({"type": "a", "id": "millrace:run:1"}, "id"),
        ({"type": "a", "source": "x" * 256}, "source"),
        ({"type": "a", "subject": 1}, "subject"),
        ({"type": "a", "time": "yesterday"}, "time"),
        ({"type": "a", "time": "2026-03-29T01:00:00"}, "time"),
        ({"type": "a", "data": {"n": 2**64}}, "data.n"),
        ({"type": "a", "data": "x" * 270_000}, "data"),
        ({"type": "a", "extra": 1}, "extra"),
    ],
)
async def test_what_is_no_event_of_our_own(api: httpx2.AsyncClient, event: dict[str, Any], path: str) -> None:
    refused = problem(await api.post(URL, json=event), 422, "invalid_event")
    assert [fault["path"] for fault in refused["faults"]] == [path]
    assert refused["faults"][0]["remedy"]
    assert (await api.get(URL)).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": None}, "id"),
        ({"type": "millrace.run.failed"}, "type"),
        ({"Tenant": "a"}, "Tenant"),
        ({"tenant": {"a": 1}}, "tenant"),
        ({"data_base64": "?"}, "data_base64"),
        ({"data_base64": "aGk=", "data": 1}, "data_base64"),
        ({"time": "1.2.2026"}, "time"),
    ],
)
async def test_what_is_no_cloud_event(api: httpx2.AsyncClient, change: dict[str, Any], path: str) -> None:
    refused = problem(await structured(api, {**CLOUD, **change}), 422, "invalid_event")
    assert [fault["path"] for fault in refused["faults"]] == [path]


async def test_a_fault_in_a_header_names_the_header(api: httpx2.AsyncClient) -> None:
    refused = problem(await binary(api, **{"ce-time": "x", "ce-my_name": "a"}), 422, "invalid_event")
    assert "header.ce-time" in {fault["path"] for fault in refused["faults"]}
    refused = problem(await binary(api, **{"ce-my_name": "a"}), 422, "invalid_event")
    assert [fault["path"] for fault in refused["faults"]] == ["header.ce-my_name"]


async def test_bodies_that_are_no_events(api: httpx2.AsyncClient) -> None:
    problem(await api.post(URL, json=[1]), 422, "invalid_event")
    problem(await structured(api, [CLOUD]), 422, "invalid_event")
    problem(await structured(api, CLOUD, "cloudevents-batch"), 422, "invalid_event")
    many = [{**CLOUD, "id": str(number)} for number in range(501)]
    problem(await structured(api, many, "cloudevents-batch"), 422, "invalid_event")
    problem(await api.post(URL, content=b"{"), 400, "unreadable")
    problem(await api.post(URL, content=b"x", headers={"Content-Type": "text/plain"}), 400, "unsupported_media_type")
    problem(await binary(api, b"{", **{"Content-Type": "application/json"}), 400, "unreadable")


async def test_only_those_who_may_publish_do(millrace: Installation) -> None:
    async with millrace.client("") as nobody:
        assert (await nobody.post(URL, json={"type": "a"})).status_code == 401
