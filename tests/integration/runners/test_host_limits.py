"""A task whose config has a secret that is bound to hosts connects to those alone, whichever way it tries."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from millrace.core.failures import FailureKind
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.net.smtp import SmtpMailer
from millrace.ports.connections import Connection
from millrace.ports.hosts import HostLimit, limit_of
from millrace.ports.mail import Mailbox, MailServer
from millrace.ports.runner import Completed, Failed, Outcome, RunnerContext, RunnerServices, keeps_to_hosts
from millrace.ports.secrets import OF_NOBODY, SecretUse
from millrace.runners.database import DatabaseRunner
from millrace.runners.email import EmailRunner
from millrace.runners.http import HttpRunner
from millrace.runners.notify import NotifyRunner

ELSEWHERE = limit_of([("orders", ["api.example.com"])])
LOCAL = ("127.0.0.0/8", "localhost", "::1")


def unheard(text: str, **_: Any) -> None:
    """A log of nothing."""


class OneConnection:
    def __init__(self, kind: str, **config: Any) -> None:
        self._connection = Connection("own", kind, config)

    async def resolve(self, name: str, *, types: frozenset[str], use: SecretUse = OF_NOBODY) -> Connection:
        return self._connection


class Ways:
    """The ways out of here."""

    def __init__(self) -> None:
        self.addresses = AddressPolicy(LOCAL)
        self.http = GuardedHttpClient(self.addresses)

    async def outcome(self, runner_type: Any, hosts: HostLimit, config: dict[str, Any], **services: Any) -> Outcome:
        runner = runner_type(RunnerServices(self.http, self.addresses, **{
            "sqlite_allowed_dirs": (), "own_database": None, **services,
        }))  # fmt: skip
        assert keeps_to_hosts(runner)
        context = RunnerContext("run", "task", 1, unheard, hosts=hosts)
        try:
            return await runner.run(runner.config_model.model_validate(config), context)
        finally:
            await runner.close()


@pytest.fixture
async def ways() -> AsyncIterator[Ways]:
    made = Ways()
    yield made
    await made.http.close()


def refused(outcome: Outcome, *said: str) -> None:
    assert isinstance(outcome, Failed), outcome
    assert outcome.failure.kind is FailureKind.REFUSED, outcome
    for words in ("the secret 'orders' may be sent to", *said):
        assert words in outcome.failure.message


def here(server: HTTPServer) -> HostLimit:
    return limit_of([("orders", [f"localhost:{server.port}"])])


async def test_a_request_goes_to_a_host_of_the_secret_and_to_no_other(ways: Ways, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/ok").respond_with_data("fine")
    url = httpserver.url_for("/ok")
    assert isinstance(await ways.outcome(HttpRunner, here(httpserver), {"url": url}), Completed)
    again = {"url": url.replace("localhost", "LOCALHOST.")}
    assert isinstance(await ways.outcome(HttpRunner, here(httpserver), again), Completed)
    served = len(httpserver.log)
    refused(await ways.outcome(HttpRunner, ELSEWHERE, {"url": url}), "would go to localhost")
    for other in ("127.0.0.1", "[::1]"):
        refused(await ways.outcome(HttpRunner, here(httpserver), {"url": url.replace("localhost", other)}))
    assert len(httpserver.log) == served


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_is_refused_before_anything_is_sent(
    ways: Ways, httpserver: HTTPServer, status: int
) -> None:
    other = httpserver.url_for("/stolen").replace("localhost", "127.0.0.1")
    near = httpserver.url_for("/hop")
    httpserver.expect_request("/start").respond_with_data("", status, {"Location": near})
    httpserver.expect_request("/hop").respond_with_data("", status, {"Location": other})
    httpserver.expect_request("/stolen").respond_with_data("thanks")
    config = {"url": httpserver.url_for("/start"), "method": "POST", "body": {"text": "the secret"}}
    refused(await ways.outcome(HttpRunner, here(httpserver), config), "127.0.0.1")
    assert "/stolen" not in [request.path for request, _ in httpserver.log]


async def test_the_issuer_of_a_token_must_be_a_host_of_the_secret_too(ways: Ways, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/token").respond_with_json({"access_token": "abcdefgh"})
    issuer = httpserver.url_for("/token").replace("localhost", "127.0.0.1")
    auth = {"type": "oauth2_client_credentials", "token_url": issuer, "client_id": "me", "client_secret": "sesame"}
    config = {"url": httpserver.url_for("/ok"), "auth": auth}
    refused(await ways.outcome(HttpRunner, here(httpserver), config))
    assert not httpserver.log


async def test_messages_mail_and_sql_go_nowhere_else_either(ways: Ways, httpserver: HTTPServer, tmp_path: Path) -> None:
    refused(await ways.outcome(NotifyRunner, ELSEWHERE, {"url": httpserver.url_for("/hook"), "text": "hi"}))
    server = MailServer("localhost", 2525, "none", None, None, Mailbox.parse("me@example.com"), trusted=True)
    mail = {"to": ["you@example.com"], "subject": "hi", "text": "there"}
    services = {"mailer": SmtpMailer(ways.addresses), "mail_server": server}
    refused(await ways.outcome(EmailRunner, ELSEWHERE, mail, **services), "localhost:2525")
    for scheme, port in (("postgresql", 5432), ("mysql", 3306)):
        sql = {"connection_string": f"{scheme}://me:password@localhost/db", "sql": "select 1", "parameters": ["sesame"]}
        refused(await ways.outcome(DatabaseRunner, ELSEWHERE, sql), f"localhost:{port}")
    file = {"connection_string": f"sqlite:///{tmp_path}/a.db", "sql": "select 1"}
    refused(await ways.outcome(DatabaseRunner, ELSEWHERE, file, sqlite_allowed_dirs=(tmp_path,)), "a SQLite file")
    assert not (tmp_path / "a.db").exists()
    assert not httpserver.log


async def test_the_credentials_of_a_connection_stay_with_the_host_of_its_url(
    ways: Ways, httpserver: HTTPServer
) -> None:
    """By nature: a task adds only to its address, and a redirect takes no credential to another host."""
    seen: list[tuple[str, str | None]] = []

    def answer(request: Request) -> Response:
        seen.append((request.host.partition(":")[0], request.headers.get("Authorization")))
        if request.path == "/away":
            return Response("", 307, {"Location": httpserver.url_for("/end").replace("localhost", "127.0.0.1")})
        return Response("fine")

    httpserver.expect_request("/away").respond_with_handler(answer)
    httpserver.expect_request("/end").respond_with_handler(answer)
    auth = {"type": "bearer", "token": "open-sesame"}
    connections = OneConnection("http", url=httpserver.url_for("").rstrip("/"), auth=auth)
    config = {"connection": "own", "url": "/away", "method": "GET"}
    outcome = await ways.outcome(HttpRunner, HostLimit(), config, connections=connections)
    assert isinstance(outcome, Completed)
    assert seen == [("localhost", "Bearer open-sesame"), ("127.0.0.1", None)]
    for away in ("https://evil.test/", "//evil.test/"):
        with pytest.raises(ValueError, match="names no server"):
            HttpRunner.config_model.model_validate({"connection": "own", "url": away})


async def test_a_bound_secret_beside_a_connection_goes_to_its_own_hosts_only(
    ways: Ways, httpserver: HTTPServer
) -> None:
    connections = OneConnection("http", url=httpserver.url_for("").rstrip("/"))
    config = {"connection": "own", "url": "/x", "headers": {"X-Key": "sesame"}}
    refused(await ways.outcome(HttpRunner, ELSEWHERE, config, connections=connections))
    async with asyncio.timeout(30):
        database = OneConnection("postgresql", host="localhost", user="me", database="db", password="sesame")
        sql = {"connection": "own", "sql": "select 1", "parameters": ["sesame"]}
        refused(await ways.outcome(DatabaseRunner, ELSEWHERE, sql, connections=database))
    assert not httpserver.log
