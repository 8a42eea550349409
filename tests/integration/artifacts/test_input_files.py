"""Files that commands and scripts find (`inputs`), in a whole Millrace with real processes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import problem
from tests.support.whole import Whole, whole

MIB = 1024 * 1024


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """Where commands may run, and so where the folders of attempts are made."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


@pytest.fixture
async def millrace(tmp_path: Path, allowed: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "home", shell_allowed_dirs=(allowed,), max_artifact_bytes=4 * MIB) as running:
        yield running


async def sent(millrace: Whole, content: bytes = b"id,total\n1,20\n2,35\n", **query: str) -> dict[str, Any]:
    response = await millrace.api.post("/api/v1/artifacts", params={"name": "sent.csv", **query}, content=content)
    reference: dict[str, Any] = response.json()["reference"]
    return reference


def shell(command: str | list[str], inputs: Any, **config: Any) -> dict[str, Any]:
    return {"id": "read", "type": "shell", "config": {"command": command, "inputs": inputs, **config}}


FILE = {"orders.csv": "{{ input.file }}"}


def folders_in(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.name.startswith("millrace-")]


async def test_a_command_finds_its_files_in_a_folder_of_its_own(millrace: Whole, allowed: Path) -> None:
    command = 'cat "$MILLRACE_INPUTS/orders.csv"; cat inputs/orders.csv | wc -c; ls; echo "$MILLRACE_INPUTS"'
    output = await millrace.output("read", shell(command, FILE), input={"file": await sent(millrace)})
    said = output["stdout"].splitlines()
    assert said[:-1] == ["id,total", "1,20", "2,35", "19", "inputs"]
    assert Path(said[-1]).is_relative_to(allowed)
    assert folders_in(allowed) == []


async def test_a_command_with_a_working_dir_runs_there_and_finds_them_too(millrace: Whole, allowed: Path) -> None:
    (allowed / "work").mkdir()
    command = 'pwd; cp "$MILLRACE_INPUTS"/orders.csv copy.csv'
    task = shell(command, FILE, working_dir="work", outputs={"copy": "copy.csv"})
    content = os.urandom(3 * MIB)
    output = await millrace.output("read", task, input={"file": (await sent(millrace, content))["artifact"]})
    assert output["stdout"].strip() == str(allowed / "work")
    assert await millrace.content(output["files"]["copy"]) == content
    assert os.listdir(allowed / "work") == ["copy.csv"]
    assert folders_in(allowed) == []


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "import os\nresult = open(os.environ['MILLRACE_INPUTS'] + '/orders.csv').read().splitlines()"),
        ("bash", 'jq -R . < "$MILLRACE_INPUTS/orders.csv" | jq -cs .'),
        ("node", "return require('fs').readFileSync('inputs/orders.csv', 'utf8').trim().split('\\n')"),
    ],
)
async def test_a_script_finds_its_files(millrace: Whole, language: str, source: str) -> None:
    config = {"language": language, "source": source, "inputs": FILE}
    task = {"id": "read", "type": "script", "config": config}
    output = await millrace.output("read", task, input={"file": await sent(millrace)})
    assert output["result"] == ["id,total", "1,20", "2,35"]


async def test_files_of_another_task_are_handed_over_by_their_names(millrace: Whole) -> None:
    make = {
        "id": "make",
        "type": "shell",
        "config": {"command": "echo a > a.txt; echo b > b.txt", "outputs": {"one": "a.txt", "two": "b.txt"}},
    }
    task = shell("cat inputs/one inputs/two; echo changed > inputs/one", "{{ tasks.make.output.files }}")
    output = await millrace.output("read", make, task)
    assert output["stdout"] == "a\nb\n"


async def test_what_a_command_does_to_its_copy_changes_no_artifact(millrace: Whole) -> None:
    file = await sent(millrace)
    await millrace.output("read", shell("echo gone > inputs/orders.csv", FILE), input={"file": file})
    assert (await millrace.content(file)).startswith(b"id,total")


# --- what cannot be handed over ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/b", "..", ".", "a\x7fb", "a\nb", "ä" * 128])
async def test_a_name_that_leads_out_is_refused_when_it_is_saved(millrace: Whole, name: str) -> None:
    body = {"name": "w", "tasks": [shell("true", {name: "{{ input.file }}"})]}
    response = await millrace.api.post("/api/v1/workflows", json=body)
    faults = problem(response, 422, "invalid_definition")["faults"]
    assert [fault["path"].startswith("tasks[0].config.inputs") for fault in faults] == [True], faults
    assert "orders.csv" in faults[0]["message"] + faults[0]["remedy"]


async def test_a_name_that_an_expression_makes_leads_nowhere_else(millrace: Whole, allowed: Path) -> None:
    given = {"../../out.txt": await sent(millrace)}
    error = await millrace.failure("read", shell("touch ran", "{{ input.files }}"), input={"files": given})
    assert error["kind"] == "invalid_input"
    assert "cannot be the name of a file" in str(error)
    assert os.listdir(allowed) == []


async def test_a_file_that_is_not_there_is_named_and_nothing_is_run(millrace: Whole, allowed: Path) -> None:
    task = shell(f"touch {allowed}/ran", {"good.csv": "{{ input.good }}", "bad.csv": "{{ input.bad }}"})
    expired = await sent(millrace, expires_in="1s")
    good = await sent(millrace)
    await asyncio.sleep(1.1)  # an artifact has no shorter life
    gone = await sent(millrace)
    response = await millrace.api.delete(f"/api/v1/artifacts/{gone['artifact']}")
    assert response.status_code == 204, response.text
    for number, bad in enumerate((expired, gone, {"artifact": "none"}, None, 5)):
        error = await millrace.failure("read", task, name=f"w{number}", input={"good": good, "bad": bad})
        assert (error["kind"], "inputs['bad.csv']" in error["message"]) == ("invalid_input", True), error
    assert os.listdir(allowed) == []


async def test_files_that_are_too_large_together_name_the_setting(millrace: Whole, allowed: Path) -> None:
    file = await sent(millrace, bytes(3 * MIB))
    task = shell("touch ran", {"one": "{{ input.file }}", "two": "{{ input.file }}"})
    error = await millrace.failure("read", task, input={"file": file})
    assert (error["kind"], "MILLRACE_MAX_ARTIFACT_BYTES" in error["message"]) == ("invalid_input", True), error
    assert os.listdir(allowed) == []


async def test_a_damaged_file_is_not_handed_over(millrace: Whole, allowed: Path) -> None:
    file = await sent(millrace)
    (place,) = (
        path for path in millrace.runtime.settings.artifacts_dir.joinpath("objects").rglob("*") if path.is_file()
    )
    place.write_bytes(b"y" * 19)
    error = await millrace.failure("read", shell(f"touch {allowed}/ran", FILE), input={"file": file})
    assert (error["kind"], "damaged" in error["message"]) == ("error", True), error
    assert os.listdir(allowed) == []


async def test_nothing_is_copied_for_a_command_that_may_not_run(millrace: Whole, tmp_path: Path) -> None:
    task = shell("true", {"x": {"artifact": "none"}}, working_dir=str(tmp_path))
    error = await millrace.failure("read", task)
    assert error["kind"] == "refused"
    assert "MILLRACE_SHELL_ALLOWED_DIRS" in error["message"]


# --- the end of the attempt -------------------------------------------------------------------------------------------


async def test_the_copies_go_when_the_run_is_cancelled(millrace: Whole, allowed: Path) -> None:
    command = f'cp "$MILLRACE_INPUTS/orders.csv" {allowed}/seen.csv; sleep 60'
    body = {"name": "w", "tasks": [shell(command, FILE)]}
    assert (await millrace.api.post("/api/v1/workflows", json=body)).status_code == 201
    given = {"input": {"file": await sent(millrace)}}
    run = (await millrace.api.post("/api/v1/workflows/w/execute", json=given)).json()
    async with asyncio.timeout(60):
        while not (allowed / "seen.csv").exists():  # noqa: ASYNC110  nobody tells of a file
            await asyncio.sleep(0.02)
    assert len(folders_in(allowed)) == 1
    assert (await millrace.api.post(f"/api/v1/runs/{run['id']}/cancel")).status_code == 202
    await millrace.until(run, "read", "cancelled")
    assert folders_in(allowed) == []


async def test_the_copies_go_when_the_time_is_over(millrace: Whole, allowed: Path) -> None:
    task = {**shell("sleep 60", FILE), "timeout": 0.3}
    error = await millrace.failure("read", task, input={"file": await sent(millrace)})
    assert error["kind"] == "timeout"
    assert folders_in(allowed) == []
