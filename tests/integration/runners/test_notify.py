"""The task type `notify` against a real server: what a chat gets, and that nobody else gets to know its address."""

import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Response

from millrace.core.failures import Failure, FailureKind
from millrace.core.values import check_value
from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.connections import Connection, ConnectionUnavailable
from millrace.ports.runner import Completed, Failed, RunnerContext, RunnerServices
from millrace.ports.secrets import OF_NOBODY, SecretUse
from millrace.runners import notify
from millrace.runners.notify import NotifyConfig, NotifyRunner

TOKEN = "T000hush000"
PATH = f"/services/{TOKEN}/B42secret"


class OneConnection:
    """Meets `ports.connections.Connections`."""

    def __init__(self, **config: Any) -> None:
        self._config = config

    async def resolve(self, name: str, *, types: frozenset[str], use: SecretUse = OF_NOBODY) -> Connection:
        if name != "chat" or "http" not in types:
            raise ConnectionUnavailable(f"there is no connection {name!r}")
        return Connection(name, "http", self._config)


@dataclass
class Chat:
    client: GuardedHttpClient
    connections: OneConnection | None = None
    lines: list[str] = field(default_factory=list)

    async def outcome(self, **config: Any) -> Completed | Failed:
        runner = NotifyRunner(RunnerServices(self.client, AddressPolicy(), (), None, connections=self.connections))
        context = RunnerContext("the run", "tell", 1, lambda text, **_: self.lines.append(text))
        outcome = await runner.run(NotifyConfig(**{"text": "Hi", **config}), context)
        shown = str(outcome) + str(self.lines)
        assert TOKEN not in shown
        assert "B42secret" not in shown
        return outcome

    async def failure(self, **config: Any) -> Failure:
        outcome = await self.outcome(**config)
        assert isinstance(outcome, Failed), outcome
        check_value(outcome.failure.to_json())
        return outcome.failure


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    client = GuardedHttpClient(AddressPolicy(["localhost", "127.0.0.1"]))
    yield Chat(client)
    await client.close()


def sent(httpserver: HTTPServer) -> Any:
    ((request, _),) = httpserver.log
    assert (request.method, request.headers["Content-Type"]) == ("POST", "application/json")
    return json.loads(request.data)


async def test_what_slack_gets(httpserver: HTTPServer, chat: Chat) -> None:
    httpserver.expect_request(PATH).respond_with_data("ok")
    outcome = await chat.outcome(
        url=httpserver.url_for(PATH),
        title="Load <b>failed</b>",
        text="a & b <!channel> <https://evil.example|click> Ünal",
        level="error",
        fields={"Rows": 3, "Where <x>": "a" * 50},
    )
    assert outcome == Completed({"status": 200})
    text = "a &amp; b &lt;!channel&gt; &lt;https://evil.example|click&gt; Ünal"
    assert sent(httpserver) == {
        "attachments": [
            {
                "fallback": f"Load &lt;b&gt;failed&lt;/b&gt;: {text}",
                "color": "danger",
                "title": "Load &lt;b&gt;failed&lt;/b&gt;",
                "text": text,
                "fields": [
                    {"title": "Rows", "value": "3", "short": True},
                    {"title": "Where &lt;x&gt;", "value": "a" * 50, "short": False},
                ],
            }
        ]
    }
    assert chat.lines == ["the webhook answered 200"]


async def test_long_text_is_cut_and_never_through_an_entity(httpserver: HTTPServer, chat: Chat) -> None:
    httpserver.expect_request(PATH).respond_with_data("ok")
    await chat.outcome(url=httpserver.url_for(PATH), text="<" * 5000, title="t" * 500)
    (attachment,) = sent(httpserver)["attachments"]
    assert attachment["text"] == "&lt;" * 2999 + "…"
    assert attachment["title"] == "t" * 149 + "…"


async def test_plain_json(httpserver: HTTPServer, chat: Chat) -> None:
    httpserver.expect_request(PATH).respond_with_data("", status=204)
    outcome = await chat.outcome(url=httpserver.url_for(PATH), text={"n": 1}, fields={"a": [1, "<"]}, format="json")
    assert outcome == Completed({"status": 204})
    assert sent(httpserver) == {
        "title": None,
        "text": '{"n":1}',
        "level": "info",
        "fields": {"a": [1, "<"]},
        "run": "the run",
        "task": "tell",
    }


async def test_the_url_of_a_connection(httpserver: HTTPServer, chat: Chat) -> None:
    httpserver.expect_request(PATH).respond_with_data("ok")
    chat.connections = OneConnection(url=httpserver.url_for(PATH))
    assert await chat.outcome(connection="chat") == Completed({"status": 200})
    assert (await chat.failure(connection="other")).kind is FailureKind.REFUSED
    chat.connections = OneConnection(url=f"ftp://{TOKEN}")
    assert (await chat.failure(connection="chat")).message == "the connection 'chat' has no url of a webhook"
    chat.connections = OneConnection(url=httpserver.url_for(PATH), auth={"type": "bearer", "token": TOKEN})
    assert "which webhooks have not" in (await chat.failure(connection="chat")).message
    chat.connections = None
    assert (await chat.failure(connection="chat")).kind is FailureKind.REFUSED


async def test_too_many_messages(httpserver: HTTPServer, chat: Chat) -> None:
    httpserver.expect_request(PATH).respond_with_data("slow\0 down", status=429, headers={"Retry-After": "30"})
    failure = await chat.failure(url=httpserver.url_for(PATH))
    assert failure.kind is FailureKind.ERROR
    assert failure.message == "the webhook answered 429, to be asked again after 30: slow\N{REPLACEMENT CHARACTER} down"
    assert failure.details == {"status": 429, "body": "slow\N{REPLACEMENT CHARACTER} down", "retry_after": "30"}


async def test_an_answer_that_repeats_the_address(httpserver: HTTPServer, chat: Chat) -> None:
    url = httpserver.url_for(PATH)
    httpserver.expect_request(PATH).respond_with_data(f"no hook {url} ({PATH}, {TOKEN})", status=404)
    failure = await chat.failure(url=url)
    assert failure.details == {"status": 404, "body": "no hook *** (***, ***)"}


async def test_a_redirect_is_not_followed(httpserver: HTTPServer, chat: Chat) -> None:
    httpserver.expect_request(PATH).respond_with_response(Response(status=302, headers={"Location": "/other"}))
    failure = await chat.failure(url=httpserver.url_for(PATH))
    assert failure.message == "the webhook answered 302"
    assert len(httpserver.log) == 1


async def test_nobody_there(chat: Chat, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        failure = await chat.failure(url=f"http://127.0.0.1:{port}{PATH}?token={TOKEN}")
        assert failure.message == "the webhook cannot be reached: Connection refused"
        bound.listen()
        monkeypatch.setattr(notify, "SILENCE", 0.1)
        failure = await chat.failure(url=f"http://127.0.0.1:{port}{PATH}")
        assert (failure.kind, failure.message) == (FailureKind.TIMEOUT, "the webhook did not answer in time")
    failure = await chat.failure(url=f"http://no-such-host.invalid{PATH}")
    assert failure.message.startswith("the webhook cannot be reached")
    assert TOKEN not in caplog.text


async def test_the_address_policy_holds(httpserver: HTTPServer) -> None:
    client = GuardedHttpClient(AddressPolicy())
    failure = await Chat(client).failure(url=httpserver.url_for(PATH))
    await client.close()
    assert failure.kind is FailureKind.REFUSED
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in failure.message
    assert httpserver.log == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": "https://a.example/x", "connection": "chat"},
        {"url": "ftp://a.example/x"},
        {"url": f"https://user:{TOKEN}@a.example/x"},
        {"url": f"https:///{TOKEN}"},
        {"url": f"https://a.example/{TOKEN}\n"},
        {"url": "https://a.example/x", "level": "fatal"},
        {"url": "https://a.example/x", "format": "xml"},
        {"url": "https://a.example/x", "fields": {str(number): 1 for number in range(21)}},
        {"url": "https://a.example/x", "unknown": 1},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        NotifyConfig(**{"text": "Hi", **config})
    assert TOKEN not in str([{**fault, "input": None} for fault in refused.value.errors(include_context=False)])
