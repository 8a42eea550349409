"""I5: clients that keep the server waiting, and those that open more connections than they need."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.server import PATIENCE, MillraceProcess, until

LIMITS = {
    "MILLRACE_APPLY_EXAMPLES": "false",
    "MILLRACE_HEAD_TIMEOUT": "1",
    "MILLRACE_STALL_TIMEOUT": "1",
    "MILLRACE_MAX_CONNECTIONS": "20",
    "MILLRACE_MAX_BODY_BYTES": "50000000",
}
HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("slow") / "home", **LIMITS) as running:
        yield running


def connected(server: MillraceProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def to_the_end(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionError:
        pass
    return received


def dripping(connection: socket.socket, drop: bytes) -> bytes:
    """What comes until the server closes a connection on which a drop is sent ten times a second."""
    received = b""
    connection.settimeout(0.1)
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        try:
            connection.sendall(drop)
            part = connection.recv(65_536)
            if not part:
                return received
            received += part
        except TimeoutError:
            continue
        except ConnectionError:
            return received
    raise AssertionError("the server goes on waiting")


def post(length: int) -> bytes:
    return b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % length


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(server: MillraceProcess) -> None:
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + b"X-Slow: ")
        received = dripping(connection, b"x")
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"request_timeout" in received
    assert b"MILLRACE_HEAD_TIMEOUT" in received
    assert b"connection: close" in received


@pytest.mark.parametrize("drop", [b"", b"\r\n"], ids=["silent", "empty-lines"])
def test_who_connects_and_says_nothing_is_let_go(server: MillraceProcess, drop: bytes) -> None:
    with closing(connected(server)) as connection:
        received = dripping(connection, drop) if drop else to_the_end(connection)
    assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("begun", "drop"), [(HEAD + b"X-Slow: ", b"x"), (b"", b"\r\n")], ids=["head", "empty-lines"])
def test_a_second_head_has_no_more_time_than_the_first(server: MillraceProcess, begun: bytes, drop: bytes) -> None:
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + b"\r\n" + begun)
        received = dripping(connection, drop)
    first, _, second = received.partition(b'{"status":"ok"}')
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stalls_is_not_waited_for(server: MillraceProcess) -> None:
    with closing(connected(server)) as connection:
        connection.sendall(post(100_000) + b"\r\n{")
        received = dripping(connection, b" ")
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"MILLRACE_STALL_TIMEOUT" in received


def test_the_rest_of_a_body_that_nobody_wants_is_not_waited_for(server: MillraceProcess) -> None:
    """The answer is there before the body; what is left of that keeps no connection open."""
    with closing(connected(server)) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n ")
        assert b"HTTP/1.1 404 " in connection.recv(65_536)
        dripping(connection, b" ")


def test_a_body_that_comes_slowly_but_comes_is_taken(server: MillraceProcess) -> None:
    """It takes longer than a stall may, and longer than a head."""
    body = b'{"email": "a@b.c", "password": "%s"}' % (b"x" * 900)
    body = b" " * (8 * 4_096 - len(body)) + body
    with closing(connected(server)) as connection:
        connection.sendall(post(len(body)) + b"\r\n")
        for begin in range(0, len(body), 4_096):
            time.sleep(0.4)  # what is slow is the client, which is what this is about
            connection.sendall(body[begin : begin + 4_096])
        assert b"HTTP/1.1 401 " in connection.recv(65_536)


def test_who_waits_for_a_sign_to_send_a_body_is_answered(server: MillraceProcess) -> None:
    with closing(connected(server)) as connection:
        connection.sendall(post(2) + b"Expect: 100-continue\r\n\r\n")
        assert b"HTTP/1.1 100 " in connection.recv(65_536)
        connection.sendall(b"{}")
        assert b"HTTP/1.1 422 " in connection.recv(65_536)


def test_who_does_not_read_his_answer_is_let_go(server: MillraceProcess) -> None:
    key, content = server.api_key.encode(), b"x" * 40_000_000
    with server.client() as client:
        sent = client.post("/artifacts", params={"name": "large.bin"}, content=content)
        assert sent.status_code == 201, sent.text
        place = f"/api/v1/artifacts/{sent.json()['id']}/content".encode()
    with closing(connected(server)) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n\r\n" % (place, key))
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
        until(lambda: open_connections(server, connection) == 0)
        assert len(to_the_end(connection)) < len(content)


def open_connections(server: MillraceProcess, connection: socket.socket) -> int:
    """How many sockets the server holds to the other end of this one (0 or 1): `/proc` says which are established."""
    mine = connection.getsockname()[1]
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    wanted = (f":{server.port:04X}", f":{mine:04X}", "01")
    return sum(
        fields[1].endswith(wanted[0]) and fields[2].endswith(wanted[1]) and fields[3] == wanted[2]
        for fields in map(str.split, lines)
    )


def test_a_request_has_so_many_headers(server: MillraceProcess) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(101))
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + many + b"\r\n")
        received = to_the_end(connection)
    assert received.startswith(b"HTTP/1.1 431 ")
    assert b"at most 100 headers" in received
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + many[: many.index(b"X-99")] + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_one_address_cannot_have_all_connections(server: MillraceProcess) -> None:
    with ExitStack() as opened:
        held = [opened.enter_context(closing(connected(server))) for _ in range(10)]
        for connection in held:
            connection.sendall(HEAD + b"\r\n")
            assert b"HTTP/1.1 200 " in connection.recv(65_536)
        refused = opened.enter_context(closing(connected(server)))
        received = to_the_end(refused)
        assert received.startswith(b"HTTP/1.1 503 ")
        assert b"too_many_connections" in received
        elsewhere = socket.create_connection(
            ("127.0.0.1", server.port), timeout=PATIENCE, source_address=("127.0.0.2", 0)
        )
        opened.enter_context(closing(elsewhere))
        elsewhere.sendall(HEAD + b"\r\n")
        assert b"HTTP/1.1 200 " in elsewhere.recv(65_536)
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert b"HTTP/1.1 " in connection.recv(65_536)
