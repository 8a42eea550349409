"""T7: a task type in a package of its own, installed as people install it; and packages that cannot be used.

This follows docs/how-to/task-types.md and examples/plugin/README.md (task-types.md cannot be followed as it is: what it
installs would stay).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import REPOSITORY, blocks_of
from tests.support.server import MillraceProcess

PLUG_IN = REPOSITORY / "examples" / "plugin"
PAGE = REPOSITORY / "docs" / "how-to" / "task-types.md"

BROKEN = {
    "broken_import": ("absent", "import no_such_module_anywhere\n"),
    "broken_class": ("nothing", "class Runner:\n    type = 'nothing'\n"),
    "broken_exit": ("leaving", "import sys\nsys.exit('bye')\n"),
    "broken_name": ("thief", "from millrace.runners.noop import NoopRunner as Runner\n"),
    "broken_schema": (
        "unshowable",
        "from typing import Any, Callable\n"
        "from pydantic import BaseModel\n"
        "from millrace.runners.noop import NoopRunner\n\n\n"
        "class Config(BaseModel):\n    call: Callable[[], Any]\n\n\n"
        "class Runner(NoopRunner):\n    type = 'unshowable'\n    config_model = Config\n",
    ),
}
"""Modules of packages that are installed by hand, each with the name of its entry point."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the example, and all those that are broken."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation",
         "--python", sys.executable, "--cache-dir", str(tmp_path_factory.mktemp("cache")), "--target", str(folder),
         str(PLUG_IN)],
        check=True,
    )  # fmt: skip
    for module, (name, text) in BROKEN.items():
        (folder / f"{module}.py").write_text(text)
        metadata = folder / f"{module}-0.1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
        (metadata / "entry_points.txt").write_text(f"[millrace.runners]\n{name} = {module}:Runner\n")
    return folder


@pytest.fixture(scope="module")
def server(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
    with MillraceProcess(tmp_path_factory.mktemp("server") / "home", PYTHONPATH=path) as running:
        yield running


def workflow(name: str, **config: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tasks": [{"id": "parse", "type": "parse_csv", "config": config}],
        "output": "{{ tasks.parse.output.rows }}",
    }


def ran(server: MillraceProcess, definition: dict[str, Any], **given: Any) -> dict[str, Any]:
    with server.client() as client:
        created = client.post("/workflows", json=definition)
        assert created.status_code == 201, created.text
        run = client.post(f"/workflows/{definition['name']}/execute", json={"input": given, "wait": True})
        answer: dict[str, Any] = run.json()
        return answer


def listed(server: MillraceProcess) -> dict[str, dict[str, Any]]:
    with server.client() as client:
        return {item["type"]: item for item in reversed(client.get("/task-types").json()["items"])}


def test_a_workflow_uses_the_type_of_a_package(server: MillraceProcess) -> None:
    run = ran(server, workflow("parses", text="{{ input.text }}", delimiter=";"), text="a;b\n1;2\n")
    assert (run["status"], run["output"]) == ("completed", [{"a": "1", "b": "2"}])
    assert "1 rows" in server.millrace("logs", run["id"]).stdout


@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"text": "a", "delimiter": 5}, "tasks[0].config.delimiter", "delimiter must be text, not a number"),
        ({"text": "a", "delimiter": "--"}, "tasks[0].config.delimiter", "at most 1 character"),
        ({"text": "a", "delimeter": ";"}, "tasks[0].config.delimeter", "did you mean 'delimiter'"),
        ({}, "tasks[0].config.text", "add text: The CSV text."),
        ({"text": "{{ tasks.nobody.output }}"}, "tasks[0].config.text", "there is no task 'nobody'"),
    ],
)
def test_a_config_that_it_does_not_take_is_refused(
    server: MillraceProcess, config: dict[str, Any], path: str, says: str
) -> None:
    with server.client() as client:
        refused = client.post("/workflows/validate", json=workflow("faulty", **config))
    (fault,) = refused.json()["faults"]
    assert (refused.status_code, fault["path"]) == (422, path)
    assert says in f"{fault['message']}; {fault['remedy']}"


def test_what_fails_at_run_time_says_why(server: MillraceProcess) -> None:
    failed = ran(server, workflow("too-short", text="{{ input.text }}"), text="a,b\n1\n")
    assert failed["status"] == "failed"
    assert "line 2 has 1 cells; the header has 2" in json.dumps(failed["error"])
    unfit = ran(server, workflow("unfit", text="{{ input.text }}"), text=["a"])
    assert unfit["status"] == "failed"
    assert "text" in json.dumps(unfit["error"])


def test_its_config_is_described_everywhere(server: MillraceProcess) -> None:
    one = listed(server)["parse_csv"]
    assert (one["origin"], one["problem"]) == ("millrace-parse-csv 1.0", None)
    assert one["summary"] == "Makes rows of CSV text."
    assert one["config_schema"]["properties"]["delimiter"]["description"] == "What stands between two cells."
    assert listed(server)["http"]["origin"] == "built-in"
    with server.client() as client:
        document = client.get(f"{server.url}/openapi.json").json()
        schema = client.get("/definition-schema").json()
    assert "delimiter" in document["components"]["schemas"]["Parse_csvConfig"]["properties"]
    assert "parse_csv" in document["components"]["schemas"]["MainTask"]["properties"]["type"]["enum"]
    assert "delimiter" in schema["$defs"]["Parse_csvConfig"]["properties"]


def test_the_command_line_lists_it(server: MillraceProcess) -> None:
    lines = server.millrace("task-types").stdout.splitlines()
    assert lines[0].split() == ["TYPE", "FROM", "WHAT", "IT", "DOES"]
    assert any(line.split()[:3] == ["parse_csv", "millrace-parse-csv", "1.0"] for line in lines)
    assert "delimiter" in json.loads(server.millrace("task-types", "parse_csv").stdout)["properties"]
    whole = json.loads(server.millrace("task-types", "parse_csv", "--json").stdout)
    assert whole["origin"] == "millrace-parse-csv 1.0"


@pytest.mark.parametrize(
    ("name", "origin", "says"),
    [
        ("absent", "broken_import 0.1", "No module named 'no_such_module_anywhere'"),
        ("nothing", "broken_class 0.1", "summary"),
        ("leaving", "broken_exit 0.1", "SystemExit: bye"),
        ("unshowable", "broken_schema 0.1", "PydanticInvalidForJsonSchema"),
    ],
)
def test_a_package_that_cannot_be_used_is_listed_with_the_reason(
    server: MillraceProcess, name: str, origin: str, says: str
) -> None:
    one = listed(server)[name]
    assert (one["origin"], one["config_schema"], one["summary"]) == (origin, None, "")
    assert says in one["problem"]
    refused = server.millrace("task-types", name, check=False)
    assert (refused.returncode, says in refused.stderr) == (2, True)
    assert f"{name}" in server.log.read_text()
    assert "cannot be used" in server.millrace("task-types").stdout


def test_no_package_takes_a_name_that_is_taken(server: MillraceProcess) -> None:
    with server.client() as client:
        both = [item for item in client.get("/task-types").json()["items"] if item["type"] == "noop"]
    assert [item["origin"] for item in both] == ["built-in", "broken_name 0.1"]
    assert [item["problem"] for item in both] == [None, "there is a task type of this name already"]
    assert "output" in json.loads(server.millrace("task-types", "noop").stdout)["properties"]


def test_the_tests_of_the_package_pass(packages: Path, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path),
         str(PLUG_IN / "tests")],
        env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_the_page_shows_is_what_the_package_has(number: int) -> None:
    shown = [block for block in blocks_of(PAGE) if block.language in ("python", "toml")][number]
    source = "pyproject.toml" if shown.language == "toml" else "src/millrace_parse_csv/__init__.py"
    has = {line.strip() for line in (PLUG_IN / source).read_text().splitlines()}
    lines = [line.strip().removesuffix(" ...") for line in shown.text.splitlines() if line.strip()]
    assert [line for line in lines if line not in has] == []
