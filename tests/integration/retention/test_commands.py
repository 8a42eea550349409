"""The commands of retention against a real server, with a rule for all workflows and one of a workflow's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MillraceProcess, create_workflow, until, wait_finished


def test_show_try_and_run(tmp_path: Path) -> None:
    settings = {"MILLRACE_RETENTION_RUNS": "1s", "MILLRACE_RETENTION_PAYLOADS": "never"}
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false", **settings) as server:
        runs = {}
        with server.client() as client:
            for name, rule in (("brief", {}), ("kept", {"retention": {"runs": "never"}})):
                create_workflow(client, {"name": name, "tasks": [{"type": "noop", "id": "a"}], **rule})
                runs[name] = client.post(f"/workflows/{name}/execute", json={}).json()["id"]
                wait_finished(client, runs[name])
            shown = server.millrace("retention", "show").stdout.splitlines()
            assert [line.split() for line in shown[1:3]] == [
                ["kept", "never", "never", "no"], ["(all", "others)", "never", "1s", "no"]
            ]  # fmt: skip
            would = until(lambda: due(server))
            assert [(item["name"], item["runs"]) for item in would] == [("brief", 1)]
            assert client.get(f"/runs/{runs['brief']}").status_code == 200
            assert server.millrace("retention", "run", "--yes").stdout.startswith("1 run deleted, ended ")
            assert client.get(f"/runs/{runs['brief']}").status_code == 404
            assert client.get(f"/runs/{runs['kept']}").json()["status"] == "completed"
            assert "last round: 1 run deleted" in server.millrace("retention", "show").stdout
            assert "would delete 0 runs" in server.millrace("retention", "run", "--dry-run").stdout


def test_show_tells_that_payloads_were_deleted(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server, server.client() as client:
        rule = {"retention": {"payloads": "1ms"}}
        create_workflow(client, {"name": "brief", "tasks": [{"type": "noop", "id": "a"}], **rule})
        run_id = client.post("/workflows/brief/execute", json={}).json()["id"]
        wait_finished(client, run_id)
        server.millrace("retention", "run", "--yes")
        assert client.get(f"/runs/{run_id}").json()["payloads_deleted_at"] is not None
        shown = server.millrace("show", run_id).stdout
    assert "deleted   inputs and outputs of its tasks, and its logs, 20" in shown


def due(server: MillraceProcess) -> list[dict[str, Any]]:
    """What a round would delete now: nothing before the run is a second old."""
    found: list[dict[str, Any]] = json.loads(server.millrace("retention", "run", "--dry-run", "--json").stdout)[
        "workflows"
    ]
    return found


def test_a_period_that_is_none_stops_the_start(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home", MILLRACE_RETENTION_RUNS="soon")
    said = "MILLRACE_RETENTION_RUNS: write how long, such as 12h, 30d or 400d, or never"
    with pytest.raises(AssertionError, match=f"(?s)ended with 2.*{said}"):
        server.start()


NIGHTLY = {
    "name": "nightly",
    "retention": {"runs": "1ms", "archive": True},
    "tasks": [
        {"id": "say", "type": "log", "config": {"message": "of {{ input.day }}"}},
        {"id": "make", "type": "shell", "config": {"command": "echo 1 > f.csv", "outputs": {"f": "f.csv"}}},
        {"id": "break", "type": "shell", "config": {"command": "exit 3"}},
    ],
    "finally": [{"id": "tidy", "type": "noop"}],
}


SILENT = {"name": "silent", "retention": NIGHTLY["retention"], "tasks": [{"id": "a", "type": "noop"}]}


def test_what_was_deleted_is_read_in_the_archive(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server, server.client() as client:
        create_workflow(client, NIGHTLY)
        run_id = client.post("/workflows/nightly/execute", json={"input": {"day": "Monday"}}).json()["id"]
        wait_finished(client, run_id)
        before = server.millrace("show", run_id).stdout
        logs = server.millrace("logs", run_id).stdout.splitlines()
        history = server.millrace("events", run_id).stdout.splitlines()

        done = server.millrace("retention", "run", "--yes").stdout

        assert done.startswith("1 run deleted, 1 run archived before, ended ")
        gone = server.millrace("show", run_id, check=False)
        assert (gone.returncode, f"millrace archive show {run_id}" in gone.stderr) == (2, True)
        shown = server.millrace("archive", "show", run_id).stdout
        assert shown.startswith(before), "as it was shown before"
        assert "archived  20" in shown
        for line in (*logs, *history):
            assert f"  {line}\n" in shown
        assert "f.csv  2 B  sha256" in shown
        (listed,) = server.millrace("archive", "list").stdout.splitlines()[1:]
        assert json.loads(server.millrace("archive", "list", "--json").stdout)["items"][0]["id"] == listed.split()[0]
        found = json.loads(server.millrace("archive", "show", run_id, "--json").stdout)
        assert [task["path"] for task in sorted(found["tasks"], key=lambda task: task["place"])] == [
            "say", "make", "break", "tidy"
        ]  # fmt: skip
        assert (len(found["events"]), len(found["logs"])) == (len(history), len(logs))
        create_workflow(client, SILENT)
        silent = client.post("/workflows/silent/execute", json={}).json()["id"]
        wait_finished(client, silent)
        server.millrace("retention", "run", "--yes")
        found = json.loads(server.millrace("archive", "show", silent, "--json").stdout)
        assert (found["logs"], found["artifacts"], len(found["tasks"])) == ([], [], 1), "what is not there is empty"
        server.millrace("archive", "get", run_id, "-o", str(tmp_path / "run.jsonl"))
        written = (tmp_path / "run.jsonl").read_text()
        assert server.millrace("archive", "get", run_id, "--family").stdout == written
        assert {json.loads(line)["kind"] for line in written.splitlines()} >= {"family", "run", "task_run", "attempt"}


def test_archive_with_a_name_still_puts_a_workflow_away(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server, server.client() as client:
        for name in ("one", "two", "list"):
            create_workflow(client, {"name": name, "tasks": [{"type": "noop", "id": "a"}]})
        assert server.millrace("archive", "one", "two").stdout.startswith("one: archived")
        assert json.loads(server.millrace("archive", "--json", "two").stdout)
        server.millrace("archive", "workflow", "list")
        assert {item["status"] for item in client.get("/workflows").json()["items"]} == {"archived"}
        nobody = server.millrace("archive", "nobody", check=False)
        assert (nobody.returncode, "no workflow" in nobody.stderr) == (2, True)
