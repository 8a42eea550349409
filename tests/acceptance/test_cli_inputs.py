"""What runs are given on the command line, and what those that do a run again take over from it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MillraceProcess, create_workflow, wait_finished

TYPED: dict[str, Any] = {
    "name": "typed",
    "labels": {"team": "data"},
    "input": {
        "type": "object",
        "properties": {"zip": {"type": "string"}, "count": {"type": "integer"}, "note": {"type": ["string", "null"]}},
    },
    "tasks": [{"id": "a", "type": "noop"}],
}
GATED: dict[str, Any] = {
    "name": "gated",
    "tasks": [
        {"id": "fetch", "type": "log", "config": {"message": "fetched"}},
        {"id": "load", "type": "shell", "config": {"command": 'test -e "$GATE"', "env": {"GATE": "{{ input.gate }}"}}},
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    settings = {"MILLRACE_APPLY_EXAMPLES": "false", "MILLRACE_SECRET_TOKEN": "hush-hush-17"}
    with MillraceProcess(tmp_path_factory.mktemp("inputs") / "home", **settings) as running:
        with running.client() as client:
            for body in (TYPED, GATED):
                create_workflow(client, body)
        yield running


def started(server: MillraceProcess, *arguments: str, **options: Any) -> dict[str, Any]:
    """The run that the command started, as it is when it has finished."""
    run_id = server.millrace(*arguments, **options).stdout.strip()
    with server.client() as client:
        return wait_finished(client, run_id)


def failed_at_the_gate(server: MillraceProcess, gate: Path) -> dict[str, Any]:
    return started(server, "run", "gated", "-i", f"gate={gate}", "-i", "day=mon")


def test_a_value_is_text_where_the_schema_wants_text(server: MillraceProcess) -> None:
    given = ["-i", "zip=01234", "-i", "count=3", "-i", "note=null"]
    expected = {"zip": "01234", "count": 3, "note": None}
    assert started(server, "run", "typed", *given)["input"] == expected
    digits = started(server, "run", "typed", "-i", "zip=12345", "-i", 'other="5"', "-i", "more=5")
    assert digits["input"] == {"zip": "12345", "other": "5", "more": 5}
    assert started(server, "rerun", digits["id"], "-i", "zip=777")["input"] == {**digits["input"], "zip": "777"}
    of_version = started(server, "run", "typed", "--version", "1", "-i", "zip=12345")
    assert of_version["input"] == {"zip": "12345"}
    quoted = started(server, "run", "typed", "-i", 'zip="12345"')
    assert quoted["input"] == {"zip": "12345"}, "quotes make a text of it everywhere"


def test_the_whole_input_comes_from_a_file_or_a_pipe(server: MillraceProcess, tmp_path: Path) -> None:
    place = tmp_path / "input.json"
    place.write_text('{"zip": "01234", "count": 1}')
    run = started(server, "run", "typed", "--input-file", str(place), "-i", "count=2")
    assert run["input"] == {"zip": "01234", "count": 2}
    piped = started(server, "rerun", run["id"], "--input-file", "-", input='{"note": "piped"}')
    assert piped["input"] == {"note": "piped"}, "the whole input"
    place.write_text("[1]")
    for file, expected in ((str(place), "an input is an object"), (str(tmp_path / "none"), "No such file")):
        refused = server.millrace("run", "typed", "--input-file", file, check=False)
        assert (refused.returncode, f"--input-file {file}: {expected}" in refused.stderr) == (2, True), refused.stderr
    refused = server.millrace("run", "typed", "--input-file", "-", check=False, input="{")
    assert (refused.returncode, "--input-file -: not JSON" in refused.stderr) == (2, True)


def test_i_changes_the_keys_it_names(server: MillraceProcess, tmp_path: Path) -> None:
    old = failed_at_the_gate(server, tmp_path / "gate")
    (tmp_path / "gate").touch()
    for command in ("retry", "rerun"):
        new = started(server, command, old["id"], "-i", "day=tue", "-i", "late=true")
        assert new["input"] == {"gate": str(tmp_path / "gate"), "day": "tue", "late": True}
        assert new["status"] == "completed"


def test_a_secret_in_the_old_input_is_not_replaced_by_its_mask(server: MillraceProcess) -> None:
    old = started(server, "run", "typed", "-i", "key=hush-hush-17", "-i", "count=1")
    assert old["input"]["key"] == "***"
    refused = server.millrace("rerun", old["id"], "-i", "count=2", check=False)
    assert (refused.returncode, "the old input has secrets in key" in refused.stderr) == (2, True), refused.stderr
    assert started(server, "rerun", old["id"], "-i", "count=2", "-i", "key=none")["input"]["count"] == 2


def test_a_retry_says_what_it_is_and_what_it_took_over(server: MillraceProcess, tmp_path: Path) -> None:
    old = failed_at_the_gate(server, tmp_path / "gate")
    (tmp_path / "gate").touch()
    new = started(server, "retry", old["id"])
    shown = server.millrace("show", new["id"]).stdout.splitlines()
    assert f"retry of  {old['id']}, took over 1 of 2 tasks" in shown
    (fetch,) = (line for line in shown if line.startswith("fetch "))
    assert fetch.endswith(f"taken over from {old['id']}")
    told = server.millrace("explain", new["id"]).stdout.splitlines()
    assert told[1] == f"  retry of {old['id']}"
    assert told[2] == f"fetch  ✔ completed  taken over from {old['id']}"
    assert "retry of" not in server.millrace("show", old["id"]).stdout


def test_newest_is_a_version_wherever_one_is_named(server: MillraceProcess) -> None:
    with server.client() as client:
        create_workflow(client, {"name": "moving", "tasks": [{"id": "a", "type": "noop"}]})
        newer = {"tasks": [{"id": "b", "type": "noop"}], "deploy": False}
        assert client.patch("/workflows/moving", json=newer).status_code == 200
        body = {"version": "newest", "wait": True}
        assert client.post("/workflows/moving/execute", json=body).json()["workflow"]["version"] == 2
    assert started(server, "run", "moving")["workflow"]["version"] == 1
    assert started(server, "run", "moving", "--version", "newest")["workflow"]["version"] == 2
    assert "version 1 -> 2" in server.millrace("diff", "moving", "--from", "1", "--to", "newest").stdout
    server.millrace("tag", "moving", "1", "newest")
    assert started(server, "run", "moving", "--version", "newest")["workflow"]["version"] == 1, "a tag goes first"


def test_a_tag_is_moved_in_one_step(server: MillraceProcess) -> None:
    with server.client() as client:
        create_workflow(client, {"name": "tagged", "tasks": [{"id": "a", "type": "noop"}]})
        for timeout in ("1m", "2m"):
            assert client.patch("/workflows/tagged", json={"timeout": timeout}).status_code == 200
    server.millrace("tag", "tagged", "1", "stable")
    refused = server.millrace("tag", "tagged", "3", "stable", check=False)
    assert (refused.returncode, "millrace tag --move" in refused.stderr) == (2, True), refused.stderr
    for version in ("3", "2", "3"):
        assert server.millrace("tag", "tagged", version, "stable", "--move").stdout == f"version {version}: stable\n"
        with server.client() as client:
            items = client.get("/workflows/tagged/versions").json()["items"]
            assert [str(item["number"]) for item in items if item["tag"]] == [version]


def test_a_definition_is_piped_in(server: MillraceProcess) -> None:
    text = "name: piped\ntasks: [{id: a, type: noop}]\n"
    assert server.millrace("validate", "-", input=text).stdout == "-: valid\n"
    assert server.millrace("apply", "-f", "-", input=text).stdout == "created   -: piped version 1\n"
    assert server.millrace("apply", "-f", "-", input=json.dumps({"name": "piped", "tasks": []}), check=False).returncode
    assert server.millrace("apply", "-f", "-", input=text).stdout == "unchanged -: piped version 1\n"


def test_many_runs_are_narrowed_as_lists_are(server: MillraceProcess, tmp_path: Path) -> None:
    with server.client() as client:
        create_workflow(client, {**GATED, "name": "labelled", "labels": {"team": "web"}})
    runs = [started(server, "run", "labelled", "-i", f"gate={tmp_path / 'gate'}") for _ in range(2)]

    def meant(*narrow: str) -> str:
        return server.millrace("bulk", "retry", "--dry-run", *narrow).stdout

    assert meant("-l", "team:web") == "2 runs are meant\n"
    assert meant("-l", "team:web", "--since", runs[1]["created_at"]) == "1 run is meant\n"
    assert meant("-l", "team:web", "--until", runs[1]["created_at"], "--trigger", "manual") == "1 run is meant\n"
    assert meant("-l", "team:web", "--trigger", "cron") == "0 runs are meant\n"
    refused = server.millrace("bulk", "retry", "-l", "team", check=False)
    assert (refused.returncode, "--label team: write key:value" in refused.stderr) == (2, True)


def test_each_run_that_does_not_take_it_is_named(server: MillraceProcess, tmp_path: Path) -> None:
    with server.client() as client:
        created = create_workflow(client, {**GATED, "name": "changing"})
        runs = [started(server, "run", "changing", "-i", f"gate={tmp_path / 'gate'}") for _ in range(2)]
    done = server.millrace("bulk", "retry", "-w", "changing", "--version", "7").stdout.splitlines()
    assert done[0] == "retry: 0 of 2 runs, 2 did not take it"
    expected = f"workflow {created['name']!r} has no version 7; the newest is 1"
    assert sorted(done[1:]) == sorted(f"  {run['id']}: {expected}" for run in runs)


def test_times_have_the_offset_of_whoever_reads_them(server: MillraceProcess) -> None:
    run = started(server, "run", "typed")
    environment = {**server.environment, "TZ": "Asia/Kolkata"}
    for arguments in (["runs"], ["show", run["id"]], ["explain", run["id"]], ["versions", "typed"]):
        shown = elsewhere(server, environment, *arguments)
        assert "+05:30" in shown, shown
    previewed = elsewhere(server, environment, "triggers", "preview", "0 2 * * *", "-z", "Europe/Berlin", "-n", "1",
                          "--from", "2026-06-01T12:00:00Z").splitlines()  # fmt: skip
    line = "2026-06-02 05:30:00+05:30  2026-06-02 02:00:00+02:00  2026-06-02 05:30:00+05:30"
    assert previewed[-1] == line


def elsewhere(server: MillraceProcess, environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "millrace.cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
