"""The guarded client against real servers: where it connects, what it sends, what it makes of any answer."""

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from millrace.net.addresses import AddressPolicy
from millrace.net.client import GuardedHttpClient
from millrace.ports.http import HttpFailed, HttpRequest, HttpTimedOut
from millrace.ports.network import AddressRefused
from tests.unit.net.raw_server import Answer, Received, answer_of, raw_server, saying

OK = saying(answer_of(b"ok"))
LIMIT = 1_000_000


async def fetched(client: GuardedHttpClient, url: str, method: str = "GET", **rest: object) -> tuple[int, bytes, str]:
    async with client.send(HttpRequest(method, url, **rest)) as answer:  # type: ignore[arg-type]
        return answer.status, b"".join([part async for part in answer.body(LIMIT)]), answer.url


class Answering:
    """An address book whose answer changes from call to call."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append((host, port))
        return self.answers.pop(0)


# --- where it connects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "127。0。0。1", "[::1]"])
async def test_nothing_reaches_a_private_address(host: str) -> None:
    guarded = GuardedHttpClient(AddressPolicy())
    async with raw_server(OK) as server:
        with pytest.raises((AddressRefused, HttpFailed)):
            await fetched(guarded, server.url(host=host))
        assert server.accepted == 0
    await guarded.close()


async def test_a_redirect_to_a_private_address_is_refused_and_not_connected_to() -> None:
    guarded = GuardedHttpClient(AddressPolicy(["localhost"]))
    async with raw_server(OK) as inner:
        moved = answer_of(b"", f"Location: {inner.url()}", status="302 Found")
        async with raw_server(saying(moved)) as outer:
            with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
                await fetched(guarded, outer.url(host="localhost"), max_redirects=5)
        assert inner.accepted == 0
    await guarded.close()


async def test_connections_go_only_to_addresses_that_were_answered() -> None:
    """A name that points elsewhere at the second look gains nothing: there is one look, and it is obeyed."""
    async with raw_server(OK) as server:
        book = Answering(("127.0.0.1",), ("192.0.2.1",))
        client = GuardedHttpClient(book)
        assert (await fetched(client, server.url(host="rebind.example")))[0] == 200
        assert book.asked == [("rebind.example", server.port)]
        assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"
        await client.close()


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with raw_server(OK) as server:
        client = GuardedHttpClient(Answering(("::1", "127.0.0.1")))
        assert (await fetched(client, server.url(host="two.example")))[0] == 200
        await client.close()


async def test_an_address_that_swallows_everything_leaves_time_for_the_next() -> None:
    async with raw_server(OK) as server:
        with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
            deaf.bind(("127.0.0.2", server.port))
            deaf.listen(0)
            for filler in (first, second):  # with its queue full, the system answers nothing to who comes later
                filler.setblocking(False)
                filler.connect_ex(deaf.getsockname())
            client = GuardedHttpClient(Answering(("127.0.0.2", "127.0.0.1")))
            assert (await fetched(client, server.url(host="two.example"), timeout=1.0))[0] == 200
            await client.close()


async def test_a_slow_name_service_is_a_timeout() -> None:
    class Stuck:
        async def resolve(self, host: str, port: int) -> tuple[str, ...]:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(HttpTimedOut, match=r"slow\.example"):
        await fetched(GuardedHttpClient(Stuck()), "http://slow.example/", timeout=0.05)


async def test_connections_are_used_again(client: GuardedHttpClient) -> None:
    async with raw_server(OK) as server:
        for _ in range(20):
            await fetched(client, server.url())
        assert server.accepted == 1
        assert len(server.requests) == 20


async def test_a_connection_that_the_server_closed_is_not_used_again(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"ok", "Connection: close"), close=True)) as server:
        for _ in range(3):
            assert (await fetched(client, server.url()))[1] == b"ok"
        assert server.accepted == 3


async def test_no_proxy_of_the_environment_is_used(client: GuardedHttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(OK) as proxy, raw_server(OK) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        await fetched(client, server.url())
        assert (proxy.accepted, server.accepted) == (0, 1)


async def test_a_hundred_requests_at_once_are_answered(client: GuardedHttpClient) -> None:
    async with raw_server(OK) as server:
        answers = await asyncio.gather(*(fetched(client, server.url(f"/{number}")) for number in range(300)))
        assert {(status, body) for status, body, _ in answers} == {(200, b"ok")}
        assert len(server.requests) == 300
        assert server.accepted <= 100


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "write http"),
        ("ftp://a.example/", "write http"),
        ("/relative", "write http"),
        ("", "write http"),
        ("http://", "write http"),
        ("http://user:swordfish@a.example/", "use `auth`"),
        ("http://[::1", "cannot be used"),
        ("http://a.example:99999/", "ports go from 1"),
        ("http://a.example:0/", "ports go from 1"),
        ("http://a.example:x/", "cannot be used"),
        ("http://a.example/\r\nX-Evil: 1", "cannot be used"),
        ("http://a.example\r\n/", "cannot be used"),
    ],
)
async def test_an_unusable_url_is_refused_with_a_reason(client: GuardedHttpClient, url: str, says: str) -> None:
    with pytest.raises(HttpFailed, match=says) as caught:
        await fetched(client, url)
    assert "swordfish" not in str(caught.value)


# --- what it sends ------------------------------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was_given(client: GuardedHttpClient) -> None:
    async with raw_server(OK) as server:
        headers = {"x-one": " 1 ", "x-umlaut": "ü", "user-agent": "mine"}
        await fetched(client, server.url("/a%20b?q=%2F&é=1"), "PUT", headers=headers, content=b"\0\xff")
        (request,) = server.requests
    assert request.line == "PUT /a%20b?q=%2F&%C3%A9=1 HTTP/1.1"
    assert request.body == b"\0\xff"
    assert request.headers["x-one"] == "1"
    assert request.headers["x-umlaut"].encode("latin-1").decode() == "ü"
    assert request.headers["user-agent"] == "mine"
    assert request.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(("name", "value"), [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
async def test_where_a_request_ends_is_not_for_headers_to_say(client: GuardedHttpClient, name: str, value: str) -> None:
    async with raw_server(OK) as server:
        assert (await fetched(client, server.url(), "POST", headers={name: value}, content=b"abc"))[0] == 200
        assert server.requests[0].headers["content-length"] == "3"
        assert "transfer-encoding" not in server.requests[0].headers


@pytest.mark.parametrize("end", ["\n", "\r\nX-Evil: 1", "\0", "\x7f"])
async def test_a_header_value_with_control_characters_is_refused_and_not_repeated(
    client: GuardedHttpClient, end: str
) -> None:
    with pytest.raises(HttpFailed, match="authorization") as caught:
        await fetched(client, "http://a.example/", headers={"authorization": f"Bearer swordfish{end}"})
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "x\r\ny", "x:y", "ü"])
async def test_a_header_name_that_is_none_is_refused(client: GuardedHttpClient, name: str) -> None:
    with pytest.raises(HttpFailed, match="name of a header"):
        await fetched(client, "http://a.example/", headers={name: "1"})


async def test_cookies_of_one_answer_are_not_sent_with_the_next_request(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"", "Set-Cookie: session=swordfish; Path=/"))) as server:
        await fetched(client, server.url())
        await fetched(client, server.url())
        assert all("cookie" not in request.headers for request in server.requests)


async def test_addresses_and_headers_stay_out_of_the_log_at_its_usual_level(
    client: GuardedHttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_server(OK) as server:
        with caplog.at_level(logging.INFO):
            await fetched(client, server.url("/?key=swordfish"), headers={"authorization": "swordfish"})
    assert "swordfish" not in caplog.text


# --- redirects ----------------------------------------------------------------------------------------------------

CREDENTIALS = {"authorization": "a", "cookie": "b", "x-api-key": "c", "proxy-authorization": "d", "x-own-token": "e"}


def redirecting(status: int, location: str) -> Answer:
    """From / to another place, where everything else is."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        moved = answer_of(b"x", f"Location: {location}", status=f"{status} Moved")
        writer.write(moved if request.line.split()[1] == "/" else answer_of(b"there"))

    return answer


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (301, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
        (302, "GET", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "HEAD", "HEAD"),
    ],
)
async def test_a_redirect_changes_the_method_as_the_rfc_says(
    client: GuardedHttpClient, status: int, method: str, then: str
) -> None:
    content = None if method in ("GET", "HEAD") else b"payload"
    async with raw_server(redirecting(status, "/next?x=1#part")) as server:
        headers = {"content-type": "text/plain", **CREDENTIALS}
        await fetched(client, server.url(), method, headers=headers, content=content, max_redirects=1)
        second = server.requests[1]
    assert second.line == f"{then} /next?x=1 HTTP/1.1"
    assert second.body == (b"payload" if then == method and content else b"")
    assert ("content-type" in second.headers) == (then == method)
    assert {name: second.headers[name] for name in CREDENTIALS} == CREDENTIALS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_credential_follows_to_another_origin(client: GuardedHttpClient, host: str) -> None:
    async with raw_server(OK) as other:
        async with raw_server(saying(answer_of(b"", f"Location: {other.url(host=host)}", status="307 Away"))) as server:
            headers = {**CREDENTIALS, "accept": "text/html", "content-type": "text/plain"}
            _, _, url = await fetched(client, server.url(), "POST", headers=headers, content=b"1", max_redirects=1)
        (request,) = other.requests
    assert not CREDENTIALS.keys() & request.headers.keys()
    assert (request.body, request.headers["accept"], request.headers["content-type"]) == (
        b"1",
        "text/html",
        "text/plain",
    )
    assert request.headers["host"] == f"{host}:{other.port}"
    assert url == other.url(host=host)


async def test_a_host_header_does_not_follow_a_redirect(client: GuardedHttpClient) -> None:
    async with raw_server(redirecting(302, "/next")) as server:
        await fetched(client, server.url(), headers={"host": "virtual.example"}, max_redirects=1)
        assert [one.headers["host"] for one in server.requests] == ["virtual.example", f"127.0.0.1:{server.port}"]


async def test_too_many_redirects_fail(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"", "Location: /", status="302 Round"))) as server:
        with pytest.raises(HttpFailed, match="redirects more than 3 times"):
            await fetched(client, server.url("/?secret=swordfish"), max_redirects=3)
        assert len(server.requests) == 4


async def test_a_redirect_is_an_answer_where_none_are_followed(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"see there", "Location: /x", status="302 Found"))) as server:
        assert (await fetched(client, server.url()))[:2] == (302, b"see there")


async def test_followed_redirects_give_their_connections_back(client: GuardedHttpClient) -> None:
    async with raw_server(redirecting(302, "/next")) as server:
        for _ in range(120):  # more than there are connections
            assert (await fetched(client, server.url(), max_redirects=1, timeout=5))[1] == b"there"


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://user:pw@127.0.0.1/", "http://[", "//"]
)
async def test_a_redirect_to_something_else_than_http_fails(client: GuardedHttpClient, location: str) -> None:
    async with raw_server(saying(answer_of(b"", f"Location: {location}", status="302 Found"))) as server:
        with pytest.raises(HttpFailed):
            await fetched(client, server.url(), max_redirects=3)


# --- answers ------------------------------------------------------------------------------------------------------


async def test_headers_have_lower_case_names_and_joined_values(client: GuardedHttpClient) -> None:
    said = answer_of(b"", "X-A: 1", "x-a: 2", "X-Latin: \u00fc")
    async with raw_server(saying(said)) as server, client.send(HttpRequest("GET", server.url())) as answer:
        assert (answer.headers["x-a"], answer.headers["x-latin"]) == ("1, 2", "\u00fc")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_a_broken_answer_is_a_failure_and_no_exception_of_a_library(
    client: GuardedHttpClient, said: bytes
) -> None:
    async with raw_server(saying(said, close=True)) as server:
        with pytest.raises(HttpFailed, match=r"http://127\.0\.0\.1:\d+/: ."):
            await fetched(client, server.url())


async def test_a_chunked_answer_is_read_to_its_end(client: GuardedHttpClient) -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n"
    async with raw_server(saying(*[said[at : at + 1] for at in range(len(said))])) as server:
        assert (await fetched(client, server.url()))[1] == b"hello world"


async def test_a_body_beyond_the_limit_fails_and_closes_the_connection(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"x" * (LIMIT + 1)))) as server:
        with pytest.raises(HttpFailed, match=f"longer than {LIMIT} bytes") as caught:
            await fetched(client, server.url("/?key=swordfish"))
        assert "swordfish" not in str(caught.value)
        await asyncio.wait_for(server.closed.wait(), 60)


async def test_a_body_of_exactly_the_limit_is_read(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"x" * LIMIT))) as server:
        assert len((await fetched(client, server.url()))[1]) == LIMIT


# --- trouble ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_a_silent_server_is_a_timeout(client: GuardedHttpClient, said: bytes) -> None:
    async with raw_server(saying(said)) as server:
        with pytest.raises(HttpTimedOut, match="did not answer in time"):
            await fetched(client, server.url(), timeout=0.1)


async def test_a_closed_port_is_named_as_such(client: GuardedHttpClient) -> None:
    async with raw_server(OK) as server:
        url = server.url("/?key=swordfish")
    with pytest.raises(HttpFailed, match="Connection refused") as caught:
        await fetched(client, url)
    assert "swordfish" not in str(caught.value)


async def test_an_unknown_host_is_named_as_such(client: GuardedHttpClient) -> None:
    with pytest.raises(HttpFailed, match=r"http://nowhere\.invalid/: "):
        await fetched(client, "http://nowhere.invalid/")


async def test_cancelling_a_request_closes_its_connection(client: GuardedHttpClient) -> None:
    async with raw_server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")) as server:
        asking = asyncio.create_task(fetched(client, server.url()))
        await asyncio.wait_for(server.arrived.wait(), 60)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.closed.wait(), 60)
        server.answer = OK
        assert (await fetched(client, server.url()))[1] == b"ok"


async def test_a_refusal_leaves_no_connection_behind() -> None:
    guarded = GuardedHttpClient(AddressPolicy(["localhost"]))
    for _ in range(150):  # more than there are connections
        with pytest.raises(AddressRefused):
            await fetched(guarded, "http://127.0.0.1:1/", timeout=5)
    await guarded.close()


async def test_an_answer_that_is_not_read_gives_its_connection_back(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"x" * 100_000))) as server:
        for _ in range(150):
            async with client.send(HttpRequest("GET", server.url(), timeout=5)) as answer:
                assert answer.status == 200


async def test_closing_the_client_closes_its_connections(client: GuardedHttpClient) -> None:
    async with raw_server(OK) as server:
        await fetched(client, server.url())
        await client.close()
        await asyncio.wait_for(server.closed.wait(), 60)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_file_stays_open(client: GuardedHttpClient) -> None:
    async with raw_server(saying(answer_of(b"ok", "Connection: close"), close=True)) as server:
        await fetched(client, server.url())
        before = open_files()
        for _ in range(50):
            await fetched(client, server.url())
        assert open_files() <= before + 2
