"""D6, for a whole installation: secrets, passwords and credentials are planted in it, everything that can be done with
them is done, and then all that it has ever said or stored is searched for their values."""

import base64
import gzip
import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.support.canaries import found_in
from tests.support.databases import DATABASES, empty_database
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

PLANTED = {
    "secret of the database": 'dät"a/base+canary\\1 x',
    "former value of it": "former-canary/7f3a+9",
    "secret of the environment": "environ&canary=<2>'5'",
    "secret of the folder": "folder canary/3+4%20x",
    "password of a connection": "connection-canary-4/5",
    "token of a connection": "bearer-canary-5-token",
    "password of a user": "login-canary-6-password",
    "mistyped password": "mistyped-canary-6-passw0rd",
}
PRINTS = r"""
printf '%s\n' "$A" "$B" "$C"; printf '%s' "$A$B" | base64 -w0; echo; printf 'me:%s' "$C" | base64 -w0; echo
printf '%s' "$A" | od -An -tx1 | tr -d ' \n'; echo "on stderr: $A" >&2; printf '{"a": "%s"}\n' "$B"
"""
SPELLS = """
import json, sys, urllib.parse
for value in input:
    print(json.dumps(value), json.dumps(json.dumps([value])), urllib.parse.quote(value, safe=""), repr([value]))
    print("".join(f"%{byte:02x}" for byte in value.encode()), "".join(f"\\\\u{ord(c):04X}" for c in value))
    print(urllib.parse.urlencode({"k": value}), file=sys.stderr)
result = {input[0]: input[1:], "deep": [{"x": f"a{input[1]}b"}]}
"""
A, B, C = "{{ secrets.stored }}", "{{ secrets.of_environment }}", "{{ secrets.of_folder }}"
ALL = [A, B, C]
EVENT_STREAM = "text/event-stream"
LISTENS = 2.0
"""Seconds without a word after which a stream has said all that it had to say."""
LISTENERS = 8
"""At a time, since most of it is waiting."""
ENV = {"A": A, "B": B, "C": C}


def workflows(echo: str, database: str) -> Iterator[dict[str, Any]]:
    """What a careless author does with secrets, each with how its run must end."""
    request = {"url": f"{echo}/echo", "method": "POST", "headers": {"X-A": "{{ secrets.header }}"}, "query": {"b": B},
               "body": {"json": {C: ALL}}, "auth": {"type": "basic", "username": "me", "password": A}}  # fmt: skip
    tasks: dict[str, tuple[str, dict[str, Any]]] = {
        "prints": ("shell", {"command": PRINTS, "env": ENV}),
        "fails": ("shell", {"command": 'echo "no $A" >&2; echo "$B"; exit 3', "env": ENV}),
        "spells": ("script", {"language": "python", "source": SPELLS, "input": ALL}),
        "raises": ("script", {"language": "python", "source": "raise ValueError(input)", "input": ALL}),
        "transforms": ("transform", {"output": {"all": ALL, "text": f"<{A}|{B}|{C}>"}}),
        "logs": ("log", {"message": f"{A} {B} {C}"}),
        "asks": ("http", request),
        "is-refused": ("http", {**request, "expected_status": [418]}),
        "finds-nobody": ("http", {"url": f"http://127.0.0.1:1/{B}?c={C}"}),
        "signs-in": ("http", {"connection": "bearer", "url": "/echo"}),
        "queries": ("database", {"connection_string": database, "sql": "select :a, :b",
                                 "parameters": {"a": A, "b": B}}),
        "queries-badly": ("database", {"connection": "warehouse", "sql": "select 1"}),
        "casts-badly": ("database", {"connection_string": database, "sql": "select cast(:a as integer) from none",
                                     "parameters": {"a": A}}),
        "tells": ("notify", {"url": f"{echo}/echo?k={B}", "text": A, "title": C}),
        "publishes": ("publish_event", {"type": "canary.told", "subject": A, "data": {"b": B, C: [A]}}),
    }  # fmt: skip
    for name, (kind, config) in tasks.items():
        yield {"name": name, "tasks": [{"id": "a", "type": kind, "config": config}]}
    hook = {"id": "hook", "type": "webhook", "config": {"path": "canary", "authentication": {
        "type": "api_key", "value": "{{ secrets.header }}"}}}  # fmt: skip
    yield {"name": "hooked", "tasks": [{"id": "a", "type": "noop"}], "triggers": [hook]}


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str | None]:
    async with empty_database(request.param) as url:
        yield url


@pytest.fixture
def echo(httpserver: HTTPServer) -> str:
    """Says whatever it was told, the credentials included."""

    def answer(request: Request) -> Response:
        said = "\n".join([request.url, *map(str, request.headers.items()), request.get_data(as_text=True)])
        return Response(said, 200, {"X-Said": base64.b64encode(said.encode()).decode()}, mimetype="text/plain")

    httpserver.expect_request("/echo").respond_with_handler(answer)
    return httpserver.url_for("").rstrip("/")


def secrets_folder(place: Path) -> Path:
    """As Kubernetes mounts one: each file is a link into a folder that a link chooses."""
    (place / "..2026_06_01").mkdir(parents=True)
    (place / "..data").symlink_to("..2026_06_01")
    (place / "..2026_06_01" / "of_folder").write_text(PLANTED["secret of the folder"] + "\n")
    (place / "of_folder").symlink_to("..data/of_folder")
    return place


@contextmanager
def planted(home: Path, database_url: str | None, echo: str) -> Iterator[tuple[MillraceProcess, dict[str, str]]]:
    settings = {} if database_url is None else {"MILLRACE_DATABASE_URL": database_url}
    server = MillraceProcess(
        home,
        MILLRACE_SECRET_OF_ENVIRONMENT=PLANTED["secret of the environment"],
        MILLRACE_SECRET_HEADER="header-canary-8-value",
        MILLRACE_SECRETS_DIR=str(secrets_folder(home.parent / "mounted")),
        MILLRACE_HTTP_ALLOWED_TARGETS="127.0.0.0/8,localhost",
        MILLRACE_SQLITE_ALLOWED_DIRS=str(home.parent),
        MILLRACE_LOG_LEVEL="debug",
        **settings,
    )
    with server, server.client() as api:
        values = {**PLANTED, "secret of a header": "header-canary-8-value", "first API key": server.api_key.strip()}
        for value in ("former value of it", "secret of the database"):
            _ok(api.put("/secrets/stored", json={"value": PLANTED[value]}))
        warehouse = {"host": "127.0.0.1", "port": 1, "database": "x", "user": "me", "tls": "disable",
                     "password": PLANTED["password of a connection"]}  # fmt: skip
        _ok(api.put("/connections/warehouse", json={"type": "postgresql", "config": warehouse}))
        bearer = {"url": echo, "auth": {"type": "bearer", "token": PLANTED["token of a connection"]}}
        _ok(api.put("/connections/bearer", json={"type": "http", "config": bearer}))
        yield server, values


def _ok(response: httpx2.Response) -> Any:
    assert response.is_success, response.text
    return response.json() if response.content else None


def logged_in(server: MillraceProcess, api: httpx2.Client) -> Iterator[tuple[str, str]]:
    """Names and values of all credentials that people and programs come by."""
    yield "API key", _ok(api.post("/api-keys", json={"name": "canary"}))["key"]
    password = PLANTED["password of a user"]
    setup = {"setup_key": server.api_key, "email": "ada@example.com", "name": "Ada", "password": password}
    _ok(api.post("/auth/setup", json=setup))
    with httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False) as browser:
        login = {"email": "ada@example.com", "password": password}
        assert browser.post("/auth/login", json={**login, "password": PLANTED["mistyped password"]}).status_code == 401
        _ok(browser.post("/auth/login", json=login))
        for cookie in browser.cookies.jar:
            yield f"cookie {cookie.name}", str(cookie.value)
        form = {"grant_type": "password", "username": "ada@example.com", "password": password}
        tokens = _ok(browser.post("/auth/token", data=form))
        yield "first refresh token", tokens["refresh_token"]
        again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        tokens = _ok(browser.post("/auth/token", data=again))
        yield "refresh token", tokens["refresh_token"]
        yield "access token", tokens["access_token"]
        assert browser.post("/auth/token", data=again).status_code == 400
        assert browser.get("/runs", headers={"Authorization": f"Bearer {tokens['refresh_token']}"}).status_code == 401
    user = {"name": "Bob", "email": "bob@example.com", "role": "viewer"}
    made = _ok(api.post("/users", json=user))
    yield from ((name, value) for name, value in made.items() if "token" in name and isinstance(value, str))


def driven(server: MillraceProcess, api: httpx2.Client, echo: str) -> dict[str, str]:
    """Do all of it; answers names of things for the paths of the API."""
    folder = server.home.parent
    with closing(sqlite3.connect(folder / "shop.db")):
        names: dict[str, str] = {}
    for definition in workflows(echo, f"sqlite:///{folder}/shop.db"):
        workflow = create_workflow(api, definition)
        names[workflow["name"]] = workflow["id"]
        if definition["name"] == "hooked":
            continue
        run = _ok(api.post(f"/workflows/{workflow['id']}/execute", json={}))
        wait_finished(api, run["id"])
        names[f"run of {workflow['name']}"] = run["id"]
        _ok(api.post(f"/workflows/{workflow['id']}/dry-run", json={}))
    for value, status in (("header-canary-8-value", True), ("header-canary-8-valu", False)):
        sent = httpx2.post(f"{server.url}/webhook/canary", json={}, headers={"X-API-Key": value}, trust_env=False)
        assert sent.is_success is status, sent.text
    for name in ("warehouse", "bearer"):
        _ok(api.post(f"/connections/{name}/test"))
    _ok(api.post("/secrets/stored/rollback", json={"version": 1}))
    _ok(api.post("/secrets/rotate-key"))
    for body in ({"value": [PLANTED["secret of the database"]]}, {"valeu": PLANTED["secret of the database"]}):
        assert api.put("/secrets/other", json=body).status_code == 422
    return names


def answers(server: MillraceProcess, api: httpx2.Client, names: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Everything that can be read by the API: every GET of it, for every run and workflow there is."""
    document = _ok(api.get(f"{server.url}/openapi.json"))
    runs = [value for name, value in names.items() if name.startswith("run of ")]
    flows = [value for name, value in names.items() if not name.startswith("run of ")]
    things = {"run": runs, "workflow": flows, "task": ["a"], "version": ["1"], "secret": ["stored"]}
    for kind in ("trigger", "webhook", "artifact", "event", "user", "key", "agent", "backfill"):
        path = {"key": "api-keys"}.get(kind, f"{kind}s")
        listed = api.get(f"/{path}")
        things[kind] = [item["id"] for item in listed.json()["items"]] if listed.is_success else []
    templates = [path for path, operations in document["paths"].items() if "get" in operations]
    paths = [path for one in templates if not one.endswith("/db/backup") for path in _filled(server.url + one, things)]
    yield from (_answer(api, path, "*/*") for path in paths if not path.endswith("/stream"))
    streams = [path for path in paths if path.endswith(("/stream", "/events", "/logs"))]
    with ThreadPoolExecutor(LISTENERS) as pool:
        yield from pool.map(lambda path: _answer(api, path, EVENT_STREAM), streams)


def _filled(path: str, things: dict[str, list[str]]) -> Iterator[str]:
    head, brace, rest = path.partition("{")
    if not brace:
        yield path
        return
    name, _, rest = rest.partition("}")
    kind = "secret" if name == "name" and "/secrets" in head else name.partition(":")[0]
    values = ["warehouse", "bearer"] if name == "name" and "/connections" in head else things.get(kind, [])
    for value in values or ["none"]:
        yield from _filled(f"{head}{value}{rest}", things)


def _answer(api: httpx2.Client, path: str, accept: str) -> tuple[str, bytes]:
    content = b""
    try:
        with api.stream("GET", path, headers={"Accept": accept}, timeout=LISTENS) as response:
            for part in response.iter_bytes():
                content += part
    except httpx2.TimeoutException:
        assert accept == EVENT_STREAM, path  # it goes on for as long as somebody listens
    return f"GET {path} as {accept}", content


def commands(server: MillraceProcess, names: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    shown: list[list[str]] = [
        ["doctor"], ["secrets", "list"], ["secrets", "versions", "stored"], ["connections", "show", "warehouse"],
        *(["show", run] for name, run in names.items() if name.startswith("run of ")),
        *(["logs", run] for name, run in names.items() if name.startswith("run of ")),
    ]  # fmt: skip
    for arguments in shown:
        done = server.millrace(*arguments, check=False)
        yield f"millrace {' '.join(arguments)}", (done.stdout + done.stderr).encode()


def exported(server: MillraceProcess) -> Iterator[tuple[str, bytes]]:
    """The definitions as they are carried to other installations: in files, and on the screen."""
    folder = server.home.parent / "exported"
    done = server.millrace("export", "--all", "--output", str(folder))
    yield "millrace export --all", (done.stdout + done.stderr).encode()
    files = sorted(folder.iterdir())
    assert {"prints.yaml", "hooked.yaml", "asks.yaml"} <= {file.name for file in files}
    yield from ((str(file), file.read_bytes()) for file in files)
    for arguments in (["export", "prints"], ["export", "hooked", "--json"]):
        done = server.millrace(*arguments)
        assert "secrets." in done.stdout
        yield f"millrace {' '.join(arguments)}", done.stdout.encode()


def archived(server: MillraceProcess, api: httpx2.Client, names: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """What is left of the runs when they are in the archive alone: its objects, unpacked, and all that reads them."""
    runs = {name.removeprefix("run of "): run for name, run in names.items() if name.startswith("run of ")}
    for workflow in runs:
        _ok(api.patch(f"/workflows/{workflow}", json={"retention": {"runs": "1ms", "archive": True}}))
    _ok(api.post("/retention/run"))
    until(lambda: all(api.get(f"/runs/{run}").status_code == 404 for run in runs.values()))
    objects = sorted((server.home / "artifacts").rglob("*.jsonl.gz"))
    unpacked = {str(place): gzip.decompress(place.read_bytes()) for place in objects}
    whole = b"".join(unpacked.values())
    assert all(run.encode() in whole for run in runs.values())
    yield from unpacked.items()
    for run in runs.values():
        for path in (f"/archive/runs/{run}", f"/archive/runs/{run}/lines", f"/archive/runs/{run}/lines?family=true"):
            answered = api.get(path)
            assert answered.is_success, answered.text
            yield f"GET {path}", answered.content
        for command in ("show", "get"):
            done = server.millrace("archive", command, run)
            yield f"millrace archive {command} {run}", (done.stdout + done.stderr).encode()


async def stored(server: MillraceProcess, database_url: str | None) -> dict[str, bytes]:
    """What is on the disk: the files of the home but those of keys, and each table of a server."""
    files = [place for place in server.home.rglob("*") if place.is_file()]
    found = {str(place): place.read_bytes() for place in files if place.name not in ("api-key", "encryption-key")}
    if database_url is None:
        return found
    connection = await asyncpg.connect(database_url)
    try:
        for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'"):
            rows = await connection.fetch(f'select t::text as said from "{row["tablename"]}" t')  # noqa: S608
            found[f"table {row['tablename']}"] = "\n".join(one["said"] for one in rows).encode()
    finally:
        await connection.close()
    return found


async def test_nothing_that_was_planted_comes_out(tmp_path: Path, database_url: str | None, echo: str) -> None:
    with planted(tmp_path / "home", database_url, echo) as (server, values), server.client() as api:
        names = driven(server, api, echo)
        values |= dict(logged_in(server, api))
        said = dict(answers(server, api, names))
        assert len(said) > 100
        with api.stream("GET", "/db/backup") as backup:
            said["the backup"] = b"".join(backup.iter_bytes())
        assert len(said["the backup"]) > 10_000
        masked = b"".join(content for name, content in said.items() if "/api/v1/runs/" in name)
        assert masked.count(b"***") > 50, "the tasks have not printed what they were given"
        if database_url is None:  # the command line prints what the API answers, wherever that is stored
            said |= dict(commands(server, names))
            said |= dict(exported(server))
        kept = dict(archived(server, api, names))
        assert b"".join(kept.values()).count(b"***") > 50, "what the tasks have printed was not archived"
        said |= kept
        said |= await stored(server, database_url)
        if database_url is None:
            assert any(name.endswith("-wal") for name in said)
        until(lambda: server.log.read_bytes().count(b"\n") > 10)
        # The first key is shown once, to whoever starts an installation for the first time.
        said["log of the process"] = server.log.read_bytes().replace(server.api_key.strip().encode(), b"", 1)
        leaks = {name: leaked for name, content in said.items() if (leaked := found_in(content, values))}
        assert not leaks, "\n".join(f"{name}: {', '.join(leaked)}" for name, leaked in leaks.items())


def test_the_search_finds_what_it_looks_for() -> None:
    value = PLANTED["secret of the database"]
    assert found_in(f"before {value} behind".encode(), PLANTED) == ["secret of the database"]
    assert found_in(base64.b64encode(f"me:{value}".encode()), PLANTED) == ["secret of the database"]
    assert found_in(b"nothing", PLANTED) == []
