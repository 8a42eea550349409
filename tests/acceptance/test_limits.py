"""D5, X3, X4: what makes runs and tasks wait, what becomes of them, and why they say they wait. A real server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

HOLD: dict[str, Any] = {"id": "hold", "type": "shell", "config": {"command": ["sleep", "60"]}}
QUICK: dict[str, Any] = {"id": "quick", "type": "noop"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    folder = tmp_path_factory.mktemp("limits")
    settings = {"MILLRACE_APPLY_EXAMPLES": "false", "MILLRACE_TASK_LIMITS": "shell=3"}
    with MillraceProcess(folder / "home", **settings) as running:
        yield running


@pytest.fixture
def api(server: MillraceProcess) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client
        for workflow in client.get("/workflows?limit=200").json()["items"]:
            client.post(f"/workflows/{workflow['id']}/stop")
            client.delete(f"/workflows/{workflow['id']}")
        until(lambda: not client.get("/runs?status=running,pending,cancelling,paused").json()["items"])


def start(api: httpx2.Client, workflow: str, **body: Any) -> dict[str, Any]:
    response = api.post(f"/workflows/{workflow}/execute", json=body)
    assert response.status_code == 202, response.text
    run: dict[str, Any] = response.json()
    return run


def status(api: httpx2.Client, run: dict[str, Any]) -> str:
    found: str = api.get(f"/runs/{run['id']}").json()["status"]
    return found


def reasons(api: httpx2.Client, run: dict[str, Any]) -> list[str]:
    return [waiting["reason"] for waiting in api.get(f"/runs/{run['id']}").json()["waiting_for"]]


def limited(api: httpx2.Client, name: str, when_full: str, **concurrency: Any) -> None:
    create_workflow(
        api,
        {"name": name, "concurrency": {"limit": 1, "when_full": when_full, **concurrency}, "tasks": [HOLD]},
    )


# --- runs under a limit -----------------------------------------------------------------------------------------------


def test_a_run_over_the_limit_waits_and_says_for_what_and_priority_goes_first(api: httpx2.Client) -> None:
    limited(api, "queue", "queue")
    first, second = start(api, "queue"), start(api, "queue")
    urgent = start(api, "queue", priority=10)
    until(lambda: status(api, first) == "running")
    (waiting,) = api.get(f"/runs/{second['id']}").json()["waiting_for"]
    assert (waiting["reason"], waiting["limit"], waiting["running"], waiting["ahead"]) == ("concurrency", 1, 1, 1)
    api.post(f"/runs/{first['id']}/cancel")
    until(lambda: status(api, urgent) == "running")
    assert status(api, second) == "pending"


def test_a_run_with_a_higher_limit_says_that_it_waits_behind_those_with_a_lower_one(api: httpx2.Client) -> None:
    limited(api, "raised", "queue")
    first, second, third = (start(api, "raised") for _ in range(3))
    until(lambda: status(api, first) == "running")
    place = api.get("/workflows/raised").json()["id"]
    changed = {"name": "raised", "concurrency": {"limit": 3}, "tasks": [HOLD]}
    assert api.put(f"/workflows/{place}", json=changed).is_success
    newer = start(api, "raised")
    assert newer["workflow"]["version"] == 2
    (waiting,) = api.get(f"/runs/{newer['id']}").json()["waiting_for"]
    assert (waiting["reason"], waiting["limit"], waiting["running"], waiting["ahead"]) == ("concurrency", 1, 1, 2)
    told = "2 runs wait before it, and the first of them waits for a place under its limit of 1"
    assert waiting["message"] == told
    for run in (second, third):
        api.post(f"/runs/{run['id']}/cancel")
    until(lambda: status(api, newer) == "running")


def test_a_key_gives_each_of_its_values_a_limit_of_its_own(api: httpx2.Client) -> None:
    limited(api, "keyed", "queue", key="{{ input.day }}")
    monday, again, tuesday = (start(api, "keyed", input={"day": day}) for day in ("mon", "mon", "tue"))
    until(lambda: (status(api, monday), status(api, tuesday)) == ("running", "running"))
    assert (status(api, again), reasons(api, again)) == ("pending", ["concurrency"])
    refused = api.post("/workflows/keyed/execute", json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_key")
    assert refused.json()["faults"][0]["path"] == "concurrency.key"


def test_skip_refuses_a_run_and_leaves_nothing_of_it(api: httpx2.Client) -> None:
    limited(api, "skip", "skip")
    first = start(api, "skip", idempotency_key="k")
    refused = api.post("/workflows/skip/execute", json={"idempotency_key": "other"})
    assert (refused.status_code, refused.json()["code"]) == (409, "limit_full")
    assert api.post("/workflows/skip/execute", json={"idempotency_key": "k"}).json()["id"] == first["id"]
    api.post(f"/runs/{first['id']}/cancel")
    wait_finished(api, first["id"])
    assert start(api, "skip", idempotency_key="other")["id"] != first["id"], "the refused start took no key"


def test_cancel_oldest_ends_the_run_before_and_all_that_waited(api: httpx2.Client) -> None:
    limited(api, "oldest", "cancel_oldest")
    first = start(api, "oldest")
    until(lambda: status(api, first) == "running")
    later = [start(api, "oldest") for _ in range(3)]
    until(lambda: status(api, later[-1]) == "running")
    assert [wait_finished(api, run["id"])["status"] for run in (first, *later[:-1])] == ["cancelled"] * 3
    asked = [
        record
        for record in api.get(f"/runs/{first['id']}/events").json()["items"]
        if record["type"] == "run.cancel_requested"
    ]
    assert len(asked) == 1
    assert "cancel_oldest" in asked[0]["data"]["reason"]


def test_cancel_newest_ends_the_newest_that_was_admitted(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "newest", "concurrency": {"limit": 2, "when_full": "cancel_newest"}, "tasks": [HOLD]})
    first, second = start(api, "newest"), start(api, "newest")
    until(lambda: (status(api, first), status(api, second)) == ("running", "running"))
    third = start(api, "newest")
    until(lambda: status(api, third) == "running")
    assert (status(api, first), wait_finished(api, second["id"])["status"]) == ("running", "cancelled")


def test_a_rate_limit_lets_so_many_begin_in_a_period(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "rated", "rate_limit": {"limit": 2, "per": "1h"}, "tasks": [QUICK]})
    runs = [start(api, "rated") for _ in range(4)]
    ended = [wait_finished(api, run["id"]) for run in runs[:2]]
    assert [run["status"] for run in ended] == ["completed", "completed"]
    until(lambda: reasons(api, runs[2]) == ["rate_limit"])
    assert status(api, runs[2]) == "pending"
    began = datetime.fromisoformat(ended[0]["started_at"])
    for run, wait in ((runs[2], timedelta(minutes=30)), (runs[3], timedelta(hours=1))):
        (waiting,) = api.get(f"/runs/{run['id']}").json()["waiting_for"]
        assert waiting["until"] in waiting["message"]
        late = datetime.fromisoformat(waiting["until"]) - began - wait
        assert abs(late) < timedelta(minutes=5), "they begin evenly, one after the other"


def test_a_rate_limit_fills_up_again(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "refills", "rate_limit": {"limit": 1, "per": "1s"}, "tasks": [QUICK]})
    ends = [wait_finished(api, start(api, "refills")["id"]) for _ in range(2)]
    first, second = (datetime.fromisoformat(run["started_at"]) for run in ends)
    assert second - first >= timedelta(seconds=0.9)


# --- tasks under a limit ----------------------------------------------------------------------------------------------


def fan_out(count: int, **fields: Any) -> list[dict[str, Any]]:
    command = ["sleep", "0.2"]
    return [
        {"id": f"t{number}", "type": "shell", "depends_on": [], "config": {"command": command}, **fields}
        for number in range(count)
    ]


def most_at_once(api: httpx2.Client, *runs: dict[str, Any]) -> int:
    """The largest number of tasks of these runs that ran at the same time, by their times."""
    tasks = [task for run in runs for task in api.get(f"/runs/{run['id']}/tasks?limit=200").json()["items"]]
    changes = sorted(
        [(task["started_at"], 1) for task in tasks if task["type"] == "shell"]
        + [(task["finished_at"], -1) for task in tasks if task["type"] == "shell"],
        key=lambda change: (change[0], change[1]),
    )
    most = running = 0
    for _, step in changes:
        running += step
        most = max(most, running)
    return most


def test_a_key_limits_tasks_across_runs_and_workflows_and_others_pass_them(api: httpx2.Client) -> None:
    limit = {"concurrency": {"key": "warehouse", "limit": 2}}
    create_workflow(api, {"name": "one", "tasks": fan_out(5, **limit)})
    create_workflow(api, {"name": "two", "tasks": fan_out(5, **limit)})
    create_workflow(api, {"name": "free", "tasks": [QUICK]})
    runs = [start(api, "one"), start(api, "two")]
    assert wait_finished(api, start(api, "free")["id"])["status"] == "completed"
    assert [wait_finished(api, run["id"])["status"] for run in runs] == ["completed", "completed"]
    assert most_at_once(api, *runs) == 2


def test_a_task_type_is_limited_by_the_installation(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "typed", "tasks": fan_out(9)})
    run = start(api, "typed")
    assert wait_finished(api, run["id"])["status"] == "completed"
    assert most_at_once(api, run) == 3
    records = api.get(f"/runs/{run['id']}/events?limit=200").json()["items"]
    queued = [record["data"] for record in records if record["type"] == "task.scheduled"]
    assert {data.get("type_key") for data in queued} == {"shell"}, "the history says under which limit they waited"
    timeline = api.get(f"/runs/{run['id']}/timeline").json()
    waits = [wait for task in timeline["tasks"] for wait in task["waits"]]
    assert {(wait["reason"], *wait["keys"]) for wait in waits} == {("task_limit", "shell")}


def test_a_task_that_waits_for_its_limit_says_so_and_fails_when_it_waits_too_long(api: httpx2.Client) -> None:
    create_workflow(
        api,
        {
            "name": "patience",
            "tasks": [
                {**HOLD, "depends_on": [], "concurrency": {"key": "k", "limit": 1}},
                {"id": "late", "type": "noop", "depends_on": [], "queue_timeout": "1s",
                 "concurrency": {"key": "k", "limit": 1}},
            ],
        },
    )  # fmt: skip
    run = start(api, "patience")
    until(lambda: reasons(api, run) == ["task_limit"])
    failed = until(lambda: (task := api.get(f"/runs/{run['id']}/tasks/late").json())["status"] == "failed" and task)
    assert (failed["error"]["kind"], failed["attempt"]) == ("queue_timeout", 1)
    assert failed["started_at"] is None


def test_a_queue_that_nobody_serves_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("queues") / "home"
    with MillraceProcess(home, MILLRACE_APPLY_EXAMPLES="false", MILLRACE_WORKER_QUEUES="default") as server:
        with server.client() as api:
            create_workflow(api, {"name": "gpu", "tasks": [{**QUICK, "queue": "gpu"}]})
            run = start(api, "gpu")
            (waiting,) = until(lambda: api.get(f"/runs/{run['id']}").json()["waiting_for"])
            assert (waiting["reason"], waiting["queue"]) == ("no_worker", "gpu")
        server.stop()
    with MillraceProcess(home, MILLRACE_APPLY_EXAMPLES="false") as server, server.client() as api:
        assert wait_finished(api, run["id"])["status"] == "completed", "every queue is served by default"


# --- delayed starts ---------------------------------------------------------------------------------------------------


def test_a_run_starts_at_its_time_and_can_be_cancelled_before(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "later", "tasks": [QUICK]})
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    run, never = start(api, "later", run_at=at.isoformat()), start(api, "later", run_at="2999-01-01T00:00:00Z")
    assert (status(api, run), reasons(api, run)) == ("pending", ["delayed"])
    finished = wait_finished(api, run["id"])
    assert datetime.fromisoformat(finished["started_at"]) >= at
    assert api.post(f"/runs/{never['id']}/cancel").status_code == 202
    assert wait_finished(api, never["id"])["status"] == "cancelled"


def test_a_delayed_run_under_a_limit_takes_no_place_before_its_time(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "both", "concurrency": {"limit": 1}, "tasks": [QUICK]})
    delayed = start(api, "both", run_at="2999-01-01T00:00:00Z")
    assert wait_finished(api, start(api, "both")["id"])["status"] == "completed"
    assert reasons(api, delayed) == ["delayed"]


def test_a_time_without_a_zone_is_refused(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "zoneless", "tasks": [QUICK]})
    refused = api.post("/workflows/zoneless/execute", json={"run_at": "2026-01-01T00:00:00"})
    assert (refused.status_code, refused.json()["faults"][0]["path"]) == (422, "run_at")
