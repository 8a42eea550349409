"""A worker that is root: what its commands cannot read, and that nothing of them stays when it is killed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")

AS_NOBODY = {"MILLRACE_SHELL_USER": "nobody", "MILLRACE_SECRET_TOKEN": "hidden-token"}


@pytest.fixture
def meeting_place() -> Iterator[Path]:
    """A folder that everybody may use; those of tests are their owner's alone."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_nothing_stays_of_a_killed_worker(tmp_path: Path, meeting_place: Path) -> None:
    noted = meeting_place / "noted"
    command = f"pwd > {noted}; echo $$ >> {noted}; setsid sh -c 'echo $$ >> {noted}; exec sleep 600' & exec sleep 600"
    task = {"id": "sh", "type": "shell", "retry": {"on_crash": False}, "config": {"command": command}}
    with MillraceProcess(tmp_path / "home", **AS_NOBODY) as server, server.client() as client:
        create_workflow(client, {"name": "left", "tasks": [task]})
        assert client.post("/workflows/left/execute").status_code == 202
        until(lambda: noted.exists() and noted.read_text().count("\n") == 3)
        folder, *pids = noted.read_text().split()
        assert noted.owner() == "nobody"
        server.kill()
        assert all(runs(int(pid)) for pid in pids), "nobody has told them"
        server.start()
        until(lambda: not any(runs(int(pid)) for pid in pids))
        until(lambda: not Path(folder).exists())


def test_what_is_millraces_is_not_read_by_commands(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with MillraceProcess(home, **AS_NOBODY) as server, server.client() as client:
        commands = [f"cat {home}/api-key", f"ls {home}", f"cat {home}/millrace.db", f"cat /proc/{server.pid}/environ"]
        for at, command in enumerate(commands):
            create_workflow(client, {"name": f"read{at}", "tasks": [{"type": "shell", "config": {"command": command}}]})
            run = wait_finished(client, client.post(f"/workflows/read{at}/execute").json()["id"])
            assert run["status"] == "failed", command
            assert "Permission denied" in run["error"]["message"]


def test_a_home_that_everybody_may_read_is_told_of(meeting_place: Path) -> None:
    home = meeting_place / "home"
    home.mkdir(mode=0o755)
    with MillraceProcess(home, **AS_NOBODY) as server, server.client() as client:
        (told,) = client.get("/doctor").json()["warnings"]
        assert (told["code"], told["remedy"]) == (
            "readable_by_tasks",
            f"take the rights of others away: chmod go= {home}",
        )
        assert f"{home} can be read by the user nobody, whom commands run as" in server.log.read_text()
