"""HTTP below the requests: what a connection may send, and what of it is kept."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("protocol") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        yield running


def exchange(server: MillraceProcess, sent: bytes, answers: int) -> bytes:
    """What came back until there were so many answers, or the server closed the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        received = b""
        while received.count(b"HTTP/1.1 ") < answers or b"\r\n\r\n" not in received.rpartition(b"HTTP/1.1 ")[2]:
            part = connection.recv(65_536)
            if not part:
                break
            received += part
        return received


def post(body: bytes) -> bytes:
    head = b"POST /api/v1/workflows HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def test_large_requests_sent_at_once_are_each_answered(server: MillraceProcess) -> None:
    """Together they are far beyond what a head may have, and the beginning of a third head comes in the same piece."""
    sent = post(b" " * 50_000) + post(b" " * 50_000) + b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Begun: "
    assert exchange(server, sent, 2).count(b"HTTP/1.1 401 ") == 2
    assert exchange(server, sent + b"y\r\n\r\n", 3).count(b"HTTP/1.1 200 ") == 1


def test_trailers_are_no_headers_and_have_an_end(server: MillraceProcess) -> None:
    chunked = (
        b"POST /api/v1/workflows HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    )
    key = (Path(server.home) / "api-key").read_bytes().strip()
    assert b"HTTP/1.1 401 " in exchange(server, chunked + b"X-API-Key: " + key + b"\r\n\r\n", 1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(chunked)
        assert b"HTTP/1.1 401 " in connection.recv(65_536)
        assert is_ended(connection, b"x: v\r\n" * 10_000)


def is_ended(connection: socket.socket, line: bytes) -> bool:
    """Whether the server closes a connection on which lines are sent without end."""
    try:
        for _ in range(1000):
            connection.sendall(line)
    except OSError:
        return True
    return False
