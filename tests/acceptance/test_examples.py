"""The examples do real work: a real server process, a real office to talk to, and real results to look at."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.definition import read_yaml
from tests.support.server import MillraceProcess, until, wait_finished

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def office() -> Iterator[str]:
    """The other side of the ingest example; gives its URL."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "ingest" / "serve.py"), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip().removeprefix("listening on ")
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    home = tmp_path_factory.mktemp("examples") / "home"
    with MillraceProcess(home, MILLRACE_HTTP_ALLOWED_TARGETS="127.0.0.1") as running:
        yield running


def run(server: MillraceProcess, workflow: str, **body: Any) -> dict[str, Any]:
    with server.client() as client:
        started = client.post(f"/workflows/{workflow}/execute", json=body)
        assert started.status_code == 202, started.text
        return wait_finished(client, started.json()["id"])


def test_ingest_fetches_loads_adds_up_reports_and_posts(server: MillraceProcess, office: str, tmp_path: Path) -> None:
    database, report = tmp_path / "orders.db", tmp_path / "report.txt"
    variables = {"office": office, "database": f"sqlite:///{database}", "report": str(report)}
    finished = run(server, "ingest", variables=variables)
    assert finished["status"] == "completed", finished["error"]
    with closing(sqlite3.connect(database)) as orders:
        assert orders.execute("select count(*), sum(total) from orders").fetchone() == (6, 177)
    totals = [
        {"region": "apac", "orders": 1, "total": 12},
        {"region": "eu", "orders": 3, "total": 100},
        {"region": "us", "orders": 2, "total": 65},
    ]
    assert report.read_text().splitlines() == ["region: orders, total", "apac: 1, 12", "eu: 3, 100", "us: 2, 65"]
    assert httpx2.get(f"{office}/reports").json() == [{"regions": totals, "file": str(report)}]
    assert finished["output"] == {"regions": 3, "totals": totals}


def test_ingest_twice_leaves_the_same_rows(server: MillraceProcess, office: str, tmp_path: Path) -> None:
    database = tmp_path / "orders.db"
    variables = {"office": office, "database": f"sqlite:///{database}", "report": str(tmp_path / "report.txt")}
    outputs = [run(server, "ingest", variables=variables)["output"] for _ in range(2)]
    assert outputs[0] == outputs[1]
    with closing(sqlite3.connect(database)) as orders:
        assert orders.execute("select count(*) from orders").fetchone() == (6,)


def test_ingest_fails_without_the_setting_and_names_it(office: str, tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as closed:
        finished = run(closed, "ingest", variables={"office": office})
    assert finished["status"] == "failed"
    assert finished["error"]["kind"] == "refused"
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in finished["error"]["message"]


def test_fan_out_joins_and_its_flaky_task_succeeds_when_tried_again(server: MillraceProcess) -> None:
    finished = run(server, "fan-out", input={"name": "Ada"})
    assert finished["status"] == "completed", finished["error"]
    assert finished["output"] == {"shouted": "HELLO, ADA!", "letters": 11, "answer": 42}
    with server.client() as client:
        tasks = {task["task"]: task for task in client.get(f"/runs/{finished['id']}/tasks").json()["items"]}
        records = client.get(f"/runs/{finished['id']}/events").json()["items"]
        logs = client.get(f"/runs/{finished['id']}/logs?task=note").json()["items"]
    assert {task["status"] for task in tasks.values()} == {"completed"}
    assert (tasks["flaky"]["attempt"], tasks["shout"]["attempt"]) == (2, 1)
    kinds = [record["type"] for record in records if record["path"] == "flaky"]
    assert kinds.index("task.retrying") < kinds.index("task.completed")
    assert [line["text"] for line in logs] == ["HELLO, ADA! (11 letters)"]
    parallel = [tasks[name] for name in ("shout", "count", "flaky")]
    assert all(task["started_at"] >= tasks["prepare"]["finished_at"] for task in parallel)
    assert tasks["collect"]["started_at"] >= max(task["finished_at"] for task in parallel)


def test_examples_are_applied_once_and_edited_ones_are_left_alone(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home")
    with server, server.client() as client:
        names = [item["name"] for item in client.get("/workflows").json()["items"]]
        assert names == ["disk-watch", "fan-out", "ingest"]
        edited = client.put("/workflows/fan-out", json={"tasks": [{"id": "only", "type": "noop"}], "output": None})
        assert edited.status_code == 200, edited.text
        assert client.delete("/workflows/ingest").status_code == 204
    with server, server.client() as client:
        assert [item["name"] for item in client.get("/workflows").json()["items"]] == ["disk-watch", "fan-out"]
        assert json.loads(client.get("/workflows/fan-out").text)["definition"]["tasks"] == [
            {"id": "only", "type": "noop"}
        ]


def test_disk_watch_is_a_task_list_whose_schedule_fires(server: MillraceProcess, tmp_path: Path) -> None:
    database = tmp_path / "disk.db"
    with server.client() as client:
        listed = {trigger["type"]: trigger for trigger in client.get("/workflows/disk-watch/triggers").json()["items"]}
        assert listed["cron"]["next_firing"] is not None, "it is deployed with its schedule"
        raw = read_yaml((EXAMPLES / "disk-watch" / "disk-watch.yaml").read_text())
        raw["cron_expression"] = "* * * * * *"
        raw["tasks"][1]["config"]["connection_string"] = f"sqlite:///{database}"
        assert client.patch("/workflows/disk-watch", json=raw).status_code == 200

        def fired() -> list[dict[str, Any]]:
            """Completed runs of the changed version: the first may have fired meanwhile, too."""
            found = client.get("/workflows/disk-watch/runs?status=completed&trigger_type=cron").json()["items"]
            return [run for run in found if run["workflow"]["version"] == 2]

        run = until(fired)[0]
        client.post("/workflows/disk-watch/disable")
        assert (run["trigger_type"], run["triggered_by"]) == ("cron", None)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("select at, used_kb, free_kb from disk").fetchall()
    assert rows
    assert all(used > 0 and free > 0 for _, used, free in rows)
