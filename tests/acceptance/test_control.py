"""X3: pause, resume, retry, rerun, restart, other input and version, confirmation. A real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.test_limits import HOLD, QUICK, reasons, start, status, until
from tests.support.server import MillraceProcess, create_workflow, wait_finished


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    folder = tmp_path_factory.mktemp("control")
    with MillraceProcess(folder / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        yield running


@pytest.fixture
def api(server: MillraceProcess) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def counting(task_id: str, place: Path, *, then: str = "", **fields: Any) -> dict[str, Any]:
    """A shell task that notes each of its attempts in a file."""
    return {"id": task_id, "type": "shell", "config": {"command": f"echo {task_id} >> {place}; {then}"}, **fields}


def noted(place: Path) -> list[str]:
    return place.read_text().split() if place.exists() else []


def repeat(api: httpx2.Client, run: dict[str, Any], how: str, expected: int = 200, **body: Any) -> dict[str, Any]:
    response = api.post(f"/runs/{run['id']}/{how}", json={"wait": True, **body})
    assert response.status_code == expected, response.text
    answer: dict[str, Any] = response.json()
    return answer


def tasks_of(api: httpx2.Client, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["path"]: task for task in api.get(f"/runs/{run['id']}/tasks").json()["items"]}


# --- pause and resume -------------------------------------------------------------------------------------------------


def test_a_paused_run_starts_nothing_until_it_is_resumed(api: httpx2.Client, tmp_path: Path) -> None:
    place = tmp_path / "noted"
    go = tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.05; done"
    create_workflow(api, {"name": "pause", "tasks": [counting("a", place, then=wait), counting("b", place)]})
    run = start(api, "pause")
    until(lambda: noted(place) == ["a"])
    assert api.post(f"/runs/{run['id']}/pause").status_code == 202
    until(lambda: status(api, run) == "paused")
    go.touch()
    until(lambda: tasks_of(api, run)["a"]["status"] == "completed")
    assert (status(api, run), reasons(api, run), noted(place)) == ("paused", ["paused"], ["a"])
    assert api.post(f"/runs/{run['id']}/resume").status_code == 202
    assert wait_finished(api, run["id"])["status"] == "completed"
    assert noted(place) == ["a", "b"]
    for how in ("pause", "resume"):
        refused = api.post(f"/runs/{run['id']}/{how}")
        assert (refused.status_code, refused.json()["code"]) == (409, "run_finished")


# --- retry ------------------------------------------------------------------------------------------------------------


def test_a_retry_takes_over_what_completed_and_does_the_rest_again(api: httpx2.Client, tmp_path: Path) -> None:
    place, mended = tmp_path / "noted", tmp_path / "mended"
    create_workflow(
        api,
        {
            "name": "retry",
            "tasks": [
                counting("a", place, then="echo '{\"n\": 41}'"),
                counting("b", place, then=f"test -e {mended}"),
                {"id": "c", "type": "transform", "config": {"output": "{{ tasks.a.output.result.n + 1 }}"}},
            ],
            "output": "{{ tasks.c.output }}",
        },
    )
    failed = wait_finished(api, start(api, "retry", correlation_id="c-7", input={"x": 1})["id"])
    assert (failed["status"], noted(place)) == ("failed", ["a", "b"])
    mended.touch()
    again = repeat(api, failed, "retry")
    assert (again["status"], again["output"]) == ("completed", 42)
    assert (again["retry_of"], again["root"], again["correlation_id"]) == (failed["id"], failed["id"], "c-7")
    assert again["input"] == {"x": 1}
    assert noted(place) == ["a", "b", "b"], "what completed is not done again"
    adopted = tasks_of(api, again)["a"]
    assert (adopted["status"], adopted["attempt"], adopted["adopted_from"]) == ("completed", 0, failed["id"])
    assert adopted["output"]["result"] == {"n": 41}, "its output is that of the first run"
    assert api.get(f"/runs/{failed['id']}").json() == failed, "the old run never changes"
    third = repeat(api, again, "rerun", from_task="c")
    assert tasks_of(api, third)["a"]["adopted_from"] == failed["id"], "of whom it was taken over at first"
    refused = repeat(api, again, "retry", 409)
    assert refused["code"] == "nothing_to_retry"


def test_what_was_allowed_to_fail_is_not_done_again(api: httpx2.Client, tmp_path: Path) -> None:
    place, mended = tmp_path / "noted", tmp_path / "mended"
    create_workflow(
        api,
        {
            "name": "allowed",
            "tasks": [
                {**counting("a", place, then="exit 7"), "allow_failure": True},
                {"id": "b", "type": "transform", "config": {"output": "{{ tasks.a.status }}"}},
                counting("c", place, then=f"test -e {mended}"),
            ],
            "output": "{{ tasks.b.output + ' ' + tasks.a.error.kind }}",
        },
    )
    failed = wait_finished(api, start(api, "allowed")["id"])
    assert (failed["status"], noted(place)) == ("failed", ["a", "c"])
    mended.touch()

    again = repeat(api, failed, "retry")

    assert (again["status"], again["output"], noted(place)) == ("completed", "failed error", ["a", "c", "c"])
    before, adopted = tasks_of(api, failed)["a"], tasks_of(api, again)["a"]
    assert (adopted["status"], adopted["attempt"], adopted["adopted_from"]) == ("failed", 0, failed["id"])
    assert adopted["error"] == before["error"]
    repeat(api, again, "rerun", from_task="a")
    assert noted(place) == ["a", "c", "c", "a", "c"], "it is done again when it is asked for"


def test_a_run_that_goes_on_cannot_be_repeated(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "busy", "tasks": [HOLD]})
    run = start(api, "busy")
    for how in ("retry", "rerun"):
        assert repeat(api, run, how, 409)["code"] == "run_not_finished"
    api.post(f"/runs/{run['id']}/cancel")
    wait_finished(api, run["id"])
    assert api.post(f"/runs/{run['id']}/retry").status_code == 202, "what was cancelled can be retried"
    api.post("/workflows/busy/stop")


def test_a_retry_on_the_newest_version_redoes_what_was_changed(api: httpx2.Client, tmp_path: Path) -> None:
    place = tmp_path / "noted"
    definition = {
        "name": "mend",
        "tasks": [counting("a", place), counting("b", place), counting("c", place, then="exit 1")],
    }
    create_workflow(api, definition)
    failed = wait_finished(api, start(api, "mend")["id"])
    tasks = [counting("a", place), counting("b", place, then="true"), counting("c", place)]
    assert api.patch("/workflows/mend", json={"tasks": tasks}).status_code == 200
    same = repeat(api, failed, "retry")
    assert (same["status"], same["workflow"]["version"]) == ("failed", 1)
    newest = repeat(api, failed, "retry", version="newest")
    assert (newest["status"], newest["workflow"]["version"]) == ("completed", 2)
    assert noted(place) == ["a", "b", "c", "c", "b", "c"], "b was changed, so it and what follows are done again"
    assert repeat(api, failed, "retry", 404, version=9)["code"] == "version_not_found"


# --- rerun ------------------------------------------------------------------------------------------------------------


def test_a_rerun_from_a_task_does_it_and_all_that_follows_again(api: httpx2.Client, tmp_path: Path) -> None:
    place = tmp_path / "noted"
    tasks = [counting("a", place), counting("b", place, depends_on=["a"]), counting("side", place, depends_on=["a"]),
             counting("c", place, depends_on=["b"])]  # fmt: skip
    create_workflow(api, {"name": "from", "tasks": tasks})
    run = wait_finished(api, start(api, "from")["id"])
    place.unlink()
    again = repeat(api, run, "rerun", from_task="b")
    assert (again["status"], noted(place)) == ("completed", ["b", "c"])
    place.unlink()
    whole = repeat(api, run, "rerun")
    assert (whole["status"], sorted(noted(place))) == ("completed", ["a", "b", "c", "side"])
    refused = repeat(api, run, "rerun", 422, from_task="nowhere")
    assert (refused["code"], refused["faults"][0]["path"]) == ("unknown_task", "from_task")


def test_other_input_is_checked_and_seen_by_what_runs(api: httpx2.Client) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    create_workflow(
        api,
        {"name": "edit", "input": schema, "variables": {"v": 1}, "output": "{{ [input.n, variables.v] }}",
         "tasks": [QUICK]},
    )  # fmt: skip
    run = wait_finished(api, start(api, "edit", input={"n": 1}, variables={"v": 5})["id"])
    assert run["output"] == [1, 5]
    assert repeat(api, run, "rerun")["output"] == [1, 5], "the same unless told otherwise"
    assert repeat(api, run, "rerun", input={"n": 2}, variables={"v": 6})["output"] == [2, 6]
    refused = repeat(api, run, "rerun", 422, input={"n": "two"})
    assert refused["faults"][0]["path"] == "input.n"


def test_a_skipped_branch_stays_skipped_and_what_follows_it_is_taken_over(api: httpx2.Client, tmp_path: Path) -> None:
    place = tmp_path / "noted"
    tasks = [
        counting("a", place, **{"if": "{{ input.full == true }}"}),
        counting("b", place),
        counting("c", place, then="exit 1"),
    ]
    create_workflow(api, {"name": "branch", "tasks": tasks})
    failed = wait_finished(api, start(api, "branch", input={"full": False})["id"])
    assert noted(place) == ["b", "c"]
    repeat(api, failed, "retry")
    assert noted(place) == ["b", "c", "c"]
    repeat(api, failed, "retry", input={"full": True})
    assert noted(place) == ["b", "c", "c", "a", "b", "c"], "with other input the branch is asked again"


# --- starts that must be confirmed, or are refused --------------------------------------------------------------------


def test_a_workflow_may_ask_for_a_confirmation_of_every_explicit_start(api: httpx2.Client) -> None:
    trigger = {"id": "hand", "type": "manual", "config": {"require_confirmation": True}}
    create_workflow(api, {"name": "careful", "triggers": [trigger], "tasks": [QUICK]})
    refused = api.post("/workflows/careful/execute", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    run = wait_finished(api, start(api, "careful", confirmation=True)["id"])
    assert repeat(api, run, "rerun", 403)["code"] == "confirmation_required"
    assert repeat(api, run, "rerun", confirmation=True)["status"] == "completed"


def test_an_inactive_workflow_takes_no_retry(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "gone", "tasks": [{"id": "no", "type": "shell", "config": {"command": "exit 1"}}]})
    run = wait_finished(api, start(api, "gone")["id"])
    assert api.patch("/workflows/gone", json={"status": "inactive"}).status_code == 200
    assert repeat(api, run, "retry", 409)["code"] == "workflow_inactive"


# --- many at once -----------------------------------------------------------------------------------------------------


def bulk(api: httpx2.Client, expected: int = 202, **body: Any) -> dict[str, Any]:
    response = api.post("/runs/bulk", json=body)
    assert response.status_code == expected, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ended(api: httpx2.Client, operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: (now := api.get(f"/operations/{operation['id']}").json())["status"] == "completed" and now
    )
    return found


def test_many_runs_are_cancelled_and_retried_with_progress(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "many", "tasks": [HOLD]})
    runs = [start(api, "many") for _ in range(120)]
    until(lambda: status(api, runs[-1]) == "running")
    counted = bulk(api, action="cancel", filter={"workflow": "many"}, dry_run=True)
    assert (counted["total"], counted["status"]) == (120, "completed")
    assert status(api, runs[0]) == "running", "a dry run changes nothing"
    operation = ended(api, bulk(api, action="cancel", filter={"workflow": "many"}, reason="over"))
    assert (operation["total"], operation["done"], operation["failed"]) == (120, 120, 0)
    assert {wait_finished(api, run["id"])["status"] for run in runs} == {"cancelled"}
    operation = ended(api, bulk(api, action="retry", filter={"workflow": "many", "status": ["cancelled"]}))
    assert (operation["done"], operation["failed"]) == (120, 0)
    retried = api.get("/runs?workflow=many&status=running,pending&limit=200").json()["items"]
    assert sorted(run["retry_of"] for run in retried) == sorted(run["id"] for run in runs), "each once"
    api.post("/workflows/many/stop")


def test_many_runs_are_retried_unconfirmed_only_where_no_confirmation_is_asked_for(
    api: httpx2.Client, server: MillraceProcess
) -> None:
    trigger = {"id": "hand", "type": "manual", "config": {"require_confirmation": True}}
    failing = {"id": "no", "type": "shell", "config": {"command": "exit 1"}}
    create_workflow(api, {"name": "wary", "triggers": [trigger], "tasks": [failing]})
    failed = wait_finished(api, start(api, "wary", confirmation=True)["id"])
    meant = {"action": "retry", "filter": {"workflow": "wary"}}

    refused = ended(api, bulk(api, **meant))
    assert (refused["total"], refused["done"], refused["failed"]) == (1, 0, 1)
    assert refused["error"].startswith(f"{failed['id']}: ")
    assert "confirmation: true" in refused["error"]
    assert len(api.get("/runs?workflow=wary").json()["items"]) == 1, "nothing was started"

    confirmed = ended(api, bulk(api, **meant, confirmation=True))
    assert (confirmed["done"], confirmed["failed"]) == (1, 0)
    by_hand = server.millrace("bulk", "retry", "-w", "wary", "-s", "failed")
    assert "0 of" in by_hand.stdout
    by_hand = server.millrace("bulk", "retry", "-w", "wary", "-s", "failed", "--confirm")
    assert "0 did not take it" in by_hand.stdout


def test_many_runs_are_paused_and_resumed(api: httpx2.Client) -> None:
    create_workflow(api, {"name": "rest", "tasks": [HOLD]})
    runs = [start(api, "rest") for _ in range(3)]
    assert ended(api, bulk(api, action="pause", filter={"workflow": "rest"}))["done"] == 3
    until(lambda: [status(api, run) for run in runs] == ["paused"] * 3)
    assert ended(api, bulk(api, action="resume", filter={"workflow": "rest"}))["done"] == 3
    until(lambda: [status(api, run) for run in runs] == ["running"] * 3)
    api.post("/workflows/rest/stop")


def test_a_bulk_request_says_which_runs_it_means(api: httpx2.Client) -> None:
    assert bulk(api, 422, action="cancel")["faults"][0]["path"] == "filter"
    assert bulk(api, 422, action="burn", filter={})["faults"][0]["path"] == "action"
    assert bulk(api, 404, action="cancel", filter={"workflow": "nowhere"})["code"] == "workflow_not_found"
    for empty in ({}, {"status": [], "labels": {}, "workflow": None}):
        (fault,) = bulk(api, 422, action="cancel", filter=empty, dry_run=True)["faults"]
        assert fault["path"] == "filter"
        assert "all: true" in fault["remedy"]
    assert api.get("/operations/nowhere").json()["code"] == "operation_not_found"


def test_every_run_is_meant_only_when_it_is_said(api: httpx2.Client, server: MillraceProcess) -> None:
    create_workflow(api, {"name": "all", "tasks": [HOLD]})
    run = start(api, "all")
    bulk(api, 422, action="cancel", filter={}, reason="oh")
    assert api.get(f"/runs/{run['id']}").json()["status"] in ("pending", "running"), "nothing was done"
    assert bulk(api, action="cancel", filter={}, all=True, dry_run=True)["total"] >= 1
    assert "0 did not take it" in server.millrace("bulk", "cancel", "--all").stdout
    assert wait_finished(api, run["id"])["status"] == "cancelled"


# --- on_rollback ------------------------------------------------------------------------------------------------------


def test_a_failed_run_undoes_what_completed_in_reverse_and_a_retry_does_it_again(
    api: httpx2.Client, tmp_path: Path
) -> None:
    place, mended = tmp_path / "noted", tmp_path / "mended"
    undo = {"id": "free", "type": "shell", "config": {
        "command": f"echo undo-$SEAT >> {place}", "env": {"SEAT": "{{ tasks.seat.output.result.seat }}"}}}  # fmt: skip
    create_workflow(
        api,
        {
            "name": "saga",
            "tasks": [
                counting("plan", place),
                counting("seat", place, then="echo '{\"seat\": 7}'", on_rollback=[undo]),
                counting("hotel", place, on_rollback=[counting("leave", place)]),
                counting("pay", place, then=f"test -e {mended}", on_rollback=[counting("refund", place)]),
            ],
        },
    )
    failed = wait_finished(api, start(api, "saga")["id"])
    assert (failed["status"], failed["error"]["details"]) == ("failed", {"task": "pay"})
    assert noted(place) == ["plan", "seat", "hotel", "pay", "leave", "undo-7"]
    assert tasks_of(api, failed)["refund"]["skip_reason"] == "nothing_to_undo"
    place.unlink()
    mended.touch()
    again = repeat(api, failed, "retry")
    assert (again["status"], noted(place)) == ("completed", ["seat", "hotel", "pay"]), "what was undone is done again"


def test_what_undoes_tasks_is_checked_like_any_other_task(api: httpx2.Client) -> None:
    faulty = {
        "name": "faulty",
        "tasks": [
            {"id": "a", "type": "noop", "on_rollback": [
                {"id": "b", "type": "log", "config": {"message": "{{ tasks.nowhere.output }}"}},
                {"id": "a", "type": "shel"},
                {"id": "c", "type": "noop", "on_rollback": []},
            ]},
        ],
        "finally": [{"id": "z", "type": "noop", "on_rollback": []}],
    }  # fmt: skip
    response = api.post("/workflows/validate", json=faulty)
    assert response.status_code == 422
    assert {fault["path"] for fault in response.json()["faults"]} >= {
        "tasks[0].on_rollback[0].config.message",
        "tasks[0].on_rollback[1].id",
        "tasks[0].on_rollback[1].type",
        "tasks[0].on_rollback[2].on_rollback",
        "finally[0].on_rollback",
    }
