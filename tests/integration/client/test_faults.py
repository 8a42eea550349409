"""What the clients do when the network or the server fails in the middle."""

import asyncio
import hashlib
import io
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.client import (
    DownloadFailed,
    NotFound,
    StreamFailed,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from millrace.client.retrying import Retrying
from tests.support.awaited import client_of
from tests.support.server import MillraceProcess, free_port

Broken = Callable[[httpx2.Request], bool]


class Losing(httpx2.HTTPTransport):
    """The network; the answer to a request that `broken` picks is lost after the server has made it."""

    def __init__(self, broken: Broken) -> None:
        super().__init__()
        self._broken = broken

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if self._broken(request):
            response.read()
            response.close()
            raise httpx2.ReadError("the connection was lost")
        return response


class AsyncLosing(httpx2.AsyncHTTPTransport):
    """As `Losing`."""

    def __init__(self, broken: Broken) -> None:
        super().__init__()
        self._broken = broken

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if self._broken(request):
            await response.aread()
            await response.aclose()
            raise httpx2.ReadError("the connection was lost")
        return response


class HalfOfIt(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The first half of an answer, then nothing more."""

    def __init__(self, content: bytes) -> None:
        self._half = content[: len(content) // 2]

    def __iter__(self) -> Iterator[bytes]:
        yield self._half
        raise httpx2.ReadError("the connection was lost")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._half
        raise httpx2.ReadError("the connection was lost")


class Halving(httpx2.HTTPTransport):
    """The network; of the first `breaks` answers with content only half arrives."""

    def __init__(self, breaks: int) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._breaks = breaks

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.halved(request, super().handle_request(request))

    def halved(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        self.asked.append(request.headers.get("Range", "all"))
        if len(self.asked) > self._breaks:
            return response
        content = response.read()
        return httpx2.Response(response.status_code, headers=response.headers, stream=HalfOfIt(content))


class AsyncHalving(httpx2.AsyncBaseTransport):
    """As `Halving`, which it uses."""

    def __init__(self, halving: Halving) -> None:
        self._halving = halving

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await asyncio.to_thread(self._halving.handle_request, request)
        if isinstance(response.stream, HalfOfIt):
            return response
        return httpx2.Response(response.status_code, headers=response.headers, content=response.read())

    async def aclose(self) -> None:
        await asyncio.to_thread(self._halving.close)


class Once:
    """Picks the first request of this method whose path ends so."""

    def __init__(self, method: str, ending: str, times: int = 1) -> None:
        self._method, self._ending, self._left = method, ending, times

    def __call__(self, request: httpx2.Request) -> bool:
        picked = request.method == self._method and request.url.path.endswith(self._ending) and self._left > 0
        self._left -= picked
        return picked


def losing(kind: str, broken: Broken) -> Any:
    return AsyncLosing(broken) if kind == "AsyncClient" else Losing(broken)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts that are as many, and shorter."""
    monkeypatch.setattr("millrace.client.aio.client.Retrying", lambda retries: Retrying(retries, first=0.01))
    monkeypatch.setattr("millrace.client.sync.client.Retrying", lambda retries: Retrying(retries, first=0.01))


WORKFLOW = {"name": "lost", "tasks": [{"id": "a", "type": "noop"}]}


async def test_a_start_whose_answer_was_lost_starts_one_run(kind: str, server: MillraceProcess) -> None:
    transport = losing(kind, Once("POST", "/execute", times=2))
    async with client_of(kind, server.url, server.api_key, transport=transport) as client:
        await client.workflows.apply(WORKFLOW)
        before = [run["id"] async for run in client.runs.iterate(workflow="lost")]
        run = await client.runs.start("lost")
        assert [one["id"] async for one in client.runs.iterate(workflow="lost")] == [run["id"], *before]


async def test_a_batch_of_events_whose_answer_was_lost_is_stored_once(kind: str, server: MillraceProcess) -> None:
    type_ = f"lost.{kind}"
    transport = losing(kind, Once("POST", "/events", times=2))
    async with client_of(kind, server.url, server.api_key, transport=transport) as client:
        told = (await client.events.publish_batch([{"type": type_, "data": n} for n in range(3)]))["items"]
        assert [one["repeated"] for one in told] == [True, True, True]
        stored = [event["id"] async for event in client.events.iterate(type=type_)]
        assert stored == [one["id"] for one in reversed(told)]


@pytest.mark.parametrize("how", ["retry", "rerun"])
async def test_a_repeat_whose_answer_was_lost_repeats_a_run_once(kind: str, how: str, server: MillraceProcess) -> None:
    transport = losing(kind, Once("POST", f"/{how}", times=2))
    async with client_of(kind, server.url, server.api_key, transport=transport) as client:
        await client.workflows.apply({**WORKFLOW, "tasks": [{"id": "a", "type": "shell", "config": {"command": "no"}}]})
        failed = await client.runs.start("lost", wait_seconds=30)
        before = [run["id"] async for run in client.runs.iterate(workflow="lost")]
        run = await getattr(client.runs, how)(failed["id"])
        assert [one["id"] async for one in client.runs.iterate(workflow="lost")] == [run["id"], *before]


async def test_a_change_whose_answer_was_lost_is_not_repeated(kind: str, server: MillraceProcess) -> None:
    transport = losing(kind, Once("PATCH", "/changed"))
    async with client_of(kind, server.url, server.api_key, transport=transport) as client:
        await client.workflows.apply({**WORKFLOW, "name": "changed"})
        version = (await client.workflows.get("changed"))["version"]
        with pytest.raises(Unreachable) as failed:
            await client.workflows.update("changed", {"tasks": [{"id": kind, "type": "noop"}]})
        assert failed.value.sent
        assert (await client.workflows.get("changed"))["version"] == version + 1


async def test_a_download_that_broke_off_goes_on_where_it_was(
    kind: str, server: MillraceProcess, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 64
    async with client_of(kind, server.url, server.api_key) as client:
        sent = await client.artifacts.upload(content, name="big")
    network = Halving(2)
    transport = AsyncHalving(network) if kind == "AsyncClient" else network
    async with client_of(kind, server.url, server.api_key, transport=transport) as client:
        place = await client.artifacts.download(sent["id"], tmp_path / "big")
    assert place.read_bytes() == content
    assert network.asked == ["all", f"bytes={len(content) // 2}-", f"bytes={len(content) * 3 // 4}-"]


def file_answer(content: bytes, *, half: bool = False) -> httpx2.Response:
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
    if half:
        return httpx2.Response(200, headers=headers, stream=HalfOfIt(content))
    return httpx2.Response(200, headers=headers, content=content)


async def test_a_download_of_a_file_that_has_changed_meanwhile_begins_again(kind: str, tmp_path: Path) -> None:
    answers = [file_answer(b"the old content, which is longer", half=True), file_answer(b"the new one")]
    transport = httpx2.MockTransport(lambda _: answers.pop(0))
    async with client_of(kind, "http://server", "mr_key", transport=transport) as client:
        place = await client.artifacts.download("a", tmp_path / "file")
    assert place.read_bytes() == b"the new one"


async def test_what_arrives_otherwise_than_it_was_stored_is_no_file(kind: str, tmp_path: Path) -> None:
    answer = httpx2.Response(200, headers={"ETag": '"0000"'}, content=b"bytes")
    (tmp_path / "file").write_bytes(b"what was there")
    async with client_of(kind, "http://server", "mr_key", transport=httpx2.MockTransport(lambda _: answer)) as client:
        with pytest.raises(DownloadFailed):
            await client.artifacts.download("a", tmp_path / "file", overwrite=True)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"what was there"


async def test_a_backup_that_broke_off_is_not_made_again(kind: str, tmp_path: Path) -> None:
    answers = [file_answer(b"a database", half=True), file_answer(b"a database")]
    transport = httpx2.MockTransport(lambda _: answers.pop(0))
    async with client_of(kind, "http://server", "mr_key", transport=transport) as client:
        with pytest.raises(Unreachable):
            await client.database.backup(tmp_path / "backup.db")
    assert len(answers) == 1
    assert os.listdir(tmp_path) == []


async def test_a_server_that_is_not_there_is_told_after_the_attempts(kind: str) -> None:
    async with client_of(kind, f"http://127.0.0.1:{free_port()}", "mr_key", retries=2) as client:
        with pytest.raises(Unreachable, match="no connection") as failed:
            await client.runs.list()
    assert not failed.value.sent


async def test_a_refusal_that_may_pass_is_asked_again(kind: str) -> None:
    answers = [httpx2.Response(503, json={"code": "store_unavailable"}) for _ in range(3)]
    answers += [httpx2.Response(200, json={"status": "ok"})]
    transport = httpx2.MockTransport(lambda _: answers.pop(0))
    async with client_of(kind, "http://server", "mr_key", transport=transport) as client:
        assert await client.system.health() == {"status": "ok"}
        answers += [httpx2.Response(503, json={"code": "store_unavailable"})] * 2
        with pytest.raises(Unavailable):
            await client.secrets.delete("a")
    assert len(answers) == 1, "a deletion is not repeated"


async def test_a_file_is_never_sent_from_its_middle(kind: str) -> None:
    bodies: list[int] = []

    def busy(request: httpx2.Request) -> httpx2.Response:
        bodies.append(1)
        return httpx2.Response(429, json={"code": "busy"})

    async with client_of(kind, "http://server", "mr_key", transport=httpx2.MockTransport(busy)) as client:
        with pytest.raises(TooManyRequests):
            await client.artifacts.upload(io.BytesIO(b"content"), name="file")
        assert len(bodies) == 1
        with pytest.raises(TooManyRequests):
            await client.artifacts.upload(b"content", name="file")
    assert len(bodies) == 6, "bytes are sent again"


async def test_a_stream_that_the_server_ends_with_an_error_is_over(kind: str) -> None:
    told = 'id: 1\nevent: record\ndata: {"seq": 1}\n\nevent: error\ndata: {"code": "c", "detail": "d"}\n\n'
    answer = httpx2.Response(200, text=told, headers={"Content-Type": "text/event-stream"})
    transport = httpx2.MockTransport(lambda _: answer)
    async with client_of(kind, "http://server", "mr_key", transport=transport) as client:
        records = client.runs.follow("r")
        assert await anext(records) == {"seq": 1}
        with pytest.raises(StreamFailed, match=r"d \(c\)"):
            await anext(records)


async def test_a_stream_that_never_began_is_refused_at_once(kind: str) -> None:
    answers = [httpx2.Response(404, json={"code": "run_not_found"}), httpx2.Response(200, json={"items": []})]
    transport = httpx2.MockTransport(lambda _: answers.pop(0))
    async with client_of(kind, "http://server", "mr_key", transport=transport) as client:
        for expected in (NotFound, UnexpectedAnswer):
            with pytest.raises(expected):
                await anext(aiter(client.runs.follow("r")))
    assert answers == []


async def test_a_run_is_followed_and_awaited_across_a_restart_of_the_server(kind: str, tmp_path: Path) -> None:
    task = {"id": "work", "type": "shell", "config": {"command": "sleep 2"}}
    workflow = {"name": "long", "tasks": [task, {"id": "after", "type": "noop"}]}
    with MillraceProcess(tmp_path / "home") as server:
        async with client_of(kind, server.url, server.api_key) as client:
            await client.workflows.create(workflow)
            run = await client.runs.start("long")
            waited = asyncio.gather(client.runs.wait(run["id"]))
            restarted: asyncio.Task[Any] | None = None
            seen = []
            async with client.runs.follow(run["id"]) as records:
                async for record in records:
                    seen.append(record)
                    if record["type"] == "task.started" and restarted is None:
                        restarted = asyncio.create_task(asyncio.to_thread(restart, server))
            assert restarted is not None
            await restarted
            assert records.status == (await waited)[0]["status"] == "completed"
            assert seen == [record async for record in client.runs.iterate_records(run["id"])]
            assert [record["seq"] for record in seen] == list(range(1, len(seen) + 1))


def restart(server: MillraceProcess) -> None:
    server.kill()
    server.start()


async def test_time_limits_are_kept_with_a_server_that_says_nothing(kind: str) -> None:
    """At the usual limits each of these would take ten minutes."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        async with client_of(kind, url, "mr_nobody") as client:
            with pytest.raises(WaitTimeout):
                await client.runs.wait("0199d6a0-0000-7000-8000-000000000001", timeout=0.5)
            with pytest.raises(Unreachable):
                await client.run("nightly", timeout=0.5)
