"""Tasks that name a connection: the database and http runners over the vault, as a server has them."""

import json
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from sqlalchemy import Connection
from werkzeug import Request, Response

from millrace.app.connections import repository
from millrace.app.connections.commands import ConnectionCommands, ConnectionRequest
from millrace.app.connections.queries import ConnectionQueries
from millrace.app.connections.testing import ConnectionTester
from millrace.auth.masking import SecretMasker
from millrace.auth.vault.connections import StoredConnections
from millrace.auth.vault.envelope import Subject
from millrace.auth.vault.vault import Vault, open_vault
from millrace.config import Settings, SettingsError, load_settings
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.net.smtp import SmtpMailer
from millrace.ports.runner import Completed, Failed, Outcome, RunnerContext, RunnerServices
from millrace.runners.registry import EntryPointRegistry
from millrace.storage.database import SqliteDatabase
from millrace.system import SystemClock
from tests.integration.runners.shell_kit import Log

TOKEN = "a token that nobody sees"


@dataclass
class Kit:
    runners: EntryPointRegistry
    commands: ConnectionCommands
    tester: ConnectionTester
    database: SqliteDatabase
    vault: Vault
    log: Log

    async def put(self, name: str, kind: str, **config: Any) -> None:
        await self.commands.put(name, ConnectionRequest(kind, config), by="me")

    async def put_as_before(self, name: str, kind: str, was: dict[str, Any], kept: dict[str, Any]) -> None:
        """A connection whose secrets are `kept`, as a release would have kept it that judged less."""
        await self.put(name, kind, **was)

        def plant(connection: Connection) -> None:
            sealed = self.vault.seal(connection, Subject(repository.TABLE, name, 1), orjson.dumps(kept).decode())
            connection.exec_driver_sql("update connections set sealed = ? where name = ?", (sealed.text, name))

        await self.database.write(plant)

    async def run(self, task_type: str, **config: Any) -> Outcome:
        runner = self.runners.types()[task_type]
        context = RunnerContext("run", "task", 1, self.log)
        return await runner.run(runner.config_model.model_validate(config), context)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    clock, masker = SystemClock(), SecretMasker()
    database = await SqliteDatabase.open(tmp_path / "home" / "millrace.db", clock=clock, synchronous="off")
    vault = await open_vault(Settings(home=tmp_path / "home"), database)
    connections = StoredConnections(database, vault, masker)
    addresses = AddressPolicy(["127.0.0.1", "localhost"])
    http = GuardedHttpClient(addresses)
    services = RunnerServices(http, addresses, (tmp_path / "data",), database.path, connections=connections)
    runners = EntryPointRegistry(services)
    tester = ConnectionTester(ConnectionQueries(database), connections, runners, SmtpMailer(addresses), masker)
    yield Kit(runners, ConnectionCommands(database, clock, vault, masker), tester, database, vault, Log())
    await runners.close()
    await http.close()
    await database.close()


def output(outcome: Outcome) -> Any:
    assert isinstance(outcome, Completed), outcome
    return outcome.output


def failure(outcome: Outcome, kind: str) -> str:
    assert isinstance(outcome, Failed), outcome
    assert outcome.failure.kind == kind
    return outcome.failure.message


async def test_a_database_task_names_its_connection(kit: Kit, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "a b#c?d"
    folder.mkdir(parents=True)
    await kit.put("store", "sqlite", path=f"{folder}/100%.db")
    await kit.run("database", connection="store", sql="create table t (x); insert into t values (7)")
    assert output(await kit.run("database", connection="store", sql="select x from t"))["rows"] == [{"x": 7}]
    assert [place.name for place in folder.iterdir()] == ["100%.db"]
    assert (await kit.tester.test("store"))["ok"]


@pytest.mark.service("postgres")
async def test_a_server_is_reached_by_the_fields_of_its_connection_string(kit: Kit, postgres_url: str) -> None:
    await kit.put("warehouse", "postgresql", connection_string=postgres_url)
    assert output(await kit.run("database", connection="warehouse", sql="select 1 as one"))["rows"] == [{"one": 1}]
    said = await kit.tester.test("warehouse")
    assert (said["ok"], said["message"]) == (True, "the database answers")


@pytest.mark.service("mariadb")
async def test_a_mariadb_server_too(kit: Kit, mariadb_url: str) -> None:
    await kit.put("shop", "mariadb", connection_string=mariadb_url)
    assert output(await kit.run("database", connection="shop", sql="select 1 as one"))["rows"] == [{"one": 1}]


async def test_a_connection_that_is_missing_or_of_another_type_refuses_the_task(kit: Kit) -> None:
    await kit.put("api", "http", url="https://api.example.com")
    message = failure(await kit.run("database", connection="api", sql="select 1"), "refused")
    assert "has the type http" in message
    assert "there is no connection 'no'" in failure(await kit.run("http", connection="no"), "refused")
    await kit.put("inside", "postgresql", host="10.1.2.3", database="db", user="me")
    message = failure(await kit.run("database", connection="inside", sql="select 1"), "refused")
    assert "connection 'inside'" in message
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in message
    assert not (await kit.tester.test("inside"))["ok"]


async def test_sqlite_files_stay_below_the_allowed_folders(kit: Kit, tmp_path: Path) -> None:
    for path in (tmp_path / "elsewhere.db", tmp_path / "home" / "millrace.db"):
        await kit.put("store", "sqlite", path=str(path))
        failure(await kit.run("database", connection="store", sql="select 1"), "refused")
        assert not (await kit.tester.test("store"))["ok"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "Field required"),
        ({"connection": "a", "connection_string": "sqlite://"}, "connection or connection_string, not both"),
    ],
)
async def test_a_database_task_names_exactly_one_database(kit: Kit, config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        await kit.run("database", sql="select 1", **config)


async def test_an_http_task_goes_on_from_its_connection_and_signs_in_as_that_says(
    kit: Kit, httpserver: HTTPServer
) -> None:
    def said(request: Request) -> Response:
        seen = {"path": request.full_path.rstrip("?"), "authorization": request.headers.get("authorization")}
        return Response(json.dumps(seen), content_type="application/json")

    httpserver.expect_request("/v1", method="HEAD").respond_with_data("")
    for path in ("/v1", "/v1/orders", "/v1/@evil.example/x"):
        httpserver.expect_request(path, method="GET").respond_with_handler(said)
    await kit.put("api", "http", url=httpserver.url_for("/v1"), auth={"type": "bearer", "token": TOKEN})
    paths = {
        "": "/v1",
        "/orders": "/v1/orders",
        "orders": "/v1/orders",
        "?a=1": "/v1?a=1",
        "@evil.example/x": "/v1/@evil.example/x",
    }
    for url, path in paths.items():
        body = output(await kit.run("http", connection="api", url=url))["body"]
        assert body == {"path": path, "authorization": f"Bearer {TOKEN}"}
    assert (await kit.tester.test("api"))["ok"]


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example/", "HTTP://evil.example"])
async def test_the_url_of_a_task_with_a_connection_can_name_no_server(kit: Kit, url: str) -> None:
    with pytest.raises(ValueError, match="names no server"):
        await kit.run("http", connection="api", url=url)
    with pytest.raises(ValueError, match="auth or connection"):
        await kit.run("http", connection="api", auth={"type": "bearer", "token": "mine"})


async def test_a_server_that_refuses_the_credentials_fails_the_test(kit: Kit, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1", method="HEAD").respond_with_data("", status=401)
    await kit.put("api", "http", url=httpserver.url_for("/v1"), auth={"type": "bearer", "token": TOKEN})
    said = await kit.tester.test("api")
    assert (said["ok"], "401" in said["message"]) == (False, True)


async def test_a_mail_server_that_is_not_there_fails_the_test(kit: Kit) -> None:
    await kit.put("mail", "smtp", host="127.0.0.1", port=1, tls="none")
    assert not (await kit.tester.test("mail"))["ok"]


LONG = "".join(f"{number:03}" for number in range(100))
"""A secret so long that what pydantic shows of a value is less than the whole, so that no masker recognizes it."""
SHOP = "https://api.example.com"


@pytest.mark.parametrize(
    ("auth", "kept", "says"),
    [
        ({"type": "bearer"}, {"token": f"{LONG}\n"}, "auth.token: the header holds a line break"),
        ({"type": "bearer"}, {"token": [LONG]}, "auth.token is not valid; set it again"),
        ({"type": "api_key"}, {"key": f"{LONG}\r\nx: y"}, "auth.key: the header holds a line break"),
        ({"type": "api_key", "key": TOKEN}, {"name": f"{LONG} {LONG}"}, "auth.name: name cannot be the name"),
        (
            {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": TOKEN, "token_url": SHOP},
            {"token_url": f"https://me:{LONG}@a.example"},
            "auth.token_url: url holds a user name or password",
        ),
        ({"type": "bearer"}, {"type": LONG}, "auth is not valid"),
    ],
)
async def test_a_kept_credential_that_cannot_be_sent_is_refused_and_not_shown(
    kit: Kit, auth: dict[str, Any], kept: dict[str, Any], says: str
) -> None:
    secret = {"bearer": "token", "api_key": "key"}.get(auth["type"], "client_secret")
    was = {"url": SHOP, "auth": {secret: TOKEN, **auth}}
    await kit.put_as_before("shop", "http", was, {"url": SHOP, "auth": {**was["auth"], **kept}})
    message = failure(await kit.run("http", connection="shop"), "refused")
    assert message.startswith("the connection 'shop' cannot be used: ")
    said = await kit.tester.test("shop")
    assert (said["ok"], said["message"]) == (False, message)
    assert says in message
    assert LONG[:9] not in message
    assert LONG[-9:] not in message


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("http", {"url": SHOP, "auth": {"type": "bearer", "token": f"{LONG}\n"}}),
        ("http", {"url": SHOP, "body": {"text": [LONG]}}),
        ("email", {"to": f"{LONG}@", "subject": "s", "text": "t", "attachments": [{"name": LONG, "contnet": 1}]}),
        ("notify", {"url": f"https://me:{LONG}@a.example", "text": "t"}),
        ("database", {"connection_string": [LONG], "sql": "select 1"}),
        ("shell", {"command": "a", "env": {"A": "b"}, "timeout": LONG}),
        ("script", {"language": LONG, "source": "1"}),
        ("log", {"message": "m", "level": LONG}),
        ("publish_event", {"type": f"{LONG}\n"}),
    ],
)
async def test_no_error_about_a_config_shows_a_part_of_what_was_rendered_into_it(
    kit: Kit, kind: str, config: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        await kit.run(kind, **config)
    told = "".join(traceback.format_exception(caught.value))
    assert LONG[:9] not in told
    assert LONG[-9:] not in told


def test_no_error_about_a_setting_shows_a_part_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_DATABASE_URL", f"oracle://me:{LONG}@h/d")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    with pytest.raises(ValidationError) as caught:
        Settings()
    told = f"{refused.value} {''.join(traceback.format_exception(caught.value))}"
    assert LONG[:9] not in told
    assert LONG[-9:] not in told
