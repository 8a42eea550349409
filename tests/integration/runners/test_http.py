"""The task type `http` against real servers: every field of its config, every kind of answer and of failure."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from millrace.core.failures import Failure, FailureKind
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.runner import Completed, Failed, RunnerContext, RunnerServices
from millrace.runners.http import HttpConfig, HttpRunner
from tests.unit.net.raw_server import answer_of, raw_server, saying, self_signed, server_context


@dataclass
class Tasks:
    """Runs http tasks, and keeps what they log."""

    client: GuardedHttpClient
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services = RunnerServices(self.client, AddressPolicy(), sqlite_allowed_dirs=(), own_database=Path("/x"))
        self.runner = HttpRunner(self.services)

    async def outcome(self, url: str, **config: Any) -> Completed | Failed:
        context = RunnerContext("run", "task", 1, lambda text, **_: self.lines.append(text))
        return await self.runner.run(HttpConfig(url=url, **config), context)

    async def output(self, url: str, **config: Any) -> dict[str, Any]:
        outcome = await self.outcome(url, **config)
        assert isinstance(outcome, Completed), outcome
        assert isinstance(outcome.output, dict)
        json.dumps(outcome.output, allow_nan=False)
        return outcome.output

    async def failure(self, url: str, **config: Any) -> Failure:
        outcome = await self.outcome(url, **config)
        assert isinstance(outcome, Failed), outcome
        return outcome.failure


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    client = GuardedHttpClient(AddressPolicy(["localhost", "127.0.0.1"]))
    yield Tasks(client)
    await client.close()


@pytest.fixture
def server(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    yield httpserver
    httpserver.check_assertions()


def sent(server: HTTPServer, number: int = -1) -> Request:
    return server.log[number][0]


# --- the request --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "post", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_the_method_is_sent_in_capitals(tasks: Tasks, server: HTTPServer, method: str) -> None:
    server.expect_request("/x", method=method.upper()).respond_with_json({"ok": True})
    assert (await tasks.output(server.url_for("/x"), method=method))["body"] == {"ok": True}


async def test_head_has_headers_and_no_body(tasks: Tasks, server: HTTPServer) -> None:
    server.expect_request("/x", method="HEAD").respond_with_data(b"12345", content_type="application/json")
    output = await tasks.output(server.url_for("/x"), method="HEAD")
    assert (output["status"], output["body"], output["headers"]["content-length"]) == (200, None, "5")


async def test_headers_are_sent_and_numbers_become_text(tasks: Tasks, server: HTTPServer) -> None:
    server.expect_request("/x").respond_with_data("")
    await tasks.output(server.url_for("/x"), headers={"X-Text": "a", "X-Number": 7, "X-Flag": True, "X-None": None})
    headers = sent(server).headers
    assert (headers["x-text"], headers["x-number"], headers["x-flag"]) == ("a", "7", "true")
    assert "x-none" not in headers


@pytest.mark.parametrize(
    ("path", "query", "arrives"),
    [
        (
            "/x",
            {"a": 1, "b": [1, "zwei", None], "c": None, "d": True, "e": "&=?ü"},
            "a=1&b=1&b=zwei&d=true&e=%26%3D%3F%C3%BC",
        ),
        ("/x?p=1", {"a": "b"}, "p=1&a=b"),
        ("/x?", {"a": "b"}, "a=b"),
        ("/x?p=1#part", {"a": "b"}, "p=1&a=b"),
        ("/x?p=%2F", {}, "p=%2F"),
        ("/x", {"a": None, "b": []}, ""),
        ("/x", {"a": {"deep": [1]}}, "a=%7B%22deep%22%3A+%5B1%5D%7D"),
    ],
)
async def test_the_query_is_added_to_the_address(
    tasks: Tasks, server: HTTPServer, path: str, query: dict[str, Any], arrives: str
) -> None:
    server.expect_request("/x").respond_with_data("")
    await tasks.output(server.url_for("/").rstrip("/") + path, query=query)
    assert sent(server).query_string.decode() == arrives


@pytest.mark.parametrize(
    ("body", "content_type", "arrives"),
    [
        ({"json": {"a": ["ü", 1.5, None]}}, "application/json", '{"a": ["ü", 1.5, null]}'),
        ({"json": None}, "application/json", "null"),
        ({"json": 0}, "application/json", "0"),
        (
            {"form": {"a": "1 2", "b": [3, "x"], "c": None, "d": False}},
            "application/x-www-form-urlencoded",
            "a=1+2&b=3&b=x&d=false",
        ),
        ({"text": "grüße\n"}, "text/plain; charset=utf-8", "grüße\n"),
        ({"text": ""}, "text/plain; charset=utf-8", ""),
        ("plain", "text/plain; charset=utf-8", "plain"),
        ([1, 2], "application/json", "[1, 2]"),
        ({"own": "field", "text": "too"}, "application/json", '{"own": "field", "text": "too"}'),
        ({}, "application/json", "{}"),
        (None, None, ""),
    ],
)
async def test_every_form_of_a_body_arrives(
    tasks: Tasks, server: HTTPServer, body: Any, content_type: str | None, arrives: str
) -> None:
    server.expect_request("/x", method="POST").respond_with_data("")
    await tasks.output(server.url_for("/x"), method="POST", body=body)
    assert sent(server).get_data().decode() == arrives
    assert sent(server).headers.get("content-type") == content_type


async def test_a_content_type_of_ones_own_wins(tasks: Tasks, server: HTTPServer) -> None:
    server.expect_request("/x", method="POST").respond_with_data("")
    await tasks.output(
        server.url_for("/x"), method="POST", body={"json": 1}, headers={"Content-Type": "application/vnd.api+json"}
    )
    assert sent(server).headers.get_all("content-type") == ["application/vnd.api+json"]


@pytest.mark.parametrize(
    "config",
    [
        {"url": ""},
        {"method": "TRACE"},
        {"method": 1},
        {"body": {"json": 1, "text": "x"}},
        {"body": {"text": None}},
        {"body": {"form": None}},
        {"body": {"form": [1]}},
        {"expected_status": []},
        {"expected_status": ["abc"]},
        {"expected_status": [99]},
        {"expected_status": ["300-200"]},
        {"expected_status": ["2xx"]},
        {"expected_status": [True]},
        {"response": "xml"},
        {"max_bytes": 0},
        {"max_bytes": 10**9},
        {"auth": {"type": "digest"}},
        {"auth": {"type": "basic", "username": "u"}},
        {"auth": {"type": "api_key", "key": "k", "in": "body"}},
        {"unknown": 1},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpConfig(**{"url": "http://a.example", **config})


# --- signing in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (
            {"type": "basic", "username": "ü", "password": "p:w"},
            "authorization",
            "Basic " + base64.b64encode("ü:p:w".encode()).decode(),
        ),
        ({"type": "bearer", "token": "t"}, "authorization", "Bearer t"),
        ({"type": "api_key", "key": "k"}, "x-api-key", "k"),
        ({"type": "api_key", "key": "k", "name": "X-Own"}, "x-own", "k"),
    ],
)
async def test_credentials_are_sent_as_headers(
    tasks: Tasks, server: HTTPServer, auth: dict[str, str], name: str, value: str
) -> None:
    server.expect_request("/x").respond_with_data("")
    await tasks.output(server.url_for("/x"), auth=auth, headers={name.upper(): "overridden"})
    assert sent(server).headers.get_all(name) == [value]


async def test_a_key_may_go_into_the_query_and_stays_out_of_every_log(
    tasks: Tasks, server: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.expect_request("/x").respond_with_data("")
    auth = {"type": "api_key", "key": "swordfish", "name": "key", "in": "query"}
    with caplog.at_level(logging.INFO):
        await tasks.output(server.url_for("/x?a=1"), auth=auth)
    assert sent(server).args.to_dict() == {"a": "1", "key": "swordfish"}
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    assert "swordfish" not in "\n".join([*tasks.lines, *ours])
    assert any("/x: 200, 0 bytes" in line for line in tasks.lines)


async def test_a_secret_in_the_address_stays_out_of_failures(tasks: Tasks, server: HTTPServer) -> None:
    url = server.url_for("/x?key=swordfish")
    server.expect_request("/x").respond_with_data("x" * 100)
    for failure in (
        await tasks.failure(url, max_bytes=10),
        await tasks.failure("http://127.0.0.1:1/?key=swordfish"),
        await tasks.failure("http://10.0.0.1/?key=swordfish"),
    ):
        assert "swordfish" not in f"{failure.message} {failure.details}"


@dataclass
class Issuer:
    """A token service and a resource that accepts its newest token."""

    server: HTTPServer
    answer: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: list[Request] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    valid: str = ""

    def __post_init__(self) -> None:
        self.server.expect_request("/token", method="POST").respond_with_handler(self._token)
        self.server.expect_request("/resource").respond_with_handler(self._resource)

    def auth(self, **rest: str) -> dict[str, str]:
        url = self.server.url_for("/token")
        return {"type": "oauth2_client_credentials", "token_url": url, "client_id": "id", "client_secret": "s", **rest}

    def _token(self, request: Request) -> Response:
        self.asked.append(request)
        self.valid = f"token-{len(self.asked)}"
        content = {"access_token": self.valid, "token_type": "Bearer", "expires_in": 3600, **self.answer}
        return Response(json.dumps(content), self.status, content_type="application/json")

    def _resource(self, request: Request) -> Response:
        self.used.append(request.headers.get("authorization", ""))
        return Response("", 200 if self.used[-1] == f"Bearer {self.valid}" else 401)


@pytest.fixture
def issuer(server: HTTPServer) -> Issuer:
    return Issuer(server)


async def test_a_token_is_asked_for_once_and_used_again(tasks: Tasks, issuer: Issuer) -> None:
    url = issuer.server.url_for("/resource")
    for _ in range(3):
        await tasks.output(url, auth=issuer.auth(scope="a b", audience="api"))
    (asked,) = issuer.asked
    assert asked.form.to_dict() == {"grant_type": "client_credentials", "scope": "a b", "audience": "api"}
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"id:s").decode()
    assert issuer.used == ["Bearer token-1"] * 3


async def test_other_credentials_get_another_token(tasks: Tasks, issuer: Issuer) -> None:
    await tasks.output(issuer.server.url_for("/resource"), auth=issuer.auth())
    await tasks.output(issuer.server.url_for("/resource"), auth=issuer.auth(scope="more"))
    assert issuer.used == ["Bearer token-1", "Bearer token-2"]


async def test_a_token_that_is_about_to_expire_is_renewed(tasks: Tasks, issuer: Issuer) -> None:
    issuer.answer = {"expires_in": 20}
    for _ in range(2):
        await tasks.output(issuer.server.url_for("/resource"), auth=issuer.auth())
    assert issuer.used == ["Bearer token-1", "Bearer token-2"]


async def test_a_token_that_was_taken_back_is_renewed_at_once(tasks: Tasks, issuer: Issuer) -> None:
    url = issuer.server.url_for("/resource")
    await tasks.output(url, auth=issuer.auth())
    issuer.valid = "something else"
    assert (await tasks.output(url, auth=issuer.auth()))["status"] == 200
    assert issuer.used == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_a_fresh_token_that_is_refused_is_not_renewed(tasks: Tasks, issuer: Issuer) -> None:
    issuer.answer = {"access_token": "never valid"}
    assert (await tasks.failure(issuer.server.url_for("/resource"), auth=issuer.auth())).details["status"] == 401  # type: ignore[index]
    assert len(issuer.asked) == 1


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (400, {"error": "invalid_client"}, r"answers 400 \(invalid_client\)"),
        (500, {}, "answers 500"),
        (200, {"access_token": None}, "RFC 6749"),
        (200, {"access_token": ""}, "RFC 6749"),
        (200, {"expires_in": "soon"}, "RFC 6749"),
        (200, {"expires_in": "nan"}, "RFC 6749"),
    ],
)
async def test_an_issuer_that_gives_no_token_is_named(
    tasks: Tasks, issuer: Issuer, status: int, answer: dict[str, Any], says: str
) -> None:
    issuer.status, issuer.answer = status, answer
    failure = await tasks.failure(issuer.server.url_for("/resource"), auth=issuer.auth())
    assert re.search(rf"/token gives no token: .*{says}", failure.message), failure.message
    assert not issuer.used


async def test_a_slow_issuer_holds_up_no_other(tasks: Tasks, issuer: Issuer) -> None:
    async with raw_server(saying(b"")) as slow:
        stuck = asyncio.create_task(
            tasks.outcome(issuer.server.url_for("/resource"), auth={**issuer.auth(), "token_url": slow.url("/token")})
        )
        await asyncio.wait_for(slow.arrived.wait(), 60)
        async with asyncio.timeout(20):
            await tasks.output(issuer.server.url_for("/resource"), auth=issuer.auth())
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck


async def test_tasks_that_start_at_once_ask_for_one_token(tasks: Tasks, issuer: Issuer) -> None:
    url = issuer.server.url_for("/resource")
    await asyncio.gather(*(tasks.output(url, auth=issuer.auth()) for _ in range(10)))
    assert len(issuer.asked) == 1


# --- the answer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "content_type", "wanted", "body"),
    [
        (b'{"a": 1}', "application/json", "auto", {"a": 1}),
        (b"\xef\xbb\xbf[1]", "application/problem+json; charset=utf-8", "auto", [1]),
        ("grüße".encode(), "text/plain; charset=utf-8", "auto", "grüße"),
        ("grüße".encode("latin-1"), "text/html; charset=ISO-8859-1", "auto", "grüße"),
        ("grüße".encode("utf-16"), 'text/plain; charset="utf-16"', "auto", "grüße"),
        (b"\xff!", "text/plain", "auto", "\N{REPLACEMENT CHARACTER}!"),
        (b"a\0b", "text/plain", "auto", "a\N{REPLACEMENT CHARACTER}b"),
        (b"<a/>", "application/atom+xml", "auto", "<a/>"),
        (b"\x89PNG", "image/png", "auto", base64.b64encode(b"\x89PNG").decode()),
        (b"", "application/json", "auto", None),
        (b"", "text/plain", "auto", None),
        (b'{"a": 1}', "text/plain", "json", {"a": 1}),
        (b"", "text/plain", "json", None),
        (b'{"a": 1}', "application/json", "text", '{"a": 1}'),
        (b"", "text/plain", "text", ""),
        (b"text", "text/plain", "base64", base64.b64encode(b"text").decode()),
        *(
            (b"x", f"text/plain; charset={charset}", "auto", "x")
            for charset in ("hex", "idna", "undefined", "nonsense", "")
        ),
    ],
)
async def test_the_body_becomes_what_its_type_or_the_config_says(
    tasks: Tasks, server: HTTPServer, content: bytes, content_type: str, wanted: str, body: Any
) -> None:
    server.expect_request("/x").respond_with_data(content, content_type=content_type)
    assert (await tasks.output(server.url_for("/x"), response=wanted))["body"] == body


@pytest.mark.parametrize(
    ("content", "content_type", "wanted"),
    [
        (b"{", "application/json", "auto"),
        (b"<html>", "text/html", "json"),
        (b"[" * 200_000, "application/json", "auto"),
    ],
)
async def test_a_body_that_is_not_json_is_a_failure_that_shows_it(
    tasks: Tasks, server: HTTPServer, content: bytes, content_type: str, wanted: str
) -> None:
    server.expect_request("/x").respond_with_data(content, content_type=content_type)
    failure = await tasks.failure(server.url_for("/x"), response=wanted)
    assert failure.message.startswith("the answer cannot be read as json: ")
    assert failure.details is not None
    assert failure.details["body"] == content[:1000].decode()


@pytest.mark.parametrize(
    ("expected", "status", "fails"),
    [
        *((None, 201, False), (None, 304, True), (None, 500, True), ([404], 404, False), ([404], 200, True)),
        *((["200-299", 409], 409, False), ("400-499", 418, False), (500, 500, False)),
    ],
)
async def test_a_status_that_is_not_expected_is_a_failure(
    tasks: Tasks, server: HTTPServer, expected: Any, status: int, fails: bool
) -> None:
    server.expect_request("/x").respond_with_data("", status=status)
    config = {} if expected is None else {"expected_status": expected}
    assert isinstance(await tasks.outcome(server.url_for("/x"), **config), Failed) == fails


async def test_a_failure_shows_status_headers_and_the_beginning_of_the_body(tasks: Tasks, server: HTTPServer) -> None:
    server.expect_request("/x").respond_with_data(
        "sorry\0 " + "ü" * 5000, status=503, headers={"Retry-After": "120"}, content_type="text/plain"
    )
    failure = await tasks.failure(server.url_for("/x"))
    assert failure.kind is FailureKind.ERROR
    assert failure.message.startswith("the answer has the status 503, which is not expected: sorry")
    assert failure.details is not None
    assert failure.details["status"] == 503
    assert failure.details["headers"]["retry-after"] == "120"  # type: ignore[index, call-overload]
    assert failure.details["body"] == ("sorry\N{REPLACEMENT CHARACTER} " + "ü" * 5000)[:1000]


async def test_redirects_are_followed_unless_the_config_says_otherwise(tasks: Tasks, server: HTTPServer) -> None:
    server.expect_request("/old").respond_with_data("", status=302, headers={"Location": "/new"})
    server.expect_request("/new").respond_with_data("here")
    assert (await tasks.output(server.url_for("/old")))["body"] == "here"
    output = await tasks.output(server.url_for("/old"), follow_redirects=False, expected_status=[302])
    assert output["headers"]["location"] == "/new"


async def test_a_certificate_that_nobody_vouches_for_is_accepted_only_where_the_config_says_so(
    tasks: Tasks, certificate: Path
) -> None:
    async with raw_server(
        saying(answer_of(b"ok", "Content-Type: text/plain")), context=server_context(certificate)
    ) as it:
        url = it.url(scheme="https", host="localhost")
        assert "certificate is not accepted" in (await tasks.failure(url)).message
        assert (await tasks.output(url, verify_tls=False))["body"] == "ok"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path, "localhost")


# --- failures -----------------------------------------------------------------------------------------------------


async def test_an_answer_beyond_max_bytes_is_a_failure(tasks: Tasks, server: HTTPServer) -> None:
    server.expect_request("/x").respond_with_data(b"x" * 101)
    assert "longer than 100 bytes" in (await tasks.failure(server.url_for("/x"), max_bytes=100)).message
    assert (await tasks.output(server.url_for("/x"), max_bytes=101))["status"] == 200


async def test_a_private_address_is_refused(tasks: Tasks) -> None:
    failure = await tasks.failure("http://169.254.169.254/latest/meta-data/")
    assert failure.kind is FailureKind.REFUSED
    assert "169.254.169.254" in failure.message
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in failure.message


async def test_silence_is_a_timeout(tasks: Tasks) -> None:
    tasks.runner = HttpRunner(tasks.services, silence=0.1)
    async with raw_server(saying(b"")) as silent:
        failure = await tasks.failure(silent.url())
    assert failure.kind is FailureKind.TIMEOUT
    assert "did not answer in time" in failure.message


@pytest.mark.parametrize("query", [{}, {"a": 1}])
async def test_an_unusable_name_of_a_server_is_a_failure_and_no_exception(tasks: Tasks, query: dict[str, Any]) -> None:
    assert (await tasks.failure("http://a..b/", query=query)).kind is FailureKind.ERROR


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://[::1", "http://a.example:x/", "http://u:swordfish@h/"])
def test_an_address_that_no_request_can_be_sent_to_is_no_config(url: str) -> None:
    with pytest.raises(ValidationError, match=r"must begin|valid name|no such port|user name") as caught:
        HttpConfig(url=url)
    assert "swordfish" not in caught.value.errors()[0]["msg"]
