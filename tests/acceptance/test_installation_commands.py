"""`millrace tasks`, `archive`, `delete`, `task-types`, `schema`, `workers` and `settings` as people use them."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from tests.support.server import MillraceProcess, create_workflow

FLOW = {"name": "flow", "tasks": [{"id": "first", "type": "noop"}, {"id": "last", "type": "noop"}]}


def ids(server: MillraceProcess) -> list[str]:
    return [item["id"] for item in json.loads(server.millrace("tasks", "list", "flow", "--json").stdout)]


def test_tasks_are_added_changed_moved_and_removed_one_by_one(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        with server.client() as client:
            create_workflow(client, FLOW)
        file = tmp_path / "task.yaml"
        file.write_text("id: note\ntype: log\nconfig: {message: hello}\nafter: first\ncomment: tell it\n")
        assert server.millrace("tasks", "add", "flow", "-f", str(file)).stdout == "flow: version 2, note is tasks[1]\n"
        assert ids(server) == ["first", "note", "last"]
        shown = json.loads(server.millrace("tasks", "show", "flow", "note").stdout)

        changes = ["-s", "id=said", "-s", 'config={"message": "bye"}', "-s", "timeout=5m", "-s", "index=2"]
        server.millrace("tasks", "change", "flow", shown["uid"], *changes)
        changed = json.loads(server.millrace("tasks", "show", "flow", "said").stdout)
        assert changed["task"] == {"id": "said", "type": "log", "config": {"message": "bye"}, "timeout": "5m"}
        assert (changed["uid"], changed["index"]) == (shown["uid"], 2)
        file.write_text("timeout: null\n")
        server.millrace("tasks", "change", "flow", "said", "-f", str(file))
        assert "timeout" not in json.loads(server.millrace("tasks", "show", "flow", "said").stdout)["task"]

        table = server.millrace("tasks", "list", "flow").stdout.splitlines()
        assert [line.split()[:3] for line in table] == [
            ["TASK", "TYPE", "PLACE"],
            ["first", "noop", "tasks[0]"],
            ["last", "noop", "tasks[1]"],
            ["said", "log", "tasks[2]"],
        ]
        assert server.millrace("tasks", "remove", "flow", "said", "-m", "enough").stdout == "said is removed\n"
        assert ids(server) == ["first", "last"]
        assert "enough" in server.millrace("versions", "flow").stdout


def test_a_change_that_is_not_right_changes_nothing_and_says_why(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        with server.client() as client:
            create_workflow(client, FLOW)
        file = tmp_path / "task.yaml"
        file.write_text("id: odd\ntype: teleport\n")
        for arguments, words in (
            (["add", "flow", "-f", str(file)], "type"),
            (["change", "flow", "first"], "either -f FILE or -s field=value"),
            (["change", "flow", "first", "-s", "timeout"], "-s timeout: write key=value"),
            (["change", "flow", "first", "-s", "timeout=soon"], "timeout"),
            (["remove", "flow", "nobody"], "nobody"),
            (["list", "elsewhere"], "elsewhere"),
        ):
            refused = server.millrace("tasks", *arguments, check=False)
            assert (refused.returncode, words in refused.stderr) == (2, True), (arguments, refused.stderr)
        assert len(server.millrace("versions", "flow").stdout.splitlines()) == 2


def test_workflows_are_archived_and_deleted(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        with server.client() as client:
            create_workflow(client, FLOW)
        assert server.millrace("archive", "flow").stdout.startswith("flow: archived")
        assert server.millrace("run", "flow", check=False).returncode == 2
        deleted = server.millrace("delete", "flow", "nobody", "--yes", check=False)
        assert (deleted.returncode, deleted.stdout) == (2, "flow is deleted\n")
        assert "nobody" in deleted.stderr
        assert "flow" not in server.millrace("workflows").stdout.split()


def test_an_installation_shows_what_it_can_do_and_how_it_is_set(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_SMTP_PASSWORD="open sesame") as server:
        types = server.millrace("task-types").stdout
        assert {line.split()[0] for line in types.splitlines()[1:]} >= {"http", "database", "shell", "script", "noop"}
        config = json.loads(server.millrace("task-types", "http").stdout)
        assert "url" in config["properties"]
        unknown = server.millrace("task-types", "teleport", check=False)
        assert (unknown.returncode, "there are agent, approval" in unknown.stderr) == (2, True)

        schema = json.loads(server.millrace("schema").stdout)
        jsonschema_rs.validate(schema, FLOW)
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema, {"name": "flow", "tasks": [{"id": 1}]})

        (worker,) = json.loads(server.millrace("workers", "--json").stdout)
        assert (worker["status"], worker["queues"]) == ("live", ["*"])
        assert worker["id"] in server.millrace("workers", "--all").stdout
        settings = server.millrace("settings").stdout
        assert re.search(rf"^MILLRACE_HOME +{re.escape(str(tmp_path / 'home'))}$", settings, re.MULTILINE)
        assert "open sesame" not in settings + server.millrace("settings", "--json").stdout
