"""`millrace up`: first start, later starts, a second one on the same home, and the end."""

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.support.server import MillraceProcess, create_workflow, free_port, wait_finished

KEEP_RUNNING = {"name": "keep", "tasks": [{"id": "nap", "type": "shell", "config": {"command": ["sleep", "30"]}}]}


def up(server: MillraceProcess, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`millrace up` in the same home; for starts that must fail."""
    return subprocess.run(
        [sys.executable, "-m", "millrace.cli.main", "up"],
        env={**server.environment, **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_first_start_makes_a_key_that_only_its_owner_can_read_and_shows_it_once(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home")
    with server:
        place = server.home / "api-key"
        key = place.read_text()
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert key.strip() == key
        assert server.log.read_text().count(key) == 1
        with server.client() as client:
            assert client.get("/workflows").status_code == 200
    with server:
        assert place.read_text() == key
        assert server.log.read_text().count(key) == 1, "a later start shows the key again"


def test_the_options_of_up_win_over_the_settings(tmp_path: Path) -> None:
    port = free_port()
    server = MillraceProcess(tmp_path / "home", command=("up", "--host", "127.0.0.1", "--port", str(port)))
    assert server.port != port
    server.port, server.url = port, f"http://127.0.0.1:{port}"
    with server:
        assert f"http://127.0.0.1:{port}" in server.log.read_text()
        assert server.millrace("workflows").returncode == 0, "the other commands find it"
    assert "65535" in server.millrace("up", "--port", "70000", check=False).stderr


def test_the_database_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        assert stat.S_IMODE(server.home.stat().st_mode) == 0o700


def test_files_in_a_folder_that_others_may_read_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    with MillraceProcess(home) as server, server.client() as client:
        assert client.get("/workflows").status_code == 200
        files = {place.name: stat.S_IMODE(place.stat().st_mode) for place in home.glob("millrace.db*")}
    assert len(files) >= 3
    assert set(files.values()) == {0o600}, files


def test_a_new_home_for_an_old_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kept/millrace.db"
    with MillraceProcess(tmp_path / "one", MILLRACE_DATABASE_URL=url) as server:
        key = server.api_key
    with MillraceProcess(tmp_path / "two", MILLRACE_DATABASE_URL=url) as server:
        answer = httpx2.get(f"{server.url}/api/v1/workflows", headers={"X-API-Key": key})
        assert answer.status_code == 200


def test_a_second_up_names_the_holder_and_touches_nothing(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        done = up(server, MILLRACE_PORT=str(free_port()))
        assert done.returncode == 1
        assert str(server.pid) in done.stderr
        assert "Traceback" not in done.stderr
        assert httpx2.get(f"{server.url}/health/ready").status_code == 200


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "one") as server:
        done = up(server, MILLRACE_HOME=str(tmp_path / "two"))
        assert done.returncode == 1
        assert str(server.port) in done.stderr
        assert "MILLRACE_PORT" in done.stderr


def test_a_wrong_setting_is_named_and_nothing_starts(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home")
    done = up(server, MILLRACE_PORT="lots")
    assert done.returncode == 2
    assert "MILLRACE_PORT" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home")
    (tmp_path / "home").mkdir()
    place = tmp_path / "home" / "millrace.db"
    place.write_bytes(b"my holiday photos" * 1000)
    done = up(server)
    assert done.returncode == 1
    assert str(place) in done.stderr
    assert "Traceback" not in done.stderr
    assert place.read_bytes() == b"my holiday photos" * 1000


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = up(MillraceProcess(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert str(tmp_path / "file" / "home") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_note_of_the_running_server_leads_the_command_line_to_it(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home", MILLRACE_PORT="0")
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli.main", "up"], env=server.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Millrace is ready at http://127.0.0.1:")
        note = json.loads((server.home / "server.json").read_text())
        assert note["pid"] == process.pid
        assert "fan-out" in server.millrace("run", "fan-out", "--follow").stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert not (server.home / "server.json").exists()


def test_a_stop_ends_running_tasks_after_their_time_and_the_next_start_goes_on(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home", MILLRACE_STOP_SECONDS="0")
    with server:
        with server.client() as client:
            create_workflow(client, KEEP_RUNNING)
            run_id = client.post("/workflows/keep/execute", json={}).json()["id"]
            until_started(client, run_id)
        assert server.stop() == 0
    server.start()
    try:
        with server.client() as client:
            until_started(client, run_id, times=2)
            kinds = [record["type"] for record in client.get(f"/runs/{run_id}/events").json()["items"]]
            assert "task.stopped" in kinds
            assert "task.lost" not in kinds
            client.post(f"/runs/{run_id}/cancel", json={})
            assert wait_finished(client, run_id)["status"] == "cancelled"
            assert client.get("/doctor").json()["problems"] == []
    finally:
        server.stop()


def until_started(client: httpx2.Client, run_id: str, *, times: int = 1) -> None:
    after, seen = 0, 0
    while seen < times:
        page = client.get(f"/runs/{run_id}/events", params={"after": after, "wait_seconds": 10}).json()
        assert page["items"], f"task started {seen} times, not {times}"
        after = page["items"][-1]["seq"]
        seen += sum(record["type"] == "task.started" for record in page["items"])


def test_no_setting_of_the_server_reaches_a_task(tmp_path: Path) -> None:
    probe = {"name": "env", "tasks": [{"id": "env", "type": "shell", "config": {"command": "env"}}]}
    with (
        MillraceProcess(tmp_path / "home", MILLRACE_SECRET_TOKEN="hush-hush-hush") as server,
        server.client() as client,
    ):
        create_workflow(client, probe)
        run = client.post("/workflows/env/execute", json={"wait": True}).json()
        shown = client.get(f"/runs/{run['id']}/tasks/env").text
    assert "hush" not in shown
    assert "MILLRACE_SECRET" not in shown
