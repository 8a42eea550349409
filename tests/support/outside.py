"""The outside world of the documents: an HTTP service, a chat, a mail server, a database, programs of the reader's."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4
from venv import EnvBuilder

import asyncpg
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.integration.runners.smtp_kit import Mailhouse, mailhouse
from tests.support.s3_server import KEY_ID, s3_server

ORDERS = [
    {"id": 1, "region": "eu", "total": 20},
    {"id": 2, "region": "us", "total": 35},
    {"id": 3, "region": "eu", "total": 5},
    {"id": 4, "region": "apac", "total": 12},
]
PAGE = 3
"""Orders in an answer."""
TOKEN = "orders-token-1"
PATIENCE = 60.0
"""Seconds after which `/slow` answers all the same."""
PLACES = ("/var/backups", "/var/lib/shop", "/var/lib/millrace", "/srv", "/usr/local/bin")
PROGRAMS = {
    "backup.sh": 'echo "saved to $BACKUP_DIR"; [ "$1" = --all ]',
    "import.sh": "echo imported",
    "warm-cache.sh": "echo warm",
}


@dataclass
class Outside:
    http: HTTPServer
    mail: Mailhouse
    folder: Path
    """Where absolute folders of the documents are."""
    received: list[Request] = field(default_factory=list)
    open: Event = field(default_factory=Event)
    """While this is not set, `/slow` gives no answer."""

    @property
    def names(self) -> Mapping[str, str]:
        """Names in documents, and what they lead to here."""
        hosts = ("api", "files", "chat", "id")
        return {
            **{f"https://{host}.example.com": self.http.url_for("").rstrip("/") for host in hosts},
            **{place: f"{self.folder}{place}" for place in PLACES},
        }

    @property
    def replaced(self) -> Mapping[str, str]:
        """The same for what no output shows again."""
        return {
            "host=mail.example.com": f"host=127.0.0.1 -f port={self.mail.port} -f tls=none",
            "HOST=mail.example.com": "HOST=127.0.0.1",
        }

    @property
    def settings(self) -> Mapping[str, str]:
        """What reaches all that from the reader's machine."""
        return {
            "MILLRACE_HTTP_ALLOWED_TARGETS": "127.0.0.1",
            "MILLRACE_SMTP_HOST": "127.0.0.1",
            "MILLRACE_SMTP_FROM": "millrace@example.com",
            "MILLRACE_SMTP_PORT": str(self.mail.port),
            "MILLRACE_SMTP_TLS": "none",
            "MILLRACE_APPLY_EXAMPLES": "false",  # one of them has a schedule, whose run would be the newest by chance
        }

    def answer(self, request: Request) -> Response:
        """An HTTP service: orders for who has the token, tokens, redirects, and an echo of everything else."""
        self.received.append(request)
        match request.path:
            case "/orders" if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return _json({"error": "who are you?"}, 401)
            case "/orders":
                after = int(request.args.get("after", 0))
                return _json({"orders": [order for order in ORDERS if order["id"] > after][:PAGE]})
            case "/token":
                return _json({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
            case "/old":
                return Response("", 302, {"Location": "/echo"})
            case "/missing":
                return _json({"error": "no such page"}, 404)
            case "/slow":
                return _json({"opened": self.open.wait(PATIENCE)})
            case "/busy":
                return _json({"error": "busy"}, 503)
            case "/orders.csv":
                lines = [f"{order['id']},{order['region']},{order['total']}" for order in ORDERS]
                return Response("\n".join(["id,region,total", *lines, ""]), content_type="text/csv")
        echo = {
            "method": request.method,
            "query": request.args.to_dict(),
            "type": request.headers.get("Content-Type"),
            "body": request.get_data(as_text=True),
            "headers": {name: value for name, value in request.headers.items() if name.startswith(("X-", "Auth"))},
        }
        return _json(echo, 200)


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


@contextmanager
def outside_world(folder: Path) -> Iterator[Outside]:
    for place in PLACES:
        Path(f"{folder}{place}").mkdir(parents=True)
    for name, text in PROGRAMS.items():
        program = Path(f"{folder}/usr/local/bin/{name}")
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    EnvBuilder(symlinks=True).create(f"{folder}/srv/script-env")
    with HTTPServer(host="127.0.0.1", threaded=True) as http, mailhouse() as mail:
        outside = Outside(http, mail, folder)
        outside.open.set()
        http.expect_request(re.compile(".*")).respond_with_handler(outside.answer)
        try:
            yield outside
        finally:
            outside.open.set()


@contextmanager
def warehouse(url: str) -> Iterator[Mapping[str, str]]:
    """An empty database on the PostgreSQL of the tests, and what leads to it where a document names `db.internal`."""
    name = f"millrace_documents_{uuid4().hex}"
    address = urlsplit(url)
    asyncio.run(_execute(url, f"create database {name}"))
    try:
        yield {
            "host=db.internal": f"host={address.hostname} -f port={address.port or 5432}",
            "database=sales": f"database={name}",
            "postgresql://millrace@db.internal:5432/millrace": urlunsplit(address._replace(path=f"/{name}")),
            "user=reader": f"user={address.username}",
            "tls=verify-full": "tls=disable",
        }
    finally:
        asyncio.run(_drop_all(url, name))


def files_in_a_bucket() -> Mapping[str, str]:
    """An empty bucket of the S3 server of the tests, and what leads to it where a document names `s3.internal`."""
    bucket = s3_server().bucket()
    return {
        "s3://millrace-files/": f"s3://{bucket.name}/",
        "MILLRACE_S3_ENDPOINT=https://s3.internal:9000": "MILLRACE_S3_ALLOW_HTTP=true "
        f"MILLRACE_S3_ENDPOINT={bucket.endpoint}",
        "AKIAEXAMPLE": KEY_ID,
        "of-that-key": bucket.secret,
    }


async def _drop_all(url: str, name: str) -> None:
    """The database, and those that a restore has kept of it, under names that begin alike."""
    connection = await asyncpg.connect(url)
    try:
        for (kept,) in await connection.fetch("select datname from pg_database where datname like $1", f"{name[:30]}%"):
            await connection.execute(f'drop database "{kept}" with (force)')
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
