"""The command line as people use it: on a terminal, in a pipe, in a script that looks at the exit status."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MillraceProcess, wait_finished
from tests.support.terminal import on_a_terminal

SEQUENCE: dict[str, Any] = {
    "name": "greet",
    "input": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False},
    "tasks": [
        {"id": "ask", "type": "shell", "config": {"command": "echo one; echo two >&2"}},
        {"id": "say", "type": "log", "config": {"message": "hello, {{ input.name }}"}},
    ],
    "output": "{{ input.name }}",
}
FAILING = {"name": "failing", "tasks": [{"id": "no", "type": "shell", "config": {"command": "exit 7"}}]}
SLOW = {"name": "slow", "tasks": [{"id": "nap", "type": "shell", "config": {"command": ["sleep", "60"]}}]}
FAULTY = {
    "name": "faulty",
    "tasks": [
        {"id": "a", "type": "shel", "config": {"command": "true"}},
        {"id": "b", "type": "shell", "config": {"comand": "true"}, "depends_on": ["c"]},
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    folder = tmp_path_factory.mktemp("cli")
    with MillraceProcess(folder / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        for definition in (SEQUENCE, FAILING, SLOW):
            place = folder / f"{definition['name']}.json"
            place.write_text(json.dumps(definition))
            running.millrace("apply", "-f", str(place))
        yield running


def test_follow_prints_plain_lines_in_a_pipe(server: MillraceProcess) -> None:
    output = server.millrace("run", "greet", "-i", "name=Ada", "--follow").stdout
    assert "\x1b" not in output
    lines = output.splitlines()
    assert re.fullmatch(r"run [0-9a-f-]{36} of greet version 1", lines[0])
    assert any(line.endswith("ask started") for line in lines)
    assert any(line.endswith("say completed") for line in lines)
    assert lines[-1] == 'output    "Ada"'


def test_follow_draws_a_live_picture_on_a_terminal(server: MillraceProcess) -> None:
    status, drawn = on_a_terminal(server, "run", "greet", "-i", "name=Ada", "--follow")
    assert status == 0, drawn
    assert "\x1b[" in drawn
    assert "ask" in drawn
    assert "completed" in drawn
    assert '"Ada"' in drawn


def test_the_live_picture_is_no_higher_than_the_terminal(server: MillraceProcess) -> None:
    """The terminal has 40 lines."""
    tasks: list[dict[str, Any]] = [{"id": f"t{number}", "type": "noop", "depends_on": []} for number in range(60)]
    nap = {"id": "nap", "type": "shell", "depends_on": [], "config": {"command": "sleep 1.5"}}
    wait = {"id": "wait", "type": "sleep", "depends_on": [], "config": {"duration": "1500ms"}}
    with server.client() as client:
        assert client.post("/workflows", json={"name": "high", "tasks": [nap, wait, *tasks]}).status_code == 201
    code, drawn = on_a_terminal(server, "run", "high", "--follow")
    assert code == 0, drawn
    heights = [redrawn.count("\x1b[1A") for redrawn in re.findall(r"(?:\x1b\[1A|\x1b\[2K|\r)+", drawn)]
    assert 30 < max(heights) < 40
    assert "and 26 tasks more: 26 completed; millrace show has all" in drawn
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert re.search(r"wait +waiting .*it goes on at", plain), "what a wait waits for"
    so_far = set(re.findall(r"nap +running +1 +([0-9.]+ m?s)", plain))
    assert len(so_far) > 2, "the time that a task takes is seen to pass"


def test_a_large_run_is_followed_to_its_end_and_shown_whole(server: MillraceProcess, tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(450)]
    tasks = [{"id": name, "type": "noop", "depends_on": []} for name in names]
    place = tmp_path / "wide.json"
    place.write_text(json.dumps({"name": "wide", "tasks": tasks}))
    server.millrace("apply", "-f", str(place))
    lines = server.millrace("run", "wide", "--follow").stdout.splitlines()
    assert sum(line.endswith(" completed") for line in lines) == 451, "every task, and the run"
    run = json.loads(server.millrace("runs", "--workflow", "wide", "--json").stdout)["items"][0]
    shown = json.loads(server.millrace("show", run["id"], "--json").stdout)
    assert [task["path"] for task in shown["tasks"]] == names


def test_an_input_that_only_python_takes_for_a_number_is_text(server: MillraceProcess) -> None:
    run = json.loads(server.millrace("run", "greet", "-i", "name=NaN", "--follow", "--json").stdout)
    assert run["input"] == {"name": "NaN"}


def test_variables_of_a_run_and_of_those_that_do_it_again(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "varied.json"
    fail = {"id": "no", "type": "shell", "config": {"command": "exit 1"}}
    place.write_text(json.dumps({"name": "varied", "variables": {"region": "eu", "size": 1}, "tasks": [fail]}))
    server.millrace("apply", "-f", str(place))

    def started(*arguments: str) -> dict[str, Any]:
        done = server.millrace(*arguments, "--follow", "--json", check=False)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first = started("run", "varied", "-v", "region=us", "--variable", "size=3")
    assert first["variables"] == {"region": "us", "size": 3}
    assert started("retry", first["id"])["variables"] == {"region": "us", "size": 3}
    assert started("retry", first["id"], "-v", "size=4")["variables"] == {"region": "us", "size": 4}
    assert started("rerun", first["id"], "-v", "region=ap")["variables"] == {"region": "ap", "size": 3}
    refused = server.millrace("run", "varied", "-v", "region", check=False)
    assert (refused.returncode, "-v region: write key=value" in refused.stderr) == (2, True)


def test_without_follow_run_prints_the_id_alone(server: MillraceProcess) -> None:
    run_id = server.millrace("run", "greet", "-i", "name=Ada").stdout.strip()
    with server.client() as client:
        assert wait_finished(client, run_id)["input"] == {"name": "Ada"}


def test_json_is_one_document_for_programs(server: MillraceProcess) -> None:
    run = json.loads(server.millrace("run", "greet", "-i", "name=Ada", "--follow", "--json").stdout)
    assert (run["status"], run["output"]) == ("completed", "Ada")
    page = json.loads(server.millrace("runs", "--workflow", "greet", "--json").stdout)
    assert run["id"] in {item["id"] for item in page["items"]}
    shown = json.loads(server.millrace("show", run["id"], "--json").stdout)
    assert [task["path"] for task in shown["tasks"]] == ["ask", "say"]


@pytest.mark.parametrize(("workflow", "status"), [("greet", 0), ("failing", 1)])
def test_the_exit_status_says_how_the_run_ended(server: MillraceProcess, workflow: str, status: int) -> None:
    arguments = ["-i", "name=x"] if workflow == "greet" else []
    done = server.millrace("run", workflow, *arguments, "--follow", check=False)
    assert done.returncode == status, done.stdout + done.stderr


def test_cancel_stops_the_work_and_the_follower_exits_with_3(server: MillraceProcess) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli.main", "run", "slow", "--follow"],
        env=server.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    run_id = follower.stdout.readline().split()[1]
    until = time.monotonic() + 20
    while "nap started" not in (line := follower.stdout.readline()):
        assert time.monotonic() < until, line
    server.millrace("cancel", run_id, "--reason", "enough")
    rest, _ = follower.communicate(timeout=30)
    assert follower.returncode == 3, rest
    assert "enough" in rest
    shown = server.millrace("show", run_id).stdout
    assert "cancelled" in shown


def test_show_and_explain_tell_why_a_run_was_cancelled_and_by_whom(server: MillraceProcess) -> None:
    run_id = server.millrace("run", "slow").stdout.strip()
    server.millrace("cancel", run_id, "--reason", "because")
    never = server.millrace("run", "slow", "--at", "2999-01-01T00:00:00Z").stdout.strip()
    server.millrace("cancel", never)
    with server.client() as client:
        assert wait_finished(client, run_id)["cancelled_by"]["name"] == "Administrator"
        wait_finished(client, never)
    shown, told = server.millrace("show", run_id).stdout, server.millrace("explain", run_id).stdout.splitlines()
    assert "cancel    because (by Administrator)" in shown.splitlines()
    assert "trigger   manual, by Administrator" in shown.splitlines()
    assert shown.rstrip().endswith("cancelled with the run")
    assert told[0].endswith("cancel: because (by Administrator)")
    assert any(line.startswith("nap ") and line.endswith("cancelled with the run") for line in told)
    shown = server.millrace("show", never).stdout.splitlines()
    assert "cancelled before it started" in shown
    assert "cancel    by Administrator" in shown


def test_in_a_large_run_a_loop_is_one_line_that_says_how_far_it_is(server: MillraceProcess) -> None:
    item = {"id": "one", "type": "transform", "if": "{{ item != 7 }}", "config": {"output": "{{ item }}"}}
    loop = {"id": "all", "type": "foreach", "config": {"items": list(range(250))}, "tasks": [item]}
    with server.client() as client:
        created = client.post("/workflows", json={"name": "large", "tasks": [loop, {"id": "last", "type": "noop"}]})
        assert created.status_code == 201, created.text
        run_id = client.post("/workflows/large/execute", json={"wait": True}).json()["id"]
    shown = server.millrace("show", run_id).stdout.splitlines()
    (line,) = [line for line in shown if line.startswith("all ")]
    assert line.endswith("250 of 250 iterations begun")
    assert not any("all[" in line for line in shown)
    assert shown[-1] == f"what is in all: millrace show {run_id} --within all"
    inside = server.millrace("show", run_id, "--within", "all").stdout.splitlines()
    assert sum(line.startswith("all[") for line in inside) == 250
    skipped = server.millrace("show", run_id, "--within", "all", "--status", "skipped").stdout.splitlines()
    assert [line.split()[0] for line in skipped if line.startswith("all")] == ["all[7].one"]
    code, drawn = on_a_terminal(server, "run", "large", "--follow")
    assert code == 0
    assert "250 of 250 iterations begun" in drawn
    assert len(json.loads(server.millrace("show", run_id, "--json").stdout)["tasks"]) == 252


def test_the_key_of_an_item_stands_beside_the_path(server: MillraceProcess) -> None:
    inner = {"id": "load", "type": "noop"}
    loop = {"id": "all", "type": "foreach", "config": {"items": ["a", "b" * 50], "key": "{{ item }}"}, "tasks": [inner]}
    with server.client() as client:
        created = client.post("/workflows", json={"name": "keyed", "tasks": [loop]})
        assert created.status_code == 201, created.text
        run_id = client.post("/workflows/keyed/execute", json={"wait": True}).json()["id"]
    named = {"all[0].load (a)", f"all[1].load ({'b' * 39}…)"}
    for narrow in ([], ["--within", "all"]):
        shown = server.millrace("show", run_id, *narrow).stdout.splitlines()
        assert {line.partition("  ")[0] for line in shown if line.startswith("all[")} == named
    code, drawn = on_a_terminal(server, "run", "keyed", "--follow")
    assert code == 0
    assert "all[0].load (a)" in drawn


def test_a_run_that_was_replaced_names_the_one_that_took_its_place(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "replacing.json"
    limit = {"limit": 1, "when_full": "cancel_oldest"}
    place.write_text(json.dumps({**SLOW, "name": "replacing", "concurrency": limit}))
    server.millrace("apply", "-f", str(place))
    first, second = (server.millrace("run", "replacing").stdout.strip() for _ in range(2))
    with server.client() as client:
        assert wait_finished(client, first)["status"] == "cancelled"
    why = f"when_full: cancel_oldest, replaced by run {second}"
    assert f"cancel    {why}" in server.millrace("show", first).stdout.splitlines()
    assert server.millrace("explain", first).stdout.splitlines()[0].endswith(f"cancel: {why}")
    server.millrace("cancel", second)


def test_no_text_gives_orders_to_the_terminal(server: MillraceProcess, tmp_path: Path) -> None:
    name = "evil\x1b[31mred\x1b]0;t\x07\x9b2J\x7f\u202e"
    shown = "evil\N{REPLACEMENT CHARACTER}[31mred"
    with server.client() as client:
        body = {"name": name, "description": name, "tasks": [{"id": "a", "type": "log", "config": {"message": name}}]}
        created = client.post("/workflows", json=body)
        assert created.status_code == 201, created.text
        run_id = client.post(f"/workflows/{created.json()['id']}/execute", json={}).json()["id"]
        wait_finished(client, run_id)
    for arguments in (
        ["workflows"], ["runs"], ["show", run_id], ["logs", run_id], ["run", created.json()["id"], "--follow"],
        ["run", name, "-i", "unknown"], ["versions", name], ["workflows", "--json"], ["export", created.json()["id"]],
    ):  # fmt: skip
        _, drawn = on_a_terminal(server, *arguments)
        for order in ("\x1b[31mred", "\x1b]0", "\x07", "\x9b", "\x7f", "\u202e"):
            assert order not in drawn, (arguments, order, drawn)
    assert shown in server.millrace("workflows").stdout
    assert shown in server.millrace("show", run_id).stdout
    assert shown in server.millrace("logs", run_id).stdout
    assert "\u202e" in server.millrace("export", created.json()["id"]).stdout, "a file gets what it is"
    listed = json.loads(server.millrace("workflows", "--json").stdout)
    assert name in {workflow["name"] for workflow in listed}, "programs get what it is"
    _, drawn = on_a_terminal(server, "show", run_id)
    assert "\x1b[32m✔ completed\x1b[0m" in drawn, "what is ours has its colours"


def test_logs_are_printed_in_order_with_their_task(server: MillraceProcess) -> None:
    run = json.loads(server.millrace("run", "greet", "-i", "name=Ada", "--follow", "--json").stdout)
    lines = server.millrace("logs", run["id"]).stdout.splitlines()
    said = [line.split(" ", 1)[1] for line in lines]
    assert sorted(said[:2]) == ["ask | WARNING two", "ask | one"]
    assert said[2:] == ["say | hello, Ada"]


def test_runs_and_show_are_tables(server: MillraceProcess) -> None:
    listed = server.millrace("runs", "--limit", "5").stdout
    assert listed.splitlines()[0].lower().split() == ["id", "workflow", "version", "status", "created", "took"]
    failed = json.loads(server.millrace("runs", "--status", "failed", "--json").stdout)["items"][0]
    shown = server.millrace("show", failed["id"]).stdout
    assert "exit code 7" in shown


def test_runs_of_several_workflows_are_listed_together(server: MillraceProcess) -> None:
    def names(*narrow: str) -> set[str]:
        found = json.loads(server.millrace("runs", "--limit", "200", "--json", *narrow).stdout)["items"]
        return {run["workflow"]["name"] for run in found}

    assert {"greet", "wide"} < names()
    assert names("-w", "greet", "-w", "wide") == {"greet", "wide"}
    refused = server.millrace("bulk", "cancel", "-w", "greet", "-w", "wide", check=False)
    assert (refused.returncode, "one --workflow at a time" in refused.stderr) == (2, True)


def test_runs_can_be_searched(server: MillraceProcess) -> None:
    def found(*narrow: str) -> list[str]:
        return [run["id"] for run in json.loads(server.millrace("runs", "--json", *narrow).stdout)["items"]]

    first, second = (
        json.loads(server.millrace("run", "greet", "--correlation-id", "order 17", "--json").stdout) for _ in range(2)
    )
    both = [second["id"], first["id"]]
    assert found("--correlation-id", "order 17") == both
    assert found("--correlation-id", "order 17", "--limit", "1") == both[:1]
    assert found("--correlation-id", "order 17", "--until", second["created_at"]) == both[1:]
    assert found("--correlation-id", "order 17", "--since", second["created_at"]) == both[:1]
    assert found("--correlation-id", "order 17", "--trigger", "cron") == []
    assert found("--correlation-id", "order 17", "-s", "failed", "-s", "cancelled", "-l", "team:data") == []
    refused = server.millrace("runs", "--since", "yesterday", check=False)
    assert (refused.returncode, "created_after" in refused.stderr) == (2, True)


def test_validate_tells_every_fault_with_its_place(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "faulty.json"
    place.write_text(json.dumps(FAULTY))
    done = server.millrace("validate", str(place), check=False)
    assert done.returncode == 1
    for expected in ("tasks[0].type", "tasks[1].config.comand", "tasks[1].depends_on[0]", "shell", "command"):
        assert expected in done.stdout, done.stdout
    as_json = json.loads(server.millrace("validate", str(place), "--json", check=False).stdout)
    assert {fault["path"] for fault in as_json[0]["problem"]["faults"]} >= {"tasks[0].type", "tasks[1].depends_on[0]"}


def test_apply_says_what_it_did_and_does_it_once(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "applied.yaml"
    place.write_text("name: applied\ndescription: first\ntasks: [{id: a, type: noop}]\noutput: {a: 1}\n")
    outcomes = [server.millrace("apply", "-f", str(place)).stdout.split()[0] for _ in range(2)]
    place.write_text("name: applied\ntasks: [{id: b, type: noop}]\n")
    outcomes.append(server.millrace("apply", "-f", str(tmp_path)).stdout.split()[0])
    assert outcomes == ["created", "unchanged", "updated"]
    with server.client() as client:
        kept = client.get("/workflows/applied").json()["definition"]
    assert kept == {"name": "applied", "tasks": [{"id": "b", "type": "noop"}]}, "a file is the whole definition"


def test_what_is_not_there_ends_with_2_and_says_so(server: MillraceProcess) -> None:
    for arguments in (["run", "grete"], ["show", "0197"], ["validate", "/no/such/file.yaml"], ["frobnicate"]):
        done = server.millrace(*arguments, check=False)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert done.stderr.strip(), arguments


def test_a_wrong_input_names_the_field(server: MillraceProcess) -> None:
    done = server.millrace("run", "greet", "-i", "nmae=Ada", check=False)
    assert done.returncode == 2
    assert "nmae" in done.stderr


def test_doctor_finds_nothing_on_a_healthy_installation(server: MillraceProcess) -> None:
    assert "no problems" in server.millrace("doctor").stdout


def test_no_server_ends_with_4_and_says_how_to_start_one(server: MillraceProcess) -> None:
    done = server.millrace("runs", "--server", "http://127.0.0.1:9", check=False)
    assert done.returncode == 4
    assert "millrace up" in done.stderr


def test_a_wrong_key_is_refused_without_showing_it(server: MillraceProcess) -> None:
    environment = {**server.environment, "MILLRACE_API_KEY": "mr_wrong"}
    done = subprocess.run(
        [sys.executable, "-m", "millrace.cli.main", "runs"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "mr_wrong" not in done.stdout + done.stderr


EMPTY = {
    ("explain",): "error: '' is no id of a run; `millrace runs` lists them\n",
    ("show",): "error: '' is no id of a run; `millrace runs` lists them\n",
    ("triggers", "show"): "error: '' is no id of a trigger; `millrace triggers` lists them\n",
    ("artifacts", "download"): "error: '' is no id of an artifact; `millrace artifacts list` lists them\n",
    ("event", "show"): "error: '' is no id of an event; `millrace event list` lists them\n",
    ("secrets", "delete", "--yes"): "error: '' is no name of a secret; `millrace secrets` lists them\n",
    ("connections", "show"): "error: '' is no name of a connection; `millrace connections` lists them\n",
    ("tasks", "show", "greet"): "error: '' is no name of a task; `millrace tasks list` lists them\n",
    ("rollback", "greet"): "error: '' is no name of a version; `millrace versions` lists them\n",
    ("run",): "error: there is no workflow named ''\n",
    ("validate",): "error: the name of the file or folder is empty; write . for the current folder\n",
    ("apply", "-f"): "error: the name of the file or folder is empty; write . for the current folder\n",
}


@pytest.mark.parametrize("command", EMPTY, ids=" ".join)
def test_an_empty_argument_is_told_in_the_words_of_the_command(
    server: MillraceProcess, command: tuple[str, ...]
) -> None:
    done = server.millrace(*command, "", check=False)
    assert (done.returncode, done.stderr) == (2, EMPTY[command])


def test_an_id_leads_nowhere_else(server: MillraceProcess) -> None:
    for wrong in ("../workflows", "a/b", "a?b", "a b"):
        done = server.millrace("show", wrong, check=False)
        assert (done.returncode, f"{wrong!r} is no id of a run" in done.stderr) == (2, True)


def test_that_it_failed_is_said_once(server: MillraceProcess) -> None:
    done = server.millrace("run", "failing", "--follow", check=False)
    assert "error     task `no` failed: the command ended with exit code 7" in done.stdout.splitlines()
    run_id = done.stdout.split()[1]
    told = [server.millrace(command, run_id).stdout for command in ("show", "explain", "events")]
    assert "error: " not in "".join([done.stdout, *told])
