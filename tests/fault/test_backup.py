"""O7: a backup of a server at work, put back: what was under way then goes on; what is no backup changes nothing."""

import hashlib
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.storage.schema import HEAD
from tests.support.server import MillraceProcess, create_workflow, wait_finished


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MillraceProcess]:
    process = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> MillraceProcess:
    """An installation whose server does not run."""
    process = MillraceProcess(tmp_path_factory.mktemp("stopped") / "home", MILLRACE_APPLY_EXAMPLES="false")
    process.start()
    assert process.stop() == 0
    return process


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installation with a finished run, whose server was killed."""
    process = MillraceProcess(tmp_path_factory.mktemp("used") / "home", MILLRACE_APPLY_EXAMPLES="false")
    process.start()
    with process.client() as client:
        create_workflow(client, {"name": "changed", "tasks": [{"type": "noop", "id": "a"}]})
        wait_finished(client, start(client, "changed"))
    process.kill()
    return process.home


def waiting(folder: Path) -> dict[str, Any]:
    """A workflow whose first task waits for the file `go` and writes down that it was executed."""
    command = 'until [ -e "$GO" ]; do sleep 0.1; done; echo done >> "$LEDGER"'
    shell = {"command": command, "env": {"GO": str(folder / "go"), "LEDGER": str(folder / "ledger")}}
    return {"name": "waiting", "tasks": [{"id": "slow", "type": "shell", "config": shell}, {"type": "noop", "id": "b"}]}


def start(client: httpx2.Client, workflow: str) -> str:
    response = client.post(f"/workflows/{workflow}/execute", json={})
    assert response.status_code == 202, response.text
    run_id: str = response.json()["id"]
    return run_id


def wait_running(client: httpx2.Client, run_id: str) -> None:
    end = time.monotonic() + 30
    while client.get(f"/runs/{run_id}/tasks/slow").json()["status"] != "running":
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_under_way_at_the_time_of_the_backup_goes_on_after_it_was_put_back(
    server: MillraceProcess, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    with server.client() as client:
        create_workflow(client, waiting(tmp_path))
        under_way = start(client, "waiting")
        wait_running(client, under_way)
        assert "1 run (1 unfinished)" in server.millrace("db", "backup", str(file)).stdout
        later = start(client, "waiting")
        (tmp_path / "go").touch()
        assert wait_finished(client, under_way)["status"] == "completed"
        refused = server.millrace("db", "restore", str(file), check=False)
        assert (refused.returncode, "in use by process" in refused.stderr) == (2, True)
        assert wait_finished(client, later)["status"] == "completed"
    assert server.stop() == 0
    told = server.millrace("db", "restore", str(file)).stdout
    aside = next(place for place in server.home.glob("millrace.db.before-restore-*"))
    assert str(aside) in told
    assert server.millrace("db", "check").stdout.endswith("no problems\n")
    (tmp_path / "ledger").unlink()
    server.start()
    with server.client() as client:
        assert wait_finished(client, under_way)["status"] == "completed"
        assert client.get(f"/runs/{under_way}/tasks/slow").json()["attempt"] == 2, "its worker is gone for ever"
        assert (tmp_path / "ledger").read_text() == "done\n"
        assert client.get(f"/runs/{later}").status_code == 404, "it began after the backup"
        assert client.get("/doctor").json()["problems"] == []
    assert server.stop() == 0
    server.millrace("db", "restore", str(aside))
    server.start()
    with server.client() as client:
        assert client.get(f"/runs/{later}").json()["status"] == "completed", "the old database is whole"


def test_a_backup_under_load_is_sound_and_a_copy_lives_beside_the_original(
    server: MillraceProcess, tmp_path: Path
) -> None:
    files = [tmp_path / f"backup-{number}.db" for number in range(3)]
    with server.client() as client:
        create_workflow(client, {"name": "quick", "tasks": [{"type": "noop", "id": name} for name in "abc"]})
        create_workflow(client, waiting(tmp_path))
        held = start(client, "waiting")
        wait_running(client, held)
        with Load(server) as started:
            for file in files:
                before = started()
                server.millrace("db", "backup", str(file))
                assert len(started()) > len(before), "runs were started meanwhile"
        for run_id in started():
            assert wait_finished(client, run_id)["status"] == "completed"

        copy = MillraceProcess(tmp_path / "copy", MILLRACE_APPLY_EXAMPLES="false")
        for file in files:
            assert file.stat().st_mode & 0o777 == 0o600
            checksum = file.with_name(f"{file.name}.sha256").read_text().split()
            assert checksum == [hashlib.sha256(file.read_bytes()).hexdigest(), file.name]
            copy.millrace("db", "restore", str(file), "--as-copy")
            assert copy.millrace("db", "check").stdout.endswith("no problems\n")
        (copy.home / "api-key").write_text(server.api_key)
        copy.start()
        try:
            with copy.client() as other:
                assert other.get(f"/runs/{before[-1]}").status_code == 200, "it was committed before the backup"
                wait_running(other, held)
                assert client.get(f"/runs/{held}/tasks/slow").json()["attempt"] == 1, (
                    "the copy ended the original's work"
                )
                (tmp_path / "go").touch()
                assert wait_finished(other, held)["status"] == "completed"
            assert wait_finished(client, held)["status"] == "completed"
            assert client.get(f"/runs/{held}/tasks/slow").json()["attempt"] == 1
        finally:
            copy.kill()


class Load:
    """Starts runs, one after another, until it ends; gives a function that answers their ids."""

    def __init__(self, server: MillraceProcess) -> None:
        self._server, self._started, self._over = server, list[str](), threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Callable[[], list[str]]:
        self._thread.start()
        return lambda: list(self._started)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        with self._server.client() as client:
            while not self._over.is_set():
                self._started.append(start(client, "quick"))


def spoil(file: Path, how: str) -> None:
    match how:
        case "no database":
            file.write_text("a letter\n" * 1000)
        case "cut off":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "damaged":
            content = bytearray(file.read_bytes())
            content[8192:65536] = b"\xa5" * (65536 - 8192)
            file.write_bytes(content)
        case "another program's":
            file.unlink()
            with closing(sqlite3.connect(file)) as raw:
                raw.execute("create table letters (text)")
        case "newer":
            with closing(sqlite3.connect(file)) as raw, raw:
                raw.execute("update alembic_version set version_num = '9999'")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("no database", "not a SQLite database"),
        ("cut off", "damaged|malformed"),
        ("damaged", "damaged|malformed"),
        ("another program's", "not one of Millrace"),
        ("newer", "9999.*only up to"),
    ],
)
def test_what_is_no_backup_is_refused_and_changes_nothing(
    stopped: MillraceProcess, tmp_path: Path, how: str, reason: str
) -> None:
    place, file = stopped.home / "millrace.db", tmp_path / "backup.db"
    stopped.millrace("db", "backup", str(file))
    before = place.read_bytes()
    spoil(file, how)

    refused = stopped.millrace("db", "restore", str(file), check=False)
    assert refused.returncode == 2
    assert "when it was made; it is not restored" in refused.stderr, "its checksum is beside it"
    file.with_name("backup.db.sha256").unlink()
    refused = stopped.millrace("db", "restore", str(file), check=False)
    assert refused.returncode == 2
    assert re.search(reason, refused.stderr), refused.stderr
    assert place.read_bytes() == before
    assert sorted(place.name for place in stopped.home.glob("*millrace.db*")) == ["millrace.db", "millrace.db.lock"]


def test_the_way_back_asks_first_and_keeps_a_copy(tmp_path: Path) -> None:
    home = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    home.start()
    with home.client() as client:
        create_workflow(client, {"name": "kept", "tasks": [{"type": "noop", "id": "a"}]})
        run_id = start(client, "kept")
        assert wait_finished(client, run_id)["status"] == "completed"
        assert home.millrace("db", "downgrade", check=False).returncode == 2, "a server runs"
    assert home.stop() == 0
    assert home.millrace("db", "check").stdout.endswith("no problems\n")
    asked = home.millrace("db", "downgrade", "0001", check=False)
    assert (asked.returncode, "the table deployments with 1 rows" in asked.stderr) == (2, True), asked.stderr
    assert home.millrace("db", "current").stdout.startswith(f"{HEAD} ")
    wrong = home.millrace("db", "downgrade", HEAD, "--yes", check=False)
    assert (wrong.returncode, "there are 0001, 0002" in wrong.stderr) == (2, True)
    done = home.millrace("db", "downgrade", "0001", "--yes").stdout
    assert f"the schema is 0001; it was {HEAD}" in done
    assert re.search(r"^deleted: .*the table deployments with 1 rows", done, re.MULTILINE), done
    assert home.millrace("db", "current").stdout.startswith("0001 ")
    found = home.millrace("db", "check", check=False)
    assert (found.returncode, "schema_differs" in found.stdout) == (1, True)
    assert f"the schema is {HEAD}; it was 0001" in home.millrace("db", "upgrade").stdout
    assert home.millrace("doctor", "--offline").stdout.endswith("no problems\n")
    (aside,) = home.home.glob("millrace.db.before-downgrade-*")
    home.millrace("db", "restore", str(aside))
    home.start()
    try:
        with home.client() as client:
            assert client.get(f"/runs/{run_id}").json()["status"] == "completed"
    finally:
        home.kill()


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("delete from records where seq = 2", "history_gap"),
        ("drop index ix_runs_status_id", "schema_differs"),
        ("create table stranger (x)", "schema_differs"),
        ("delete from workflows", "database_damaged"),
    ],
)
def test_the_check_finds_what_was_changed_by_hand(used: Path, tmp_path: Path, statement: str, code: str) -> None:
    home = MillraceProcess(tmp_path / "home")
    shutil.copytree(used, home.home)
    with closing(sqlite3.connect(home.home / "millrace.db")) as raw, raw:
        raw.execute(statement)
    found = home.millrace("db", "check", check=False)
    assert (found.returncode, code in found.stdout) == (1, True), found.stdout
