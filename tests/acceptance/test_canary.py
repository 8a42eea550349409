"""D6: secrets are planted wherever they can be, used by every kind of task, and then looked for in everything there is.

What is searched follows from the list of routes: a new route is searched the day it is added. The forms that are looked
for are written down here again, so that the masker is not its own judge.
"""

import base64
import json
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import httpx2
import pytest

from tests.support.server import MillraceProcess, create_workflow, free_port, wait_finished

CANARIES = {
    "environment": 'env-"Kanarienvogel" & co/7f3a+9=',
    "folder": "folder canary: 4%b1<c2>d",
    "database": "dätabase\\canary 'e5f6' 🐤",
    "lines": "first line of canary a9b8\nsecond line of canary c7d6\n",
    "number": "77350914426",
    "rotated": "canary of before, 0a1b2c3d4e",
    "connection": "p@ss/canary:%41#word",
    "token": "tok_canary_5e6f7a8b9c0d",
    "mail": "mail-canary-1a2b3c4d5e",
    "webhook": "/services/T0CANARY/B0CANARY/XyZ0123456789",
    "encryption key": base64.b64encode(bytes(range(7, 39))).decode(),
}
NEVER_USED = {"mail", "encryption key"}

YEARLY = {"type": "cron", "config": {"expression": "0 0 1 1 *", "catch_up": "none"}}

SCRIPT = """
import base64, json, sys, urllib.parse
value = input["value"]
print("raw", value)
print("base64", base64.b64encode(value.encode()).decode())
print("login", base64.b64encode(("me:" + value).encode()).decode())
print("url", urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
print("hex", value.encode().hex())
print("json", json.dumps({"value": value}), file=sys.stderr)
raise RuntimeError("cannot use " + value)
"""


def forms(value: str) -> dict[str, bytes]:
    """Each form in which somebody could read the value, without what depends on its surroundings."""
    raw = value.strip().encode()
    found = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "url": quote(raw, safe="").encode(),
        "path": quote(raw).encode(),
        "form": quote_plus(raw).encode(),
        "json": json.dumps(value.strip())[1:-1].encode(),
        "read json": json.dumps(value.strip(), ensure_ascii=False)[1:-1].encode(),
        "json in json": json.dumps(json.dumps(value.strip())[1:-1])[1:-1].encode(),
    }
    for offset in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            text = encode(b"\0" * offset + raw + b"\0" * 3)
            found[f"{name} {offset}"] = text[-(-8 * offset // 6) : 8 * (offset + len(raw)) // 6]
    for number, line in enumerate(value.splitlines()):
        found[f"line {number}"] = line.encode()
    return found


FORMS = {f"{name} ({form})": text for name, value in CANARIES.items() for form, text in forms(value).items()}


class Findings:
    """Where which canary was seen. Outputs are only counted until one of them sings."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.searched: dict[str, int] = {}

    def search(self, place: str, content: bytes) -> None:
        self.searched[place] = len(content)
        self.seen += [f"{place}: {name}" for name, text in FORMS.items() if text in content]


class Echo(BaseHTTPRequestHandler):
    """Answers what it was sent, in every part of the answer, as a careless server does."""

    heard: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        said = f"{self.path} {self.headers.get('authorization', '')}"
        self.heard.append(said)
        body = json.dumps({"you": said, "quoted": quote(said)}).encode()
        self.send_response(500 if "fail" in self.path else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-You-Sent", said)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def secret(name: str) -> str:
    return f"{{{{ secrets.{name} }}}}"


def leaking_tasks(echo: str) -> list[dict[str, Any]]:
    """Work that spills secrets by every way out that a task has."""
    tasks: list[dict[str, Any]] = []
    for name in ("environment", "folder", "database", "lines", "number"):
        value = secret(name)
        shell = (
            'printf "%s\\n" "$V"; printf %s "$V" | base64; printf "%s\\n" "$V" >&2; echo "{\\"v\\": \\"$V\\"}"; exit 3'
        )
        tasks += [
            {"id": f"log_{name}", "type": "log", "config": {"message": f"using {value}", "level": "warning"}},
            {"id": f"copy_{name}", "type": "transform", "config": {"output": {"k": [value, f"in {value}"]}}},
            {"id": f"shell_{name}", "type": "shell", "config": {"command": shell, "env": {"V": value}}},
            {"id": f"list_{name}", "type": "shell", "config": {"command": ["echo", value]}},
            {"id": f"gone_{name}", "type": "shell", "config": {"command": [f"/nowhere/{value}"]}},
            {
                "id": f"script_{name}",
                "type": "script",
                "config": {"language": "python", "source": SCRIPT, "input": {"value": value}},
            },
            {
                "id": f"http_{name}",
                "type": "http",
                "config": {
                    "url": f"{echo}/fail",
                    "query": {"q": value},
                    "auth": {"type": "basic", "username": "me", "password": value},
                },
            },
            {
                "id": f"sql_{name}",
                "type": "database",
                "config": {
                    "connection_string": "sqlite:///:memory:",
                    "sql": "select :v as v",
                    "parameters": {"v": value},
                },
            },
            {"id": f"bad_{name}", "type": "http", "config": {"url": value}},
        ]
    tasks += [
        {"id": "dead", "type": "database", "config": {"connection_string": secret("dead"), "sql": "select 1"}},
        {"id": "warehouse", "type": "database", "config": {"connection": "warehouse", "sql": "select 1"}},
        {"id": "api", "type": "http", "config": {"connection": "api", "url": "/orders"}},
        {"id": "api_fails", "type": "http", "config": {"connection": "api", "url": "/fail"}},
        {"id": "hook", "type": "http", "config": {"connection": "hook", "method": "POST"}},
        {"id": "notify", "type": "notify", "config": {"connection": "hook", "text": "hello"}},
        {
            "id": "mail",
            "type": "email",
            "config": {"connection": "mail", "to": "a@example.com", "subject": "s", "text": "t"},
        },
    ]
    tasks += [
        {"id": "file", "type": "shell", "config": {"command": "echo hello > a.txt", "outputs": {"a": "a.txt"}}},
        {"id": "event", "type": "publish_event", "config": {"type": "told", "data": {"it": secret("database")}}},
    ]
    return [{**task, "depends_on": [], "allow_failure": True} for task in tasks]


GIVEN = ("environment", "folder", "database", "lines", "number", "token")
"""Secrets that a careless caller gives to a run, as its input and its correlation id."""

GIVEN_BACK = {
    "name": "given back",
    "tasks": [{"id": "same", "type": "transform", "config": {"output": "{{ size(input.first) }}"}}],
    "output": {"all": "{{ input }}", "first": "{{ input.first }}"},
}
TAKES_NUMBERS = {
    "name": "takes numbers",
    "input": {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
    "tasks": [{"id": "nothing", "type": "noop"}],
}


def give(client: httpx2.Client, findings: Findings) -> None:
    """Start runs with the values themselves. The first is real to the run: its task counts the letters."""
    create_workflow(client, GIVEN_BACK)
    create_workflow(client, TAKES_NUMBERS)
    for name in GIVEN:
        value = CANARIES[name]
        body = {"input": {"first": value, value: [value, {"in": f"a {value} b"}]}, "correlation_id": value[:100]}
        response = client.post("/workflows/given-back/execute", json=body)
        findings.search(f"execute with {name}", response.content)
        run = wait_finished(client, response.json()["id"])
        assert run["status"] == "completed", run["error"]
        assert client.get(f"/runs/{run['id']}/tasks/same").json()["output"] == len(value)
        response = client.post(f"/runs/{run['id']}/rerun", json={})
        findings.search(f"rerun with {name}", response.content)
        assert wait_finished(client, response.json()["id"])["status"] == "completed"
        for given in ({"n": value}, {"n": 1, value: 1}, {"n": [{"x": f"{value} and more"}]}):
            response = client.post("/workflows/takes-numbers/execute", json={"input": given})
            assert response.status_code == 422, response.text
            findings.search(f"refused execute with {name}", response.content)


def plant(client: httpx2.Client, echo: str, findings: Findings) -> None:
    """Everything that is set by the API; the answers are searched as well."""

    def put(path: str, body: dict[str, Any]) -> None:
        response = client.put(path, json=body)
        assert response.status_code in (200, 201), response.text
        findings.search(f"PUT {path}", response.content)

    for name in ("rotated", "database", "lines", "number"):
        put(f"/secrets/{name}", {"value": CANARIES[name], "description": "a canary"})
    put("/secrets/rotated", {"value": "something else altogether"})
    dead = f"postgresql://me:{quote(CANARIES['connection'], safe='')}@127.0.0.1:{free_port()}/db"
    put("/secrets/dead", {"value": dead})
    server = {"host": "127.0.0.1", "port": free_port(), "user": "me", "password": CANARIES["connection"]}
    put("/connections/warehouse", {"type": "postgresql", "config": {**server, "database": "db"}})
    put("/connections/mail", {"type": "smtp", "config": {**server, "from": "me@example.com"}})
    bearer = {"type": "bearer", "token": CANARIES["token"]}
    put("/connections/api", {"type": "http", "config": {"url": f"{echo}/v1", "auth": bearer}})
    put("/connections/hook", {"type": "http", "config": {"webhook_url": f"{echo}{CANARIES['webhook']}"}})
    refused = {
        "/secrets/database": {"value": CANARIES["database"], "more": CANARIES["database"]},
        "/secrets/not-a-name": {"value": CANARIES["database"]},
        "/connections/mail": {"type": "smtp", "config": {**server, "host": CANARIES["connection"]}},
        "/connections/hook": {"type": "http", "config": {"url": CANARIES["webhook"]}},
        "/connections/api": {"type": "http", "config": {"auth": bearer}},
    }
    for path, body in refused.items():
        response = client.put(path, json=body)
        assert response.status_code == 422, response.text
        findings.search(f"refused PUT {path}", response.content)
    for name in ("warehouse", "mail", "api", "hook"):
        response = client.post(f"/connections/{name}/test", json={})
        assert response.status_code == 200, response.text
        findings.search(f"POST /connections/{name}/test", response.content)


# --- searching --------------------------------------------------------------------------------------------------------


def search_routes(server: MillraceProcess, client: httpx2.Client, findings: Findings, but: str) -> None:
    document = client.get(f"{server.url}/openapi.json").json()
    findings.search("GET /openapi.json", json.dumps(document).encode())
    for template, item in sorted(document["paths"].items()):
        if "get" not in item or template.endswith(but):
            continue
        query = {"after": "0"} if template.endswith("/stream") else {}
        for path in filled(client, template.removeprefix("/api/v1")):
            url = path if template.startswith("/api/v1") else f"{server.url}{path}"
            findings.search(f"GET {path}", body_of(client, url, query))
    for path in [path for path in findings.searched if path.endswith(("/events", "/logs")) and "/runs/" in path]:
        findings.search(f"{path}?follow", body_of(client, path.removeprefix("GET "), {"follow": "true"}))


def filled(client: httpx2.Client, template: str) -> list[str]:
    """The template with ids and names in it that the list before each parameter answers; every one of the first few."""
    paths = [""]
    for part in template.strip("/").split("/"):
        if not part.startswith("{"):
            paths = [f"{path}/{part}" for path in paths]
        else:
            paths = [f"{path}/{name}" for path in paths for name in names_below(client, path, part.strip("{}"))]
    return paths


def names_below(client: httpx2.Client, path: str, parameter: str) -> list[str]:
    """What may stand in a parameter's place: as the list says, or `nothing`, whose answer is searched, too."""
    response = client.get(path)
    items = response.json().get("items", []) if response.status_code == 200 else []
    keys = (parameter.removesuffix(":path"), "id", "path", "number", "name")
    names = [str(item[key]) for item in items for key in keys if isinstance(item.get(key), str | int)][:100]
    return [quote(name, safe="") for name in dict.fromkeys(names)] or ["nothing"]


def body_of(client: httpx2.Client, url: str, query: dict[str, str]) -> bytes:
    """The headers and the whole body; of a stream what comes before it falls silent."""
    parts: list[bytes] = []
    try:
        with client.stream("GET", url, params=query, timeout=httpx2.Timeout(30, read=2 if query else 30)) as response:
            parts.append(repr(list(response.headers.items())).encode())
            assert response.status_code < 500, f"{url}: {response.status_code}"
            parts += response.iter_bytes()
    except httpx2.ReadTimeout:
        assert query, f"{url} did not answer"
    return b"".join(parts)


def search_commands(server: MillraceProcess, run_id: str, findings: Findings) -> None:
    commands = (
        "runs", "runs --json", f"show {run_id}", f"logs {run_id}", f"events {run_id}", f"explain {run_id}",
        "doctor", "doctor --json", "secrets list", "secrets list --json",
        "connections list", "connections show warehouse",
        "connections test warehouse", "connections test api", "connections test hook", "triggers list", "artifacts",
    )  # fmt: skip
    for command in commands:
        done = server.millrace(*shlex.split(command), check=False)
        findings.search(f"millrace {command}", (done.stdout + done.stderr).encode())


def search_files(server: MillraceProcess, findings: Findings) -> None:
    """Every file of the installation but the key's own, and what the process wrote and was called with."""
    for place in sorted(server.home.rglob("*")):
        if place.is_file():
            findings.search(f"file {place.relative_to(server.home)}", place.read_bytes())
    findings.search("stdout and stderr", server.log.read_bytes())
    command_line = Path(f"/proc/{server.pid}/cmdline")
    if command_line.exists():
        findings.search("command line", command_line.read_bytes())


@pytest.mark.timeout(600)
def test_no_planted_secret_is_found_in_anything_that_comes_out(tmp_path: Path, echo: str) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "folder").write_text(CANARIES["folder"] + "\n")
    server = MillraceProcess(
        tmp_path / "home",
        MILLRACE_SECRET_ENVIRONMENT=CANARIES["environment"],
        MILLRACE_SECRETS_DIR=str(folder),
        MILLRACE_ENCRYPTION_KEY=CANARIES["encryption key"],
        MILLRACE_SMTP_HOST="127.0.0.1",
        MILLRACE_SMTP_PASSWORD=CANARIES["mail"],
        MILLRACE_HTTP_ALLOWED_TARGETS="127.0.0.1",
        MILLRACE_LOG_LEVEL="debug",
        MILLRACE_APPLY_EXAMPLES="false",
    )
    findings = Findings()
    with server, server.client() as client:
        plant(client, echo, findings)
        create_workflow(client, {"name": "canaries", "tasks": leaking_tasks(echo), "triggers": [YEARLY]})
        run_id = client.post("/workflows/canaries/execute", json={}).json()["id"]
        run = wait_finished(client, run_id, within=120)
        assert run["status"] == "completed", run["error"]
        _assert_used(client, run_id)
        search_files(server, findings)
        findings.search("GET /db/backup", body_of(client, "/db/backup", {}))
        give(client, findings)  # runs work with what they were given, so the database has it from here on
        search_routes(server, client, findings, but="/db/backup")
        search_commands(server, run_id, findings)
        server.millrace("secrets", "set", "by_command", input=CANARIES["database"])
        findings.search("secrets set", server.millrace("secrets", "delete", "by_command", "--yes").stdout.encode())
    findings.search("stdout and stderr at the end", server.log.read_bytes())
    assert not findings.seen, "\n".join(findings.seen[:40])
    searched = {place for place, size in findings.searched.items() if size > 0}
    for part in ("GET /runs/", "/logs?follow", "/stream", "/tasks/", "GET /settings", "GET /db/backup", "millrace.db"):
        assert any(part in place for place in searched), f"nothing with {part} was searched: {sorted(searched)}"


def _assert_used(client: httpx2.Client, run_id: str) -> None:
    """The tasks have had the real values: what was masked is not something else."""
    heard = "\n".join(Echo.heard)
    assert CANARIES["token"] in heard
    assert CANARIES["webhook"] in heard
    login = base64.b64encode(f"me:{CANARIES['database']}".encode()).decode()
    assert login in heard
    assert urlencode({"q": CANARIES["environment"]}) in heard
    logs = client.get(f"/runs/{run_id}/logs", params={"limit": 1000}).text
    assert logs.count("***") > 20


def test_each_form_would_be_found() -> None:
    findings = Findings()
    for name, text in FORMS.items():
        findings.search(name, b"x" + text + b"y")
    assert {line.partition(": ")[0] for line in findings.seen} == set(FORMS)
    assert min(map(len, FORMS.values())) >= 6
