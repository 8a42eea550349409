"""T3: shell and script tasks of a server that is not root, with real processes: as whom, with what, and how much."""

import json
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MillraceProcess, create_workflow, wait_finished
from tests.support.unprivileged import UNPRIVILEGED, home_of_nobody, server_of_nobody

LIMITS = "cpu=2s,memory=300Mi,file_size=1Mi,open_files=64"


@pytest.fixture(scope="module")
def server() -> Iterator[MillraceProcess]:
    settings = {"MILLRACE_SHELL_LIMITS": LIMITS, "MILLRACE_SECRET_PLANTED": "quiet-canary", "PLANTED": "loud-canary"}
    with home_of_nobody() as home, server_of_nobody(home, **settings) as server:
        yield server


def outcome(server: MillraceProcess, type_: str = "shell", **config: Any) -> dict[str, Any]:
    """The task run of a workflow of this one task."""
    with server.client() as client:
        workflow = create_workflow(
            client, {"name": f"w{len(client.get('/workflows').json()['items'])}",
                     "tasks": [{"id": "a", "type": type_, "config": config}]},
        )  # fmt: skip
        run = client.post(f"/workflows/{workflow['id']}/execute", json={}).json()
        wait_finished(client, run["id"])
        task: dict[str, Any] = client.get(f"/runs/{run['id']}/tasks/a").json()
        return task


def stdout(server: MillraceProcess, command: str, **config: Any) -> str:
    task = outcome(server, command=command, **config)
    assert task["status"] == "completed", task
    said: str = task["output"]["stdout"]
    return said


def failure(server: MillraceProcess, command: str, **config: Any) -> str:
    task = outcome(server, command=command, **config)
    assert task["status"] == "failed", task
    message: str = task["error"]["message"]
    return message


def test_commands_run_as_whom_the_server_runs_and_gain_nothing(server: MillraceProcess) -> None:
    who = pwd.getpwnam(UNPRIVILEGED)
    assert Path(f"/proc/{server.pid}").stat().st_uid == who.pw_uid
    seen = stdout(server, "id -u; id -g; id -G; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status | cut -f2; umask")
    assert seen.split() == [str(who.pw_uid), str(who.pw_gid), str(who.pw_gid), "0" * 16, "1", "0077"]


def test_each_has_an_empty_folder_of_its_own_which_goes(server: MillraceProcess) -> None:
    seen = stdout(server, "pwd; echo $HOME; echo $TMPDIR; stat -c '%U %a' .; ls -A; touch left; mkdir -p a/b").split()
    folder, home, temporary, owner, mode = seen
    assert folder == home == temporary
    assert (owner, mode) == (UNPRIVILEGED, "700")
    assert not Path(folder).exists()
    assert stdout(server, "pwd").strip() != folder


def test_a_folder_that_it_has_shut_goes_as_well(server: MillraceProcess) -> None:
    folder = stdout(server, "mkdir -p shut/within && touch shut/within/file && chmod 0 shut/within shut && pwd").strip()
    assert not Path(folder).exists()


def test_they_see_nothing_of_the_environment_and_the_files_of_the_server(server: MillraceProcess) -> None:
    task = outcome(server, command=["env"], env={"OWN": "1"})
    names = {line.partition("=")[0] for line in task["output"]["stdout"].splitlines()}
    usual = {"PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "MILLRACE_ATTEMPT", "OWN"}
    assert names - {"LANG", "LANGUAGE", "TZ"} == usual | {name for name in names if name.startswith("LC_")}
    assert "canary" not in json.dumps(task)
    assert outcome(server, command=["ls", "/proc/self/fd"])["output"]["stdout"].split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("while :; do :; done", "used more than its 2 s of CPU time (limits.cpu)"),
        ("head -c 2000000 /dev/zero > large", "wanted to write a file larger than 1Mi (limits.file_size)"),
        ("exec python3 -c 'x = bytearray(900_000_000)'", "ran out of its 300Mi of memory (limits.memory)"),
        ("exec python3 -c 'f = [open(\"/dev/null\") for _ in range(99)]'", "more than 64 files (limits.open_files)"),
    ],
)
def test_the_limits_hold(server: MillraceProcess, command: str, told: str) -> None:
    assert told in failure(server, command)


@pytest.mark.parametrize("raised", ["-t 99", "-d unlimited", "-f unlimited", "-n 1024", "-c 100"])
def test_no_limit_can_be_raised(server: MillraceProcess, raised: str) -> None:
    task = outcome(server, command=f"ulimit {raised}")
    assert (task["status"], "ulimit" in task["error"]["message"]) == ("failed", True), task


def test_more_than_there_is_cannot_be_asked_for(server: MillraceProcess) -> None:
    assert "limits.memory is 1Gi, and MILLRACE_SHELL_LIMITS allows at most 300Mi" in failure(
        server, "true", limits={"memory": "1Gi"}
    )


def test_a_folder_that_it_may_not_enter_is_named(server: MillraceProcess) -> None:
    with tempfile.TemporaryDirectory() as closed:
        for folder in (closed, f"{closed}/within"):
            said = failure(server, "true", working_dir=folder)
            assert said == f"the working directory {folder} cannot be used: Permission denied"


def test_what_leaves_its_group_ends_with_it(server: MillraceProcess) -> None:
    pid = stdout(server, "setsid sh -c 'echo $$ > pid; exec sleep 600' & while ! test -s pid; do :; done; cat pid")
    assert not Path(f"/proc/{pid.strip()}").exists()


def test_scripts_and_files_work_as_well(server: MillraceProcess) -> None:
    source = "open('made.txt', 'w').write(str(input)); import os; result = os.getuid()"
    task = outcome(server, "script", language="python", source=source, input=7, outputs={"made": "made.txt"})
    assert task["status"] == "completed", task
    assert task["output"]["result"] == pwd.getpwnam(UNPRIVILEGED).pw_uid
    assert task["output"]["files"]["made"]["size"] == 1


@pytest.mark.parametrize("name", ["root", "daemon", "no-such-user"])
def test_another_user_is_refused_at_the_start(name: str) -> None:
    with home_of_nobody() as home:
        server = server_of_nobody(home, MILLRACE_SHELL_USER=name)
        server.spawn()
        try:
            assert server.wait() == 2
        finally:
            server.kill()
        told = server.log.read_text()
        assert f"MILLRACE_SHELL_USER names {name}" in told
        assert "a worker that runs as nobody can become nobody else; run it as root, or leave the setting out" in told
        assert list(home.iterdir()) == []


def test_its_own_name_may_be_given() -> None:
    with home_of_nobody() as home, server_of_nobody(home, MILLRACE_SHELL_USER=UNPRIVILEGED) as server:
        assert stdout(server, "whoami").strip() == UNPRIVILEGED
