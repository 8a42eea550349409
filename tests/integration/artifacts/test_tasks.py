"""Files of the built-in task types, in a whole Millrace: what they write others read, and nothing else gets in."""

import csv
import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from millrace.ports.objects import OWNER
from tests.support.api import problem
from tests.support.whole import Whole, whole

MIB = 1024 * 1024


def stored_files(millrace: Whole) -> list[Path]:
    """All but the note of whose they are."""
    folder = millrace.runtime.settings.artifacts_dir
    return [path for path in folder.rglob("*") if path.is_file() and path.name != OWNER]


@pytest.fixture
async def millrace(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "home", http_allowed_targets=("localhost", "127.0.0.1")) as running:
        yield running


def shell(command: str, folder: Path, **outputs: str) -> dict[str, Any]:
    return {
        "id": "make",
        "type": "shell",
        "config": {"command": command, "working_dir": str(folder), "outputs": outputs},
    }


TOGETHER = {"one": "{{ tasks.one.output }}", "two": "{{ tasks.two.output }}"}


# --- shell ------------------------------------------------------------------------------------------------------------


async def test_declared_files_become_artifacts(millrace: Whole, tmp_path: Path) -> None:
    command = "mkdir -p out; printf 'a,b\\n1,2\\n' > out/report.csv; head -c 3000000 /dev/zero > zeros; echo '[1]'"
    output = await millrace.output("make", shell(command, tmp_path, report="out/report.csv", zeros="zeros"))
    report, zeros = output["files"]["report"], output["files"]["zeros"]
    assert output["result"] == [1]
    assert (report["name"], report["media_type"], report["size"]) == ("report.csv", "text/csv", 8)
    assert await millrace.content(report) == b"a,b\n1,2\n"
    assert await millrace.content(zeros) == bytes(3_000_000)
    assert zeros["sha256"] == hashlib.sha256(bytes(3_000_000)).hexdigest()


def is_removed(folder: str) -> bool:
    return not os.path.exists(folder)


async def test_files_of_tasks_at_work_at_once_do_not_mix(millrace: Whole, tmp_path: Path) -> None:
    """Each waits until both have written the file of the same name, and says where."""
    meet = "printf {me} > same.txt; touch {here}/{me}; until test -e {here}/{other}; do sleep 0.01; done; pwd"
    tasks = [
        {
            "id": me,
            "type": "shell",
            "depends_on": [],
            "config": {"command": meet.format(here=tmp_path, me=me, other=other), "outputs": {"f": "same.txt"}},
        }
        for me, other in (("one", "two"), ("two", "one"))
    ]
    both = {"id": "both", "type": "transform", "depends_on": ["one", "two"], "config": {"output": TOGETHER}}
    output = await millrace.output("both", *tasks, both)
    for task_id in ("one", "two"):
        assert await millrace.content(output[task_id]["files"]["f"]) == task_id.encode()
        assert is_removed(output[task_id]["stdout"].strip())


async def test_a_folder_of_its_own_lies_where_commands_may_run(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    async with whole(tmp_path / "home", shell_allowed_dirs=(allowed,)) as millrace:
        task = shell("pwd; touch f", tmp_path, f="f")
        del task["config"]["working_dir"]
        output = await millrace.output("make", task)
        assert Path(output["stdout"].strip()).parent == allowed.resolve()
    assert list(allowed.iterdir()) == []


async def test_no_link_leads_out_of_the_working_directory(millrace: Whole, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "real").mkdir(parents=True)
    (tmp_path / "secret").write_text("not yours")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "real" / "up").symlink_to("../..")
    for number, path in enumerate(("link", "folder/secret", "real/up/secret")):
        error = await millrace.failure("make", shell("true", folder, x=path), name=f"w{number}")
        assert error["kind"] == "invalid_output"
        assert "link" in error["message"]
        assert "outputs.x" in error["message"]


async def test_what_is_no_file_is_named(millrace: Whole, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, what in (("none", "is not there"), ("folder", "is not a file"), ("pipe", "is not a file")):
        error = await millrace.failure("make", shell("true", tmp_path, x=path), name=path)
        assert (error["kind"], what in error["message"]) == ("invalid_output", True), error


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "..", "a\0b", "."])
async def test_a_path_that_leads_out_is_refused_when_it_is_saved(millrace: Whole, tmp_path: Path, path: str) -> None:
    body = {"name": "w", "tasks": [shell("true", tmp_path, x=path)]}
    response = await millrace.api.post("/api/v1/workflows", json=body)
    faults = problem(response, 422, "invalid_definition")["faults"]
    assert len(faults) == 1
    assert faults[0]["path"].startswith("tasks[0].config.outputs"), faults


async def test_the_files_of_a_command_that_failed_are_not_kept(millrace: Whole, tmp_path: Path) -> None:
    error = await millrace.failure("make", shell("echo x > x; exit 3", tmp_path, x="x"))
    assert error["kind"] == "error"
    assert (await millrace.api.get("/api/v1/artifacts")).json()["items"] == []


# --- script -----------------------------------------------------------------------------------------------------------


def script(source: str, folder: Path, **outputs: str) -> dict[str, Any]:
    config = {"language": "python", "source": source, "working_dir": str(folder), "outputs": outputs}
    return {"id": "make", "type": "script", "config": config}


async def test_files_that_a_script_declares_become_artifacts(millrace: Whole, tmp_path: Path) -> None:
    source = "import os\nos.mkdir('out')\nopen('out/report.csv', 'w').write('a,b\\n')\nresult = [1]"
    output = await millrace.output("make", script(source, tmp_path, report="out/report.csv"))
    report = output["files"]["report"]
    assert output["result"] == [1]
    assert (report["name"], report["media_type"]) == ("report.csv", "text/csv")
    assert await millrace.content(report) == b"a,b\n"


async def test_a_script_fails_without_a_file_that_it_declares(millrace: Whole, tmp_path: Path) -> None:
    error = await millrace.failure("make", script("result = 1", tmp_path, report="report.csv"))
    assert (error["kind"], "is not there" in error["message"]) == ("invalid_output", True), error


async def test_the_files_of_a_script_whose_result_is_invalid_are_not_kept(millrace: Whole, tmp_path: Path) -> None:
    error = await millrace.failure("make", script("open('x', 'w').write('x')\nresult = {1}", tmp_path, x="x"))
    assert error["kind"] == "invalid_output"
    assert (await millrace.api.get("/api/v1/artifacts")).json()["items"] == []


# --- http -------------------------------------------------------------------------------------------------------------


def http(server: HTTPServer, path: str, id_: str = "get", **config: Any) -> dict[str, Any]:
    return {"id": id_, "type": "http", "config": {"url": server.url_for(path), **config}}


async def test_an_answer_becomes_a_file_and_goes_out_again(millrace: Whole, httpserver: HTTPServer) -> None:
    content = os.urandom(6 * MIB)
    received: list[tuple[str | None, str | None, bytes]] = []

    def take(request: Request) -> Response:
        received.append((request.headers.get("Content-Type"), request.headers.get("Content-Length"), request.data))
        return Response("thanks")

    httpserver.expect_request("/dir/a%20b.bin").respond_with_data(content, content_type="image/png")
    httpserver.expect_request("/dir/a b.bin").respond_with_data(content, content_type="image/png")
    httpserver.expect_request("/take", method="PUT").respond_with_handler(take)
    run = await millrace.finished(
        http(httpserver, "/dir/a%20b.bin", response="file"),
        http(httpserver, "/take", "send", method="PUT", body={"file": "{{ tasks.get.output.body }}"}),
    )
    file = (await millrace.task(run, "get"))["output"]["body"]
    assert run["status"] == "completed", await millrace.task(run, "send")
    assert (file["name"], file["media_type"], file["size"]) == ("a b.bin", "image/png", len(content))
    assert await millrace.content(file) == content
    assert received == [("image/png", str(len(content)), content)]


@pytest.mark.parametrize(
    ("header", "given", "name"),
    [
        ('attachment; filename="../../etc/report.csv"', None, "report.csv"),
        ("attachment; filename=plain.txt; x=y", None, "plain.txt"),
        ("attachment; filename=\"x\"; filename*=UTF-8''%E4%B8%AD%2Fsmall.txt", None, "small.txt"),
        ('attachment; filename="a\\"b.txt"', None, 'a"b.txt'),
        ('attachment; filename=".."', None, "file"),
        ("inline", None, "of-the-address"),
        ('attachment; filename="x"', "mine/own.bin", "mine_own.bin"),
    ],
)
async def test_a_file_gets_the_name_that_the_answer_gives(
    millrace: Whole, httpserver: HTTPServer, header: str, given: str | None, name: str
) -> None:
    httpserver.expect_request("/of-the-address").respond_with_data(b"x", headers={"Content-Disposition": header})
    named = {} if given is None else {"file_name": given}
    output = await millrace.output("get", http(httpserver, "/of-the-address", response="file", **named))
    assert output["body"]["name"] == name


async def test_an_answer_that_is_not_expected_is_no_file(millrace: Whole, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("no such thing", status=404)
    error = await millrace.failure("get", http(httpserver, "/x", response="file"))
    assert error["details"]["body"] == "no such thing"
    assert stored_files(millrace) == []


async def test_an_answer_that_is_too_long_is_no_file(millrace: Whole, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data(b"x" * 3 * MIB)
    error = await millrace.failure("get", http(httpserver, "/x", response="file", max_bytes=2 * MIB))
    assert "longer than" in error["message"]
    assert stored_files(millrace) == []


async def test_a_redirect_that_keeps_the_content_gets_all_of_it(millrace: Whole, httpserver: HTTPServer) -> None:
    sent = (await millrace.api.post("/api/v1/artifacts", params={"name": "x"}, content=b"x" * 100_000)).json()
    httpserver.expect_request("/old").respond_with_data("", status=307, headers={"Location": "/new"})
    httpserver.expect_request("/gone").respond_with_data("", status=303, headers={"Location": "/look"})
    httpserver.expect_request("/new", data=b"x" * 100_000, method="POST").respond_with_data("new")
    httpserver.expect_request("/look", data=b"", method="GET").respond_with_data("look")
    for path, body in (("/old", "new"), ("/gone", "look")):
        task = http(httpserver, path, method="POST", body={"file": sent["reference"]})
        assert (await millrace.output("get", task, name=body))["body"] == body


async def test_a_file_that_is_not_there_is_not_sent(millrace: Whole, httpserver: HTTPServer) -> None:
    task = http(httpserver, "/x", method="POST", body={"file": {"artifact": "none"}})
    error = await millrace.failure("get", task)
    assert error["kind"] == "invalid_input"
    assert httpserver.log == []


async def test_a_damaged_file_is_not_sent_as_if_it_were_whole(millrace: Whole, httpserver: HTTPServer) -> None:
    received: list[bytes] = []

    def take(request: Request) -> Response:
        received.append(request.data)
        return Response("thanks")

    httpserver.expect_request("/take").respond_with_handler(take)
    sent = (await millrace.api.post("/api/v1/artifacts", params={"name": "x"}, content=b"x" * 1000)).json()
    (place,) = (
        path for path in millrace.runtime.settings.artifacts_dir.joinpath("objects").rglob("*") if path.is_file()
    )
    place.write_bytes(b"y" * 1000)
    task = http(httpserver, "/take", method="POST", body={"file": sent["reference"]})
    error = await millrace.failure("get", task)
    assert "damaged" in error["message"]
    assert all(len(content) < 1000 for content in received)


# --- database ---------------------------------------------------------------------------------------------------------

ROWS = """
with recursive n(id) as (select 1 union all select id + 1 from n where id < {count})
select id, 'row ' || id || ', "q"' as text, case when id % 2 then null else id * 0.5 end as half from n
"""


def database(tmp_path: Path, sql: str, **config: Any) -> dict[str, Any]:
    connection = f"sqlite:///{tmp_path / 'home' / 'other.db'}"
    return {"id": "rows", "type": "database", "config": {"connection_string": connection, "sql": sql, **config}}


async def test_rows_become_lines_of_json(millrace: Whole, tmp_path: Path) -> None:
    task = database(tmp_path, ROWS.format(count=50_000), fetch="artifact")
    output = await millrace.output("rows", task)
    assert output["row_count"] == 50_000
    assert [column["name"] for column in output["columns"]] == ["id", "text", "half"]
    assert "rows" not in output
    assert (output["file"]["name"], output["file"]["media_type"]) == ("rows.jsonl", "application/jsonl")
    lines = (await millrace.content(output["file"])).splitlines()
    assert len(lines) == 50_000
    assert json.loads(lines[0]) == {"id": 1, "text": 'row 1, "q"', "half": None}
    assert json.loads(lines[-1]) == {"id": 50_000, "text": 'row 50000, "q"', "half": 25_000.0}


async def test_rows_become_csv(millrace: Whole, tmp_path: Path) -> None:
    task = database(tmp_path, ROWS.format(count=3), fetch="artifact", format="csv", file_name="of day.csv")
    output = await millrace.output("rows", task)
    assert (output["file"]["name"], output["file"]["media_type"]) == ("of day.csv", "text/csv")
    lines = (await millrace.content(output["file"])).decode().splitlines()
    assert list(csv.reader(lines)) == [
        ["id", "text", "half"], ["1", 'row 1, "q"', ""], ["2", 'row 2, "q"', "1.0"], ["3", 'row 3, "q"', ""],
    ]  # fmt: skip


async def test_only_the_rows_of_the_last_statement_are_kept(millrace: Whole, tmp_path: Path) -> None:
    task = database(tmp_path, "select 1 as a; select 2 as b", fetch="artifact")
    output = await millrace.output("rows", task)
    assert await millrace.content(output["file"]) == b'{"b":2}\n'


async def test_no_rows_are_an_empty_file_and_no_result_is_none(millrace: Whole, tmp_path: Path) -> None:
    empty = await millrace.output("rows", database(tmp_path, "select 1 as a where 0", fetch="artifact"), name="empty")
    assert (empty["row_count"], await millrace.content(empty["file"])) == (0, b"")
    none = await millrace.output("rows", database(tmp_path, "create table t (x)", fetch="artifact"), name="none")
    assert none["file"] is None


async def test_a_row_limit_holds_for_files_too_and_nothing_is_committed(millrace: Whole, tmp_path: Path) -> None:
    sql = "create table made (x); " + ROWS.format(count=5)
    error = await millrace.failure("rows", database(tmp_path, sql, fetch="artifact", row_limit=4))
    assert (error["kind"], "row_limit" in error["message"]) == ("invalid_output", True)
    with sqlite3.connect(tmp_path / "home" / "other.db") as other:
        assert other.execute("select name from sqlite_master").fetchall() == []
    other.close()


async def test_rows_beyond_the_size_of_files_name_the_setting(tmp_path: Path) -> None:
    async with whole(tmp_path / "home", max_artifact_bytes=20_000) as millrace:
        task = database(tmp_path, ROWS.format(count=5000), fetch="artifact")
        error = await millrace.failure("rows", task)
        assert (error["kind"], "MILLRACE_MAX_ARTIFACT_BYTES" in error["message"]) == ("invalid_output", True)
