"""What others' advisories taught about credentials, tasks and our own source. Each test is named after one."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem, start
from tests.support.whole import whole

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "millrace"
CANARY = "canary-77d0-of-the-mine"


async def test_cve_2026_42226_a_credential_does_not_follow_to_another_host(
    api: httpx2.AsyncClient,
) -> None:
    """n8n sent the credential that was named to the address that came with it: who changes where a connection or an
    agent leads gives its secret again."""
    config = {"url": "https://1.1.1.1", "auth": {"type": "bearer", "token": CANARY}}
    assert (await api.put("/api/v1/connections/shop", json={"type": "http", "config": config})).status_code == 201
    agent = {"name": "shop", "url": "https://1.1.1.1", "auth_type": "bearer", "auth_config": {"token": CANARY}}
    assert (await api.post("/api/v1/agents", json=agent)).status_code == 201
    for url in ("https://evil.example", "http://1.1.1.1", "https://1.1.1.1:8443", "https://1.1.1.1@evil.example",
                "https://1.1.1.1.evil.example"):  # fmt: skip
        kept = {"url": url, "auth": {"type": "bearer", "token": "***"}}
        response = await api.put("/api/v1/connections/shop", json={"type": "http", "config": kept})
        problem(response, 422, "invalid_connection")
        for method, body in (("PATCH", {"url": url}), ("PUT", {**agent, "url": url, "auth_config": {"token": "***"}})):
            refused = await api.request(method, "/api/v1/agents/shop", json=body)
            assert refused.status_code in (409, 422), (method, url, refused.text)
            assert CANARY not in refused.text


async def test_windmill_job_token_log_masking_a_task_is_given_no_credential_of_millrace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windmill gave each job a token, which came out in logs (and n8n's runners inherited everything, CVE-2026-49444):
    a task has no credential of ours, so there is none to print."""
    for name in ("MILLRACE_API_KEY", "MILLRACE_SMTP_PASSWORD", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{CANARY}@127.0.0.1:1/none")
    async with whole(tmp_path / "home", database_url=f"sqlite:///{tmp_path}/home/millrace.db") as millrace:
        (home, key) = (tmp_path / "home", (tmp_path / "home" / "api-key").read_text().strip())
        shell = {"id": "s", "type": "shell", "config": {"command": "env; cat /proc/$$/environ | tr '\\0' '\\n'"}}
        script = {"id": "p", "type": "script", "config": {"language": "python",
                  "source": "import os\nprint(dict(os.environ))"}}  # fmt: skip
        run = await millrace.finished(shell, script)
        told = str((await millrace.api.get(f"/api/v1/runs/{run['id']}/logs", params={"limit": 200})).json())
        told += str([await millrace.task(run, one) for one in "sp"])
        assert "MILLRACE_ATTEMPT" in told, "the commands did not print what they were given"
        for secret in (CANARY, key, (home / "encryption-key").read_text().strip()):
            assert secret not in told


async def test_cve_2026_27497_values_of_a_database_task_are_bound(tmp_path: Path) -> None:
    """n8n's Merge node put values into SQL: what comes from outside goes beside the statement, never into it."""
    file = tmp_path / "shop.db"
    async with whole(tmp_path / "home", sqlite_allowed_dirs=(tmp_path,)) as millrace:

        def task(name: str, sql: str, **more: Any) -> dict[str, Any]:
            return {
                "id": name,
                "type": "database",
                "config": {"connection_string": f"sqlite:///{file}", "sql": sql, **more},
            }

        hostile = "x'); drop table t; --"
        made = task("a", "create table if not exists t (v text)")
        put = {**task("b", "insert into t values (:v)", parameters={"v": "{{ input.v }}"}), "depends_on": ["a"]}
        got = {**task("c", "select v from t where v = :v", parameters={"v": "{{ input.v }}"}), "depends_on": ["b"]}
        output = await millrace.output("c", made, put, got, input={"v": hostile})
        assert output["rows"] == [{"v": hostile}]
        into = task("a", "select '{{ input.v }}' from t")
        response = await millrace.api.post("/api/v1/workflows", json=definition("into", into))
        assert response.status_code == 422, "a statement that values are written into is refused when it is written"


async def test_cve_2026_24098_what_is_wrong_with_one_workflow_tells_nothing_of_another(
    api: httpx2.AsyncClient,
) -> None:
    """Airflow's import errors showed files of others: a refusal says what is wrong with what was sent, and no more."""
    await create(api, {**definition("theirs"), "variables": {"hidden": CANARY}, "description": CANARY})
    for body in ({**definition("mine"), "tasks": [{"id": "a", "type": "run_workflow", "config": {"workflow": "theirs",
                  "input": {"x": "{{ variables.hidden }}"}}}]},
                 {**definition("theirs"), "nonsense": 1}, {**definition("mine"), "tasks": 7}):  # fmt: skip
        response = await api.post("/api/v1/workflows", json=body)
        assert CANARY not in response.text


# --- our own source ---------------------------------------------------------------------------------------------------


@cache
def sources() -> list[tuple[Path, ast.Module]]:
    return [(file, ast.parse(file.read_text("utf-8"))) for file in sorted(SOURCE.rglob("*.py"))]


def stripped_like_a_prefix(tree: ast.AST) -> Iterator[int]:
    """Lines with `.lstrip(x)` and its kin where `x` reads as a text: it is taken as a set of letters.

    A constant without letters and digits, or with one letter in two cases, is meant as a set."""
    for node in ast.walk(tree):
        is_strip = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if is_strip and node.func.attr in {"lstrip", "rstrip", "strip"} and node.args:  # type: ignore[attr-defined]
            given = node.args[0]  # type: ignore[attr-defined]
            text = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str | bytes) else None
            letters = None if text is None else {one.casefold() for one in str(text) if one.isalnum()}
            if letters is None or len(letters) > 1:
                yield node.lineno  # type: ignore[attr-defined]


def test_cve_2026_45426_nothing_is_stripped_that_is_meant_as_a_prefix() -> None:
    """Airflow took `lstrip` for `removeprefix`, and one user for another."""
    found = [f"{file.relative_to(ROOT)}:{line}" for file, tree in sources() for line in stripped_like_a_prefix(tree)]
    assert found == [], "use removeprefix or removesuffix"
    assert list(stripped_like_a_prefix(ast.parse("a.lstrip('user:'); b.rstrip(x); c.strip('/'); d.lstrip('rR')"))) == [
        1,
        1,
    ]


INTERPRETERS = {"eval", "exec", "compile", "__import__"}
OF_MODULES = {("pickle", "loads"), ("pickle", "load"), ("marshal", "loads"), ("yaml", "load"), ("os", "system"),
              ("subprocess", "getoutput"), ("shelve", "open")}  # fmt: skip


RUNS_THE_TASK = {"runners/script_hosts/run_python.py: compile", "runners/script_hosts/run_python.py: exec"}
"""The first program in the process of a script task, which is there to run the task's own source, and nothing else."""


def interpreted(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in INTERPRETERS:
            yield node.lineno, node.func.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            if isinstance(of, ast.Name) and (of.id, node.func.attr) in OF_MODULES:
                yield node.lineno, f"{of.id}.{node.func.attr}"
        if isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", False) is True:
            yield node.value.lineno, "shell=True"


def test_cve_2025_68613_nothing_in_the_source_makes_code_of_text() -> None:
    """The surest way to keep text from an interpreter is to have none: no eval, no exec, no pickle, no shell."""
    found = {f"{file.relative_to(SOURCE)}: {what}" for file, tree in sources() for _, what in interpreted(tree)}
    assert found == RUNS_THE_TASK
    assert len(list(interpreted(ast.parse("eval(x); yaml.load(y); run(a, shell=True)")))) == 3


def test_kestra_compose_nothing_that_is_shipped_gives_a_container_the_host() -> None:
    """Kestra's compose file handed out the socket of Docker, and a fault of the server became the machine's."""
    bad = re.compile(
        r"docker\.sock|privileged:\s*true|--privileged|network_mode:\s*host|user:\s*[\"']?(root|0)\b|cap_add"
    )
    shipped = [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and path.suffix in {".yml", ".yaml", ".service", ".toml", ".sh", ""}
        and not {".git", ".venv", ".cache", "node_modules", "tests"} & set(path.relative_to(ROOT).parts)
    ]
    assert len(shipped) > 20
    assert [path for path in shipped if bad.search(path.read_text("utf-8", errors="replace"))] == []


async def test_cve_2025_68668_commands_run_only_where_they_may(tmp_path: Path) -> None:
    """A sandbox for foreign Python is a promise that nobody has kept: what must not run commands does not run any."""
    async with whole(tmp_path / "home", shell_policy="off") as millrace:
        source = f"open('{tmp_path}/reached', 'w')"
        tasks = [
            {"type": "shell", "config": {"command": f"touch {tmp_path}/reached"}},
            {"type": "script", "config": {"language": "python", "source": source}},
        ]
        for number, task in enumerate(tasks):
            response = await millrace.api.post("/api/v1/workflows", json=definition(f"w{number}", {"id": "a", **task}))
            if response.status_code == 201:
                run = await start(millrace.api, response.json()["id"], wait=True)
                assert run["status"] == "failed"
        assert not (tmp_path / "reached").exists()
