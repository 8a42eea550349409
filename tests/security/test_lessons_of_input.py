"""What others' advisories taught about what comes in: expressions, bodies, paths, filters. Each is named after one."""

import itertools
import json
import re
from pathlib import Path

import httpx2
import pytest

from tests.support.api import create, definition, problem, start
from tests.support.bare import ask, routes_of
from tests.support.databases import DATABASES
from tests.support.installation import Installation
from tests.support.webhooks import finished, hooked, stranger
from tests.support.whole import whole

# --- expressions ------------------------------------------------------------------------------------------------------

ESCAPES = {
    "cve_2025_68613": [
        "(function(){ return this.process.mainModule.require('child_process').execSync('touch FILE') })()",
        "this.constructor.constructor('return process')()",
        "$input.constructor.constructor('return 1')()",
    ],
    "cve_2026_1470": [
        "(() => { with (Function.prototype) { constructor('return 1')() } })()",
        "input.constructor.prototype",
        "input.__proto__.polluted",
    ],
    "cve_2026_25049": [
        "((g = {}.constructor) => g.constructor('return 1')())()",
        "`${process.env.HOME}`",
        "input['const' + 'ructor']['const' + 'ructor']('return 1')",
    ],
    "cve_2026_27577": [
        "input.map(x, x.__class__)",
        "[].__class__.__base__.__subclasses__()",
        "''.__class__.__mro__[1].__subclasses__()",
        "input.__init__.__globals__['os'].system('touch FILE')",
        "[x for x in (1).__class__.__base__.__subclasses__()]",
    ],
    "cve_2025_68668": [
        "__import__('os').system('touch FILE')",
        'eval(\'open("FILE", "w")\')',
        "exec('import os')",
        "open('FILE', 'w')",
        "lambda: 1",
    ],
    "cve_2026_0863": [
        "'{0.__class__.__init__.__globals__}'.format(input)",
        "'%s' % input.__class__",
        "f'{input.__class__}'",
        "input.text.format_map(input)",
        "(lambda: (yield))().gi_frame.f_back.f_builtins",
        "{}['x'].with_traceback(null).tb_frame",
    ],
    "cve_2026_27495": [
        "new Function('return 1')()",
        "import('fs')",
        "require('fs').readFileSync('/etc/passwd')",
        "{% for x in [].__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "${7*7}",
        "#{7*7}",
        "<%= 7*7 %>",
        "T(java.lang.Runtime).getRuntime().exec('touch FILE')",
    ],
}


@pytest.mark.parametrize("advisory", ESCAPES)
async def test_cve_2025_68613_an_expression_never_reaches_an_interpreter(
    api: httpx2.AsyncClient, tmp_path: Path, advisory: str
) -> None:
    """n8n evaluated expressions as JavaScript behind a list of what is forbidden: ours are a language without the rest.

    Nothing of it gives a value: each is refused when the workflow is written, or fails when it would be computed."""
    for number, expression in enumerate(ESCAPES[advisory]):
        text = expression.replace("FILE", str(tmp_path / "reached"))
        named = {**definition(f"{advisory}-{number}"), "input": {"type": "object"}}
        decides = {"id": "b", "type": "echo", "if": "{{ " + text + " }}", "config": {}}
        for tasks in ([{"id": "a", "type": "echo", "config": {"value": "{{ " + text + " }}"}}], [decides]):
            response = await api.post("/api/v1/workflows", json={**named, "tasks": tasks})
            if response.status_code == 201:
                run = await start(api, response.json()["id"], input={"text": "{0.__class__}"}, wait=True)
                assert run["status"] == "failed", (expression, run)
                assert (await api.delete(f"/api/v1/workflows/{response.json()['id']}")).status_code in (200, 204)
            else:
                problem(response, 422, response.json()["code"])
        assert not (tmp_path / "reached").exists(), expression


async def test_cve_2026_0863_what_a_value_says_is_not_computed(api: httpx2.AsyncClient) -> None:
    """What comes from outside is data wherever it is put: a value that looks like an expression stays a text."""
    payloads = [text for texts in ESCAPES.values() for text in texts] + ["{{ secrets.hook }}", "{{ 7 * 7 }}"]
    given = ["{{ " + text + " }}" for text in payloads] + payloads
    task = {"id": "a", "type": "echo", "config": {"value": {"all": "{{ input.all }}", "in": "<{{ input.all[0] }}>"}}}
    workflow = await create(api, {**definition("w", task), "output": "{{ tasks.a.output }}"})
    run = await start(api, workflow["id"], input={"all": given}, wait=True)
    assert run["output"] == {"all": given, "in": f"<{given[0]}>"}


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_cve_2026_21858_no_body_names_a_file_of_the_server(
    millrace: Installation, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    """n8n took the path of an uploaded file from a body of another media type: a body is data, never a path."""
    file = tmp_path / "not-for-you"
    file.write_text("canary-of-the-file")
    said = {
        "files": {"f": {"filepath": str(file), "path": str(file), "originalFilename": "x", "mimetype": "text/plain"}}
    }
    path = await hooked(api)
    bodies = [
        ("application/json", json.dumps(said).encode()),
        ("multipart/form-data; boundary=b", json.dumps(said).encode()),
        ("multipart/form-data", json.dumps(said).encode()),
        ("multipart/form-data; boundary=b, application/json", json.dumps(said).encode()),
        ("application/x-www-form-urlencoded", f"files[f][filepath]={file}".encode()),
        ("multipart/form-data; boundary=b", _form(f'name="f"; filename="{file}"', b"mine")),
        ("multipart/form-data; boundary=b", _form('name="f"; filename="../../x"', b"mine")),
        ("multipart/form-data; boundary=b", _form('name="files[f][filepath]"', str(file).encode())),
        ("text/plain", f"file://{file}".encode()),
        ("application/xml", f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{file}">]><a>&x;</a>'.encode()),
    ]
    async with stranger(millrace) as sender:
        for kind, body in bodies:
            response = await sender.post(path, content=body, headers={"Content-Type": kind})
            assert response.status_code in (202, 400, 415, 422), (kind, response.text)
            if response.status_code == 202:
                run = await finished(millrace, api, response)
                assert "canary-of-the-file" not in json.dumps(run), kind
    key_file = millrace.container.settings.home / "encryption-key"
    reference = {"artifact": str(key_file), "name": "x", "media_type": "text/plain", "size": 1, "sha256": "0" * 64}
    reading = {"id": "r", "type": "read", "config": {"value": "{{ input.file }}"}}
    workflow = await create(api, definition("reading", reading))
    for artifact in (str(key_file), f"file://{key_file}", "../../encryption-key", "%2e%2e/encryption-key"):
        run = await start(api, workflow["id"], input={"file": {**reference, "artifact": artifact}}, wait=True)
        assert run["status"] == "failed", artifact


def _form(disposition: str, content: bytes) -> bytes:
    return b"--b\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


async def test_cve_2026_21858_a_body_is_read_as_what_the_route_declares(api: httpx2.AsyncClient) -> None:
    """A page of another site can send forms and plain text without asking first: the API takes neither for JSON."""
    body = json.dumps(definition("w")).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/html"):
        response = await api.post("/api/v1/workflows", content=body, headers={"Content-Type": kind})
        problem(response, 400, "unsupported_media_type")
    assert (await api.get("/api/v1/workflows")).json()["items"] == []


# --- paths ------------------------------------------------------------------------------------------------------------

OUTSIDE = ["/etc/passwd", "../secret.txt", "a/../../secret.txt", "link/secret.txt", "link.txt", "a\0b", "..", ".", ""]
OF_WINDOWS = ["..\\secret.txt", "C:\\secret.txt", "\\\\host\\share", "a:b"]


async def test_cve_2026_21877_a_task_keeps_and_finds_files_below_its_own_folder(tmp_path: Path) -> None:
    """n8n's Git node wrote wherever it was told: what a command hands over lies below its folder, links and all."""
    secret = tmp_path / "secret.txt"
    secret.write_text("canary-of-the-secret")
    command = f"mkdir -p a && ln -s {tmp_path} link && ln -s {secret} link.txt && echo out > out.txt"
    async with whole(tmp_path / "home") as millrace:
        for number, path in enumerate([*OUTSIDE, *OF_WINDOWS]):
            task = {"id": "s", "type": "shell", "config": {"command": command, "outputs": {"f": path}}}
            response = await millrace.api.post("/api/v1/workflows", json=definition(f"o{number}", task))
            if response.status_code == 201:
                run = await start(millrace.api, response.json()["id"], wait=True)
                assert run["status"] == "failed", path
            else:
                assert response.status_code == 422, path
        kept = {"id": "s", "type": "shell", "config": {"command": "echo x > x", "outputs": {"f": "x"}}}
        reference = (await millrace.output("s", kept, name="good"))["files"]["f"]
        for number, name in enumerate([*OUTSIDE[:4], "a/b", "..", ".", "a\0b", ""]):
            task = {"id": "s", "type": "shell", "config": {"command": "true", "inputs": {name: reference}}}
            response = await millrace.api.post("/api/v1/workflows", json=definition(f"i{number}", task))
            assert response.status_code == 422, name
        artifacts = (await millrace.api.get("/api/v1/artifacts")).json()["items"]
        assert [one["name"] for one in artifacts] == ["x"]


async def test_cve_2026_21877_names_of_uploaded_files_are_names(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Whatever a file is called, it lies where the store puts it, and its download bears a plain name."""
    before = {path for path in millrace.container.settings.home.parent.rglob("*") if path.is_file()}
    names = [
        "/etc/passwd",
        "../../x",
        "..%2f..%2fx",
        "C:\\x",
        'a"; filename*=x',
        "a\r\nX-Evil: 1",
        "\u202etxt.exe",
        ".",
        "~",
    ]
    for name in names:
        response = await api.post("/api/v1/artifacts", params={"name": name}, content=b"x")
        if response.status_code != 201:
            assert response.status_code == 422, (name, response.text)
            continue
        content = await api.get(f"/api/v1/artifacts/{response.json()['id']}/content")
        assert "X-Evil" not in content.headers
        plain = content.headers["Content-Disposition"]
        assert plain.startswith("attachment;")
        assert not set('/\\\r\n"') & set(
            plain.partition("filename*=")[0].removeprefix('attachment; filename="')[:-3]
        ), plain
    new = {path for path in millrace.container.settings.home.parent.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(millrace.objects.folder) for path in new if "millrace.db" not in path.name), new


async def test_cve_2026_21877_a_database_task_opens_no_file_of_millrace(tmp_path: Path) -> None:
    """A SQLite task is a way to files as well: only below folders that are named, and never the database itself."""
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    (allowed / "link").symlink_to(outside)
    async with whole(tmp_path / "home", sqlite_allowed_dirs=(allowed, tmp_path / "home")) as millrace:
        home = tmp_path / "home"
        for number, path in enumerate(
            [
                outside / "x.db",
                allowed / "link" / "x.db",
                allowed / ".." / "outside" / "x.db",
                f"{allowed}/link/../../outside/x.db",
                home / "millrace.db",
                home / ".." / "home" / "millrace.db",
                home / "api-key",
                home / "millrace.db-wal",
            ]
        ):
            config = {"connection_string": f"sqlite:///{path}", "sql": "create table if not exists t (a)"}
            task = {"id": "d", "type": "database", "config": config}
            error = await millrace.failure("d", task, name=f"w{number}")
            assert error["kind"] in ("refused", "error"), (path, error)
        assert list(outside.iterdir()) == []


# --- filters ----------------------------------------------------------------------------------------------------------

INJECTIONS = [
    "'",
    "' or '1'='1",
    "') or 1=1 --",
    "x'; drop table runs; --",
    "x' union select 1 --",
    "\\",
    "1 or 1=1",
    "$1 :a",
]
WILDCARDS = ["~", "*", "%", "_", "all", ".*", "null", "-1"]
PARAMETER = re.compile(r"\{[^}]*\}")


@pytest.mark.parametrize("database_url", DATABASES, indirect=True)
async def test_cve_2026_38428_no_filter_of_a_list_is_read_as_sql(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Kestra put a parameter of GET into its SQL; and Airflow read `~` for a workflow as all of them (CVE-2026-26929).

    Each filter, cursor and order of each list is given what would be read as SQL or as a wildcard: the answer is a
    refusal or nothing, never a fault of the server, and never rows that the plain text does not name."""
    await _something_of_each(api)
    lists = 0
    for path, item in millrace.app.openapi()["paths"].items():
        names = [one for one in item.get("get", {}).get("parameters", []) if one["in"] == "query"]
        shown = path.replace("{workflow}", "w").replace("{agent}", "shop")
        if not any(one["name"] == "cursor" for one in names) or "{" in shown:
            continue
        lists += 1
        for parameter in names:
            for payload in [*INJECTIONS, *WILDCARDS]:
                response = await api.get(shown, params={parameter["name"]: payload})
                assert response.status_code in (200, 404, 422), (shown, parameter["name"], payload, response.text)
                harmless = parameter["name"] in (
                    "limit",
                    "enabled",
                    "overdue",
                    "created_after",
                    "created_before",
                    "from",
                    "to",
                )
                if response.status_code == 200 and not harmless:
                    assert response.json()["items"] == [], (shown, parameter["name"], payload)
    assert lists > 15
    assert len((await api.get("/api/v1/workflows")).json()["items"]) == 1


async def _something_of_each(api: httpx2.AsyncClient) -> None:
    trigger = {"id": "hook", "type": "webhook", "config": {"path": "orders"}}
    await create(api, {**definition("w"), "labels": {"team": "a"}, "triggers": [trigger]})
    await start(api, "w", wait=True)
    for method, path, body in [
        ("PUT", "/api/v1/secrets/hook", {"value": "a secret of the tests"}),
        ("PUT", "/api/v1/connections/shop", {"type": "http", "config": {"url": "https://1.1.1.1"}}),
        ("POST", "/api/v1/agents", {"name": "shop", "url": "https://1.1.1.1"}),
        ("POST", "/api/v1/events", {"type": "t", "source": "s"}),
        ("POST", "/api/v1/artifacts?name=x.json", {}),
    ]:
        response = await api.request(method, path, json=body)
        assert response.status_code in (200, 201, 202), (path, response.text)


@pytest.mark.parametrize("database_url", DATABASES, indirect=True)
async def test_cve_2026_38428_no_part_of_a_path_is_read_as_sql_or_as_a_wildcard(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """The same of what stands in paths: it names one thing or none. (CVE-2026-24098, CVE-2024-27906: logs, too.)"""
    await _something_of_each(api)
    for route in routes_of(millrace.app):
        if route.method != "GET" or not route.is_of_api:
            continue
        for name, text in itertools.product(PARAMETER.findall(route.path), [*INJECTIONS, *WILDCARDS]):
            encoded = "".join(f"%{byte:02x}" for byte in text.encode())
            path = PARAMETER.sub("w", route.path.replace(name, encoded))
            said = await ask(millrace.app, "GET", path, {"X-API-Key": millrace.key})
            assert said.status in (404, 422), (path, text, said.status, said.body[:300])
