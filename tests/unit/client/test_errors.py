"""Whatever goes wrong with a request raises a `MillraceError`; what no request can carry is refused unsent."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.client import (
    ClientClosed,
    InvalidArgument,
    MillraceError,
    NoApiKey,
    RequestRefused,
    UnexpectedAnswer,
    Unreachable,
)
from millrace.client.retrying import Retrying
from tests.support.awaited import KINDS, client_of

HALF = "\ud800"
ZONELESS = datetime.fromisoformat("2026-01-01T00:00")
ITSELF: dict[str, Any] = {}
ITSELF["again"] = ITSELF
DEEP = b"[" * 100_000


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second attempts, and no patience."""
    for part in ("aio", "sync"):
        monkeypatch.setattr(f"millrace.client.{part}.client.Retrying", lambda retries: Retrying(0))
    monkeypatch.setattr("millrace.client.retrying.PATIENCE_SECONDS", -1.0)


# --- arguments --------------------------------------------------------------------------------------------------------

Call = Callable[[Any], Any]

NOT_SENT: dict[str, tuple[Call, str, str]] = {
    "infinity": (lambda c: c.runs.start("w", {"a": [1, {"b": float("inf")}]}), "input.a[1].b", "no JSON number"),
    "not a number": (lambda c: c.runs.start("w", variables={"a": float("nan")}), "variables.a", "no JSON number"),
    "half a character": (lambda c: c.runs.start("w", {"a": f"x{HALF}"}), "input.a", r"'\\ud800' at 1"),
    "half a key": (lambda c: c.run("w", {"a": {HALF: 1}}), "input.a, a key", "half a character"),
    "a set": (lambda c: c.runs.start("w", {"a": (1, {2})}), "input.a[1]", "type set"),
    "a key of bytes": (lambda c: c.runs.start("w", {"a": {b"b": 2}}), "input.a", "b'b' is no text"),
    "itself": (lambda c: c.runs.start("w", ITSELF), "", "holds itself"),
    "an integer of 5000 digits": (lambda c: c.runs.start("w", {"a": 10**5000}), "", "written as JSON"),
    "a time without zone": (lambda c: c.runs.start("w", {"a": [ZONELESS]}), "input.a[0]", "no time zone"),
    "a definition": (lambda c: c.workflows.create({"tasks": [{"config": float("inf")}]}), "tasks[0].config", "JSON"),
    "a text as definition": (lambda c: c.workflows.apply(f"name: {HALF}"), "definition", "half a character"),
    "a task": (lambda c: c.tasks.add("w", {"id": HALF}), "id", "half a character"),
    "a secret": (lambda c: c.secrets.set("s", HALF), "value", "half a character"),
    "a name in a path": (lambda c: c.runs.get(HALF), "a name or an id", "half a character"),
    "no name in a path": (lambda c: c.runs.get(".."), "", "cannot be a name"),
    "a query": (lambda c: c.workflows.list(name=HALF), "name", "half a character"),
    "words of a query": (lambda c: c.runs.list(status=[HALF]), "status", "half a character"),
    "a header with a break": (lambda c: c.workflows.delete("w", if_match="a\nb"), "If-Match", "visible ASCII"),
    "a header beyond ASCII": (lambda c: c.workflows.delete("w", if_match="ä"), "If-Match", "visible ASCII"),
    "a media type": (lambda c: c.artifacts.upload(b"", name="a", media_type="ä"), "Content-Type", "visible ASCII"),
    "a nameless file": (lambda c: c.artifacts.upload(b""), "name", "needs a name"),
    "a file of text": (lambda c: c.artifacts.upload(io.StringIO("a"), name="a"), "source", "reading bytes"),
    "a path": (lambda c: c.artifacts.upload("a\0b"), "source", "NUL"),
    "a target": (lambda c: c.artifacts.download("a", "a\0b"), "to", "NUL"),
    "a target of a backup": (lambda c: c.database.backup("a\0b"), "to", "NUL"),
}


@pytest.mark.parametrize("case", NOT_SENT)
async def test_what_no_request_can_carry_is_refused_with_its_place(kind: str, case: str) -> None:
    call, place, words = NOT_SENT[case]
    sent: list[bytes] = []

    def receive(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content)
        return httpx2.Response(200, json={})

    async def receive_later(request: httpx2.Request) -> httpx2.Response:
        sent.append(await request.aread())
        return httpx2.Response(200, json={})

    transport = httpx2.MockTransport(receive_later if kind == "AsyncClient" else receive)
    async with client_of(kind, "http://server", "mr_key", transport=transport) as client:
        with pytest.raises(InvalidArgument, match=words) as refused:
            await call(client)
    assert (refused.value.place, sent) == (place, [])
    assert isinstance(refused.value, MillraceError)
    assert isinstance(refused.value, ValueError), "as it was before it was one of ours"
    str(refused.value).encode()


@pytest.mark.parametrize(
    "url",
    ["ftp://server", "http://", "http://[::1", "http://h:x", "http://h:99999", "http://a\0b", f"http://h/{HALF}",
     "http://a..b", f"http://{'a' * 64}.example", f"http://{HALF}", "server"],
)  # fmt: skip
def test_what_can_be_no_server_is_refused_at_once(kind: str, url: str) -> None:
    with pytest.raises(InvalidArgument, match="server") as refused:
        client_of(kind, url, "mr_key")
    assert refused.value.place == "url"


@pytest.mark.parametrize("key", ["mr_ä", "mr_\n", "mr key", HALF])
def test_what_can_be_no_key_is_refused_without_being_shown(kind: str, key: str) -> None:
    with pytest.raises(InvalidArgument, match="visible ASCII") as refused:
        client_of(kind, "http://server", key)
    assert key not in str(refused.value)


def test_a_file_that_holds_no_key_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    with pytest.raises(NoApiKey):
        client_of(kind, "http://127.0.0.1:1", "")
    (tmp_path / "api-key").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument):
        client_of(kind, "http://127.0.0.1:1", "")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_a_time(kind: str, timeout: float) -> None:
    with pytest.raises(InvalidArgument, match="timeout"):
        client_of(kind, "http://server", "mr_key", timeout=timeout)


# --- the network and the answer ---------------------------------------------------------------------------------------

EVENTS = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True)
class Wrong:
    """What is answered, or raised below, and what is told of it."""

    expected: type[MillraceError]
    call: Call = lambda c: c.runs.get("r")
    answer: Callable[[], httpx2.Response] = lambda: httpx2.Response(200, json={})
    raised: Exception | None = None


def answered(**options: Any) -> Callable[[], httpx2.Response]:
    status = options.pop("status", 200)
    return lambda: httpx2.Response(status, **options)


async def _first_event(client: Any) -> Any:
    return await anext(aiter(client.runs.follow("r")))


async def _first_item(client: Any) -> Any:
    return await anext(aiter(client.runs.iterate()))


NO_GOOD: dict[str, Wrong] = {
    **{
        type(error).__name__: Wrong(Unreachable, raised=error)
        for error in (
            httpx2.ConnectError("x"),
            httpx2.ConnectTimeout("x"),
            httpx2.PoolTimeout("x"),
            httpx2.ReadTimeout("x"),
            httpx2.WriteTimeout("x"),
            httpx2.ReadError("x"),
            httpx2.WriteError("x"),
            httpx2.CloseError("x"),
            httpx2.RemoteProtocolError("x"),
            httpx2.LocalProtocolError("x"),
            httpx2.ProxyError("x"),
            httpx2.UnsupportedProtocol("x"),
            httpx2.TooManyRedirects("x"),
            httpx2.DecodingError("x"),
        )
    },
    "no JSON": Wrong(UnexpectedAnswer, answer=answered(text="<html>")),
    "no UTF-8": Wrong(UnexpectedAnswer, answer=answered(content=b"\xff\xff")),
    "JSON too deep": Wrong(UnexpectedAnswer, answer=answered(content=DEEP)),
    "no gzip": Wrong(Unreachable, answer=lambda: _no_gzip()),
    "a page without items": Wrong(UnexpectedAnswer, _first_item, answered(json={"next_cursor": None})),
    "a page that is a list": Wrong(UnexpectedAnswer, _first_item, answered(json=[])),
    "a run without id": Wrong(UnexpectedAnswer, lambda c: c.run("w"), answered(json={"status": "completed"})),
    "a run that is null": Wrong(UnexpectedAnswer, lambda c: c.runs.wait("r"), answered(content=b"null")),
    "records without numbers": Wrong(UnexpectedAnswer, lambda c: c.runs.wait("r"), answered(json={"items": [{}]})),
    "a workflow without definition": Wrong(UnexpectedAnswer, lambda c: c.workflows.export("w")),
    "an artifact without name": Wrong(UnexpectedAnswer, lambda c: c.artifacts.download("a", "/")),
    "a redirection": Wrong(RequestRefused, answer=answered(status=302, headers={"Location": "http://other"})),
    "a refusal without JSON": Wrong(RequestRefused, answer=answered(status=500, text="<html>")),
    "a refusal that is a list": Wrong(RequestRefused, answer=answered(status=404, json=[])),
    "a refusal too deep": Wrong(RequestRefused, answer=answered(status=400, content=DEEP)),
    "faults that are none": Wrong(RequestRefused, answer=answered(status=422, json={"faults": ["x", None]})),
    "no stream": Wrong(UnexpectedAnswer, _first_event),
    "an event without JSON": Wrong(UnexpectedAnswer, _first_event, answered(headers=EVENTS, text="data: {\n\n")),
    "an event too deep": Wrong(UnexpectedAnswer, _first_event, lambda: _event(DEEP.decode())),
    "an end without status": Wrong(UnexpectedAnswer, _first_event, lambda: _event("[]", "end")),
    "an error without code": Wrong(UnexpectedAnswer, _first_event, lambda: _event("null", "error")),
    "a stream that cannot begin": Wrong(Unreachable, _first_event, raised=httpx2.ReadTimeout("x")),
}


def _no_gzip() -> httpx2.Response:
    return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(b"no gzip"))


def _event(data: str, name: str = "record") -> httpx2.Response:
    return httpx2.Response(200, headers=EVENTS, text=f"id: 1\nevent: {name}\ndata: {data}\n\n")


@pytest.mark.parametrize("case", NO_GOOD)
async def test_whatever_the_network_or_the_answer_is_the_error_is_ours(kind: str, case: str) -> None:
    wrong = NO_GOOD[case]

    def answer(_: httpx2.Request) -> httpx2.Response:
        if wrong.raised is not None:
            raise wrong.raised
        return wrong.answer()

    async with client_of(kind, "http://server", "mr_key", transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(wrong.expected) as failed:
            await wrong.call(client)
    assert "mr_key" not in f"{failed.value} {failed.value!r}"


async def test_a_stream_that_breaks_off_and_does_not_come_back_is_told(kind: str) -> None:
    answers = [_event('{"seq": 1}')]

    def answer(_: httpx2.Request) -> httpx2.Response:
        if not answers:
            raise httpx2.ConnectError("x")
        return answers.pop()

    async with client_of(kind, "http://server", "mr_key", transport=httpx2.MockTransport(answer)) as client:
        records = client.runs.follow("r")
        assert await anext(records) == {"seq": 1}
        with pytest.raises(Unreachable, match="no connection"):
            await anext(records)


async def test_a_closed_client_says_so(kind: str) -> None:
    client = client_of(kind, "http://server", "mr_key", transport=httpx2.MockTransport(lambda _: httpx2.Response(200)))
    async with client:
        pass
    with pytest.raises(ClientClosed, match=re.escape("the client is closed")):
        await client.runs.get("r")
