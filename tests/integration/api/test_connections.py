"""Connections by the API: named, typed, shown with `***`, used by tasks, and tested through the address policy."""

import asyncio
from typing import Any

import httpx2
import pytest

from millrace.ports.connections import ConnectionUnavailable
from millrace.ports.secrets import OF_NOBODY
from tests.support.api import create, definition, problem
from tests.support.installation import Installation

PASSWORD = "open/sesame@home"
WAREHOUSE = {"host": "db.example.com", "port": 5433, "database": "sales", "user": "reader", "password": PASSWORD}
ALL = frozenset({"postgresql", "mysql", "mariadb", "sqlite", "smtp", "http"})


async def put(api: httpx2.AsyncClient, name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    response = await api.put(f"/api/v1/connections/{name}", json={"type": kind, "config": config})
    assert response.status_code in (200, 201), response.text
    shown: dict[str, Any] = response.json()
    return shown


async def refused(api: httpx2.AsyncClient, kind: str, config: object) -> list[dict[str, Any]]:
    response = await api.put("/api/v1/connections/new", json={"type": kind, "config": config})
    document = problem(response, 422, "invalid_connection")
    assert PASSWORD not in response.text
    faults: list[dict[str, Any]] = document["faults"]
    return faults


async def test_a_connection_is_shown_without_what_is_secret_in_it(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    shown = await put(api, "warehouse", "postgresql", WAREHOUSE)
    assert shown["config"] == {**WAREHOUSE, "password": "***", "tls": "prefer"}
    assert (shown["version"], shown["type"]) == (1, "postgresql")
    listed = (await api.get("/api/v1/connections")).json()["items"]
    assert listed == [{key: value for key, value in shown.items() if key != "used_by"}]
    assert (await api.get("/api/v1/connections", params={"type": "smtp"})).json()["items"] == []
    assert (await api.get("/api/v1/connections/warehouse")).json() == shown
    found = await millrace.connections.resolve("warehouse", types=ALL, use=OF_NOBODY)
    assert found.config == {**WAREHOUSE, "tls": "prefer"}
    assert millrace.masker.text(f"login with {PASSWORD}") == "login with ***"


async def test_a_connection_string_is_taken_apart(millrace: Installation, api: httpx2.AsyncClient) -> None:
    text = "postgres://re%40der:open%2Fsesame%40home@db.example.com:5433/sales?sslmode=verify-full"
    shown = await put(api, "warehouse", "postgresql", {"connection_string": text})
    assert shown["config"] == {
        **WAREHOUSE,
        "user": "re@der",
        "password": "***",
        "tls": "verify-full",
    }
    found = await millrace.connections.resolve("warehouse", types=ALL, use=OF_NOBODY)
    assert found.config["password"] == PASSWORD
    assert millrace.masker.text(text) == text.replace("open%2Fsesame%40home", "***")


async def test_a_mask_keeps_the_secret_unless_it_would_go_elsewhere(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await put(api, "warehouse", "postgresql", WAREHOUSE)
    shown = await put(api, "warehouse", "postgresql", {**WAREHOUSE, "user": "writer", "password": "***"})
    assert (shown["version"], shown["config"]["user"]) == (2, "writer")
    assert (await millrace.connections.resolve("warehouse", types=ALL, use=OF_NOBODY)).config["password"] == PASSWORD
    for change in ({"host": "db.example.org"}, {"port": 5432}, {"tls": "disable"}):
        body = {"type": "postgresql", "config": {**WAREHOUSE, "password": "***", **change}}
        response = await api.put("/api/v1/connections/warehouse", json=body)
        (fault,) = problem(response, 422, "invalid_connection")["faults"]
        assert (fault["path"], fault["code"]) == ("config.password", "secret_needed")
    other_type = {"type": "mysql", "config": {**WAREHOUSE, "password": "***"}}
    problem(await api.put("/api/v1/connections/warehouse", json=other_type), 422, "invalid_connection")
    shop = {"url": "https://api.example.com", "auth": {"type": "bearer", "token": "a token of the shop"}}
    await put(api, "shop", "http", shop)
    elsewhere = {"url": "https://evil.example", "auth": {"type": "bearer", "token": "***"}}
    (fault,) = await refused_as(api, "shop", "http", elsewhere)
    assert fault["path"] == "config.auth.token"
    hook = {"webhook_url": "https://evil.example", "auth": {"type": "bearer", "token": "***"}}
    await refused_as(api, "shop", "http", hook)


async def refused_as(api: httpx2.AsyncClient, name: str, kind: str, config: object) -> list[dict[str, Any]]:
    response = await api.put(f"/api/v1/connections/{name}", json={"type": kind, "config": config})
    faults: list[dict[str, Any]] = problem(response, 422, "invalid_connection")["faults"]
    return faults


async def test_each_type_seals_what_is_secret(millrace: Installation, api: httpx2.AsyncClient) -> None:
    configs: dict[str, dict[str, Any]] = {
        "sqlite": {"path": "/var/lib/shop.db"},
        "mysql": {"host": "::1", "user": "root", "password": PASSWORD},
        "mariadb": {"connection_string": f"mariadb://root:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@db/shop"},
        "smtp": {
            "host": "mail.example.com",
            "port": 465,
            "tls": "tls",
            "user": "me",
            "password": PASSWORD,
            "from": "a@b.c",
        },
        "http": {"url": "https://api.example.com/v1", "auth": {"type": "api_key", "key": PASSWORD, "in": "query"}},
    }
    for kind, config in configs.items():
        shown = await put(api, kind, kind, config)
        assert PASSWORD not in str(shown)
        assert ("***" in str(shown["config"])) is (kind != "sqlite")
        complete = (await millrace.connections.resolve(kind, types=frozenset({kind}), use=OF_NOBODY)).config
        assert (PASSWORD in str(complete)) is (kind != "sqlite")
    rows = await millrace.database.read(
        lambda connection: connection.exec_driver_sql("select name, config, sealed, key_id from connections").all()
    )
    assert len(rows) == 5
    for name, config, sealed, key_id in rows:
        assert PASSWORD not in config
        assert (sealed is None) is (key_id is None) is (name == "sqlite")


async def test_the_address_of_a_webhook_is_a_secret_as_a_whole(millrace: Installation, api: httpx2.AsyncClient) -> None:
    hook = "https://hooks.example.com/services/T0123/B4567/abcdefghijkl"
    shown = await put(api, "team", "http", {"webhook_url": hook})
    assert shown["config"] == {"webhook_url": "***"}
    found = await millrace.connections.resolve("team", types=ALL, use=OF_NOBODY)
    assert found.config["url"] == hook
    assert millrace.masker.text(f"POST {hook}: 404, at /services/T0123/B4567/abcdefghijkl") == "POST ***: 404, at ***"


async def test_a_config_that_is_not_right_is_refused_with_its_place_and_without_its_values(
    api: httpx2.AsyncClient,
) -> None:
    assert [fault["path"] for fault in await refused(api, "oracle", {})] == ["type"]
    assert [fault["path"] for fault in await refused(api, "postgresql", {**WAREHOUSE, "hots": "x"})] == ["config.hots"]
    assert [fault["path"] for fault in await refused(api, "smtp", {"host": "a b", "password": PASSWORD})] == [
        "config.host"
    ]
    short = await refused(api, "smtp", {"host": "mail.example.com", "password": "12345"})
    assert [(fault["path"], "masked" in fault["message"]) for fault in short] == [("config.password", True)]
    masked = await refused(api, "smtp", {"host": "mail.example.com", "password": "***"})
    assert [fault["path"] for fault in masked] == ["config.password"]
    for text in (
        f"mysql://me:{PASSWORD}@host/db",
        f"postgresql://me:{PASSWORD}@host/db",
        "postgresql://me:x@host/db?sslrootcert=/etc/passwd",
        "postgresql:///db",
        "not a url",
    ):
        await refused(api, "postgresql", {"connection_string": text})
    await refused(api, "http", {"url": "https://me:secret-word@example.com"})
    await refused(api, "http", {"url": "https://example.com", "webhook_url": "https://example.org/abc"})
    await refused(api, "http", {})
    await refused(api, "sqlite", {"path": "file:/etc/passwd?mode=ro"})
    named = await api.put("/api/v1/connections/a b", json={"type": "sqlite", "config": {"path": "/x"}})
    problem(named, 422, "invalid_connection")
    problem(await api.get("/api/v1/connections/new"), 404, "connection_not_found")


AUTH: dict[str, dict[str, Any]] = {
    "bearer": {"type": "bearer", "token": PASSWORD},
    "api_key": {"type": "api_key", "key": PASSWORD},
    "oauth2": {
        "type": "oauth2_client_credentials",
        "token_url": "https://a.example/token",
        "client_id": "me",
        "client_secret": PASSWORD,
    },
}


@pytest.mark.parametrize(
    ("kind", "change", "field", "says"),
    [
        ("bearer", {"token": f"{PASSWORD}\n"}, "auth.token", "the header holds a line break"),
        ("api_key", {"key": f"{PASSWORD}\n"}, "auth.key", "the header holds a line break"),
        ("api_key", {"name": f"my {PASSWORD}"}, "auth.name", "name cannot be the name of a header"),
        ("oauth2", {"token_url": f"https://u:{PASSWORD}@h"}, "auth.token_url", "token_url has no such port"),
        ("oauth2", {"token_url": "https://u:hunter2@h"}, "auth.token_url", "token_url holds a user name or password"),
        ("oauth2", {"token_url": "ftp://a.example"}, "auth.token_url", "token_url must begin with http://"),
    ],
)
async def test_a_way_to_sign_in_that_no_task_could_use_is_refused_at_once(
    api: httpx2.AsyncClient, kind: str, change: dict[str, Any], field: str, says: str
) -> None:
    (fault,) = await refused(api, "http", {"url": "https://a.example", "auth": {**AUTH[kind], **change}})
    assert fault["path"] == f"config.{field}"
    assert says in fault["message"]
    assert fault["remedy"]
    assert "hunter2" not in str(fault)


@pytest.mark.parametrize("field", ["url", "webhook_url"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://h.example:99999", "has no such port"),
        ("https://me:hunter2@h.example", "holds a user name or password"),
        ("ftp://h.example/x", "must begin with http:// or https://"),
        ("https:///path", "names no server"),
        ("https://h.example/a b", "without blanks"),
        ("https://h.example/\n", "holds a line break"),
    ],
)
async def test_an_address_that_no_task_could_use_is_refused_at_once(
    api: httpx2.AsyncClient, field: str, url: str, says: str
) -> None:
    (fault,) = await refused(api, "http", {field: url})
    assert fault["path"] == f"config.{field}"
    assert says in fault["message"]
    assert "hunter2" not in str(fault)


async def test_a_key_that_goes_into_the_query_may_hold_what_no_header_can(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    auth = {"type": "api_key", "key": "a key of two\nlines", "in": "query", "name": "api key"}
    await put(api, "shop", "http", {"url": "https://[fe80::1%25eth0]:0080/", "auth": auth})
    assert (await millrace.connections.resolve("shop", types=ALL, use=OF_NOBODY)).config["auth"] == auth


async def test_who_changes_or_deletes_a_connection_is_told_which_workflows_name_it(api: httpx2.AsyncClient) -> None:
    await put(api, "store", "sqlite", {"path": "/var/lib/shop.db"})
    task = {"id": "a", "type": "echo", "config": {"connection": "store"}}
    await create(api, definition("loads", task))
    await create(api, definition("talks of it", {"id": "a", "type": "echo", "config": {"value": "store"}}))
    shown = (await api.get("/api/v1/connections/store")).json()
    assert [user["name"] for user in shown["used_by"]] == ["loads"]
    deleted = (await api.delete("/api/v1/connections/store")).json()
    assert deleted == {"name": "store", "used_by": shown["used_by"]}
    problem(await api.delete("/api/v1/connections/store"), 404, "connection_not_found")


async def test_a_connection_of_another_type_or_none_is_refused_by_name(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await put(api, "store", "sqlite", {"path": "/var/lib/shop.db"})
    for name, types, words in (("store", {"smtp"}, "type sqlite"), ("else", {"smtp"}, "millrace connections set else")):
        with pytest.raises(ConnectionUnavailable, match=words):
            await millrace.connections.resolve(name, types=frozenset(types), use=OF_NOBODY)


async def test_many_at_once_lose_nothing(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await asyncio.gather(*(put(api, "same", "sqlite", {"path": f"/{number}"}) for number in range(10)))
    assert (await api.get("/api/v1/connections/same")).json()["version"] == 10
