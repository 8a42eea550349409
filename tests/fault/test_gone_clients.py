"""What takes long for a client ends when the client goes. (The doctor's deep round: see test_doctor.py.)"""

import socket
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess

PATIENCE_SECONDS = 15.0
"""Less than a test of a connection waits for an answer."""


@pytest.fixture
def silent() -> socket.socket:
    """A server that takes connections and never says a word."""
    return socket.create_server(("127.0.0.1", 0))


def test_the_test_of_a_connection_ends_when_its_client_goes(tmp_path: Path, silent: socket.socket) -> None:
    settings = {"MILLRACE_APPLY_EXAMPLES": "false", "MILLRACE_HTTP_ALLOWED_TARGETS": "127.0.0.1"}
    with silent, MillraceProcess(tmp_path / "home", **settings) as server, server.client() as client:
        config = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        set_up = client.put("/connections/silent", json={"type": "http", "config": config})
        assert set_up.status_code == 201, set_up.text
        key = (server.home / "api-key").read_text().strip()
        asked = f"POST /api/v1/connections/silent/test HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n"
        silent.settimeout(PATIENCE_SECONDS)
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(asked.encode())
            tested, _ = silent.accept()
        with tested:
            tested.settimeout(PATIENCE_SECONDS)
            while tested.recv(4096):
                pass
