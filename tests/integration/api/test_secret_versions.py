"""Former versions of secrets and connections: kept sealed, listed without values, brought back, deleted with them."""

from typing import Any

import httpx2
import pytest

from millrace.ports.secrets import OF_NOBODY
from tests.support.api import problem
from tests.support.installation import Installation

MAIL = {"host": "mail.example.com", "user": "me"}
SMTP = frozenset({"smtp"})


async def put(api: httpx2.AsyncClient, place: str, **body: Any) -> dict[str, Any]:
    response = await api.put(f"/api/v1/{place}", json=body)
    assert response.status_code in (200, 201), response.text
    shown: dict[str, Any] = response.json()
    return shown


async def value(millrace: Installation, name: str) -> str:
    return (await millrace.secrets.resolve(frozenset({name}), OF_NOBODY)).values[name]


async def rows(millrace: Installation, table: str) -> list[Any]:
    return await millrace.database.read(
        lambda connection: list(connection.exec_driver_sql(f"select version, key_id, sealed from {table} order by 1"))  # noqa: S608
    )


async def test_the_last_ten_versions_of_a_secret_are_kept_and_can_hold_again(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    for number in range(1, 13):
        await put(api, "secrets/door", value=f"value number {number}", workflows=["orders"] if number == 1 else None)
    listed = (await api.get("/api/v1/secrets/door/versions")).json()["items"]
    assert [item["version"] for item in listed] == list(range(12, 2, -1))
    assert [item["current"] for item in listed] == [True, *[False] * 9]
    assert {item["created_by"]["name"] for item in listed} == {"Administrator"}
    assert [item["created_at"] for item in listed] == sorted((item["created_at"] for item in listed), reverse=True)
    assert {key for item in listed for key in item} == {"version", "current", "created_by", "created_at"}

    back = await api.post("/api/v1/secrets/door/rollback", json={"version": 5})
    assert back.status_code == 200, back.text
    assert back.json()["version"] == 13
    assert await value(millrace, "door") == "value number 5"
    assert "value number" not in back.text + (await api.get("/api/v1/secrets/door/versions")).text
    problem(await api.post("/api/v1/secrets/door/rollback", json={"version": 13}), 409, "version_holds")
    for gone in (1, 3, 99):
        problem(await api.post("/api/v1/secrets/door/rollback", json={"version": gone}), 404, "version_not_found")
    problem(await api.post("/api/v1/secrets/none/rollback", json={"version": 1}), 404, "secret_not_found")
    problem(await api.get("/api/v1/secrets/none/versions"), 404, "secret_not_found")


async def test_former_values_are_sealed_masked_and_sealed_anew_with_a_new_key(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    for text in ("the first value", "the second value"):
        await put(api, "secrets/door", value=text)
        await put(api, "connections/mail", type="smtp", config={**MAIL, "password": text + " of mail"})
    done = (await api.post("/api/v1/secrets/rotate-key")).json()
    assert done["resealed"] == 4
    for table in ("secrets", "secret_versions", "connections", "connection_versions"):
        assert {key for _, key, _ in await rows(millrace, table)} == {done["key_id"]}
        assert not any("first" in sealed for _, _, sealed in await rows(millrace, table))
    assert (await api.post("/api/v1/secrets/door/rollback", json={"version": 1})).is_success
    assert await value(millrace, "door") == "the first value"
    assert (await api.post("/api/v1/connections/mail/rollback", json={"version": 1})).is_success
    found = await millrace.connections.resolve("mail", types=SMTP)
    assert found.config["password"] == "the first value of mail"
    assert millrace.masker.text("it was the second value of mail") == "it was ***"


async def test_what_is_deleted_is_deleted_with_all_that_it_was(millrace: Installation, api: httpx2.AsyncClient) -> None:
    for text in ("the first value", "the second value"):
        await put(api, "secrets/door", value=text)
        await put(api, "connections/mail", type="smtp", config={**MAIL, "password": text})
    for place, table in (("secrets/door", "secret_versions"), ("connections/mail", "connection_versions")):
        assert len(await rows(millrace, table)) == 1
        assert (await api.delete(f"/api/v1/{place}")).is_success
        assert await rows(millrace, table) == []
        problem(await api.get(f"/api/v1/{place}/versions"), 404, f"{place.partition('s/')[0]}_not_found")
    assert (await put(api, "secrets/door", value="another value"))["version"] == 1


async def test_a_connection_says_again_what_it_said(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await put(api, "connections/mail", type="smtp", config={**MAIL, "password": "the first one"}, workflows=["orders"])
    await put(api, "connections/mail", type="http", config={"url": "https://api.example.com"})
    shown = (await api.post("/api/v1/connections/mail/rollback", json={"version": 1})).json()
    assert (shown["type"], shown["version"], shown["workflows"]) == ("smtp", 3, ["orders"])
    assert shown["config"]["password"] == "***"
    listed = (await api.get("/api/v1/connections/mail/versions")).json()["items"]
    assert [(item["version"], item["current"]) for item in listed] == [(3, True), (2, False), (1, False)]
    problem(await api.post("/api/v1/connections/mail/rollback", json={"version": 3}), 409, "version_holds")
    problem(await api.post("/api/v1/connections/mail/rollback", json={"version": 4}), 404, "version_not_found")
    problem(await api.post("/api/v1/connections/none/rollback", json={"version": 1}), 404, "connection_not_found")


async def test_a_former_value_does_not_open_in_another_place(millrace: Installation, api: httpx2.AsyncClient) -> None:
    for text in ("the first value", "the second value", "the third value"):
        await put(api, "secrets/door", value=text)
    await millrace.database.write(
        lambda connection: connection.exec_driver_sql(
            "update secret_versions set sealed = (select sealed from secrets) where version = 1"
        )
    )
    problem(await api.post("/api/v1/secrets/door/rollback", json={"version": 1}), 409, "version_unusable")
    assert await value(millrace, "door") == "the third value"


@pytest.mark.parametrize("place", ["secrets/door", "connections/mail"])
async def test_who_only_reads_brings_nothing_back(api: httpx2.AsyncClient, millrace: Installation, place: str) -> None:
    made = await api.post("/api/v1/api-keys", json={"name": "reads", "scopes": ["secret:read", "connection:read"]})
    async with millrace.client(made.json()["key"]) as reader:
        problem(await reader.post(f"/api/v1/{place}/rollback", json={"version": 1}), 403, "forbidden")
