"""`millrace login --oidc`: a browser logs in at the provider, and a code comes back to this command.

By itself if the browser is on this machine: the command listens at a loopback port for as long as it takes (RFC 8252).
Otherwise somebody types the code. It is worth nothing without the verifier, which never leaves the command before.
"""

import base64
import hashlib
import secrets
import sys
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import typer

from millrace.cli.connection import CommandError, Connection
from millrace.cli.output import say

PATIENCE: Final = 300.0
"""Seconds for somebody to log in."""
SILENCE: Final = 5.0
"""Seconds for a browser that has connected to say what it wants."""
DONE: Final = "You are logged in, and can close this window.\n"
NOT_DONE: Final = "You are not logged in; the command line says why.\n"


def tokens_by_provider(connection: Connection, *, browser: bool) -> Any:
    """Raises `CommandError`. `browser`: whether one on this machine is to be opened."""
    shown = connection.get("/auth/oidc")
    if not shown["enabled"]:
        raise CommandError(f"{connection.url} has no login provider; use `millrace login`")
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {"challenge": base64.urlsafe_b64encode(digest).decode().rstrip("=")}
    login_url = str(shown["login_url"])
    if urlsplit(login_url).scheme not in ("http", "https"):
        raise CommandError(f"{connection.url} names a login that is no web address")
    code = _listened(login_url, query) if browser else _typed(login_url, query)
    return connection.post("/auth/oidc/token", {"code": code, "verifier": verifier})


def _typed(login_url: str, query: dict[str, str]) -> str:
    say(f"open this address in a browser and log in:\n  {login_url}?{urlencode(query)}", err=True)
    if sys.stdin.isatty():
        return str(typer.prompt("Code")).strip()
    if code := sys.stdin.readline().strip():
        return code
    raise CommandError("no code came through the pipe")


def _listened(login_url: str, query: dict[str, str]) -> str:
    with _Listener() as listener:
        url = f"{login_url}?{urlencode({**query, 'port': listener.server_port})}"
        say(f"log in with the browser; if none opens, this is the address for one on this machine:\n  {url}", err=True)
        # Some browsers are done only when their window is closed.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        return listener.code()


class _Listener(HTTPServer):
    """Waits at a port of this machine for the browser to bring the code."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: dict[str, str] = {}

    def code(self) -> str:
        until = time.monotonic() + PATIENCE
        while not self.told:
            self.timeout = until - time.monotonic()
            if self.timeout <= 0:
                raise CommandError("nobody has logged in; for a browser on another machine add --no-browser")
            self.handle_request()
        if "code" in self.told:
            return self.told["code"]
        message = self.told.get("message", self.told["error"])
        raise CommandError("".join(character for character in message if character.isprintable())[:500])


class _Handler(BaseHTTPRequestHandler):
    timeout = SILENCE
    server: _Listener

    def do_GET(self) -> None:
        """Browsers ask for more than they are told to, an icon among other things."""
        given = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        answer = DONE if "code" in given else NOT_DONE
        known = bool(given.keys() & {"code", "error"})
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(answer) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(answer.encode())
            self.server.told = given

    def log_message(self, format: str, *arguments: object) -> None:
        """It would be written among what the command says, with the code in it."""
