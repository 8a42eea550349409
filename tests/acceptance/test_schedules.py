"""S1, S10, W7(b): a schedule in a real process: it fires each second, and a kill and a restart neither lose nor repeat.

Runs do not overlap with what is checked: a due time counts once its run is there, and what must not happen is looked
for over the whole history.
"""

import itertools
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import MillraceProcess, create_workflow, wait_finished

EACH_SECOND = {
    "name": "ticking",
    "cron_expression": "* * * * * *",
    "max_concurrent_runs": 5,
    "tasks": [{"name": "say", "task_type": "SHELL", "config": {"command": "echo tick"}, "order_index": 0}],
}
WITHIN = 30.0


def eventually(condition: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + WITHIN
    while not (found := condition()):
        assert time.monotonic() < until, f"after {WITHIN:g} s: {what}"
        time.sleep(0.05)
    return found


def items(client: httpx2.Client, path: str, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params = {**query, "limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = client.get(path, params=params).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def second(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp())


def due_seconds(client: httpx2.Client) -> list[int]:
    """The due times of all started firings, oldest first, as seconds."""
    started = items(client, "/workflows/ticking/firings", decision="started")
    return sorted(second(firing["due_at"]) for firing in started)


def missed_seconds(client: httpx2.Client) -> list[int]:
    """Those that a start of the server of more than ten seconds has missed, and recorded."""
    missed = items(client, "/workflows/ticking/firings", decision="missed")
    return [due for firing in missed for due in range(second(firing["due_at"]), second(firing["due_until"]) + 1)]


def at_least(client: httpx2.Client, count: int) -> list[int]:
    found: list[int] = eventually(
        lambda: seen if len(seen := due_seconds(client)) >= count else None, f"{count} firings"
    )
    return found


def test_a_task_list_with_a_cron_expression_runs_each_second_also_across_a_kill_and_a_restart(tmp_path: Path) -> None:
    server = MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false")
    with server:
        with server.client() as client:
            create_workflow(client, EACH_SECOND)
            at_least(client, 3)
        server.kill()
        server.start()
        with server.client() as client:
            before = len(due_seconds(client))
            at_least(client, before + 3)
        assert server.stop() == 0
        server.start()
        with server.client() as client:
            before = len(due_seconds(client))
            at_least(client, before + 3)
            assert client.patch("/workflows/ticking", json={"status": "paused"}).status_code == 200
            seconds = due_seconds(client)
            missed = missed_seconds(client)
            assert len(set(seconds)) == len(seconds), "no due time fired twice"
            assert sorted(seconds + missed) == list(range(seconds[0], seconds[-1] + 1)), "and none was lost"
            runs = items(client, "/runs", workflow="ticking")
            assert len(runs) == len(seconds)
            assert {run["trigger_type"] for run in runs} == {"cron"}
            assert wait_finished(client, runs[0]["id"])["status"] == "completed"
            (trigger,) = items(client, "/workflows/ticking/triggers")
            assert {run["trigger_id"] for run in runs} == {trigger["id"]}
            assert trigger["counts"] == {
                "fired": len(runs), "started": len(runs), "failed": 0, "missed": len(missed)
            }  # fmt: skip
            assert trigger["silent_because"] == "workflow_paused"
            assert client.get("/doctor").json()["problems"] == []


def test_an_interval_after_the_last_end_starts_the_next_run_when_one_has_finished(tmp_path: Path) -> None:
    again = {
        "name": "again",
        "triggers": [{"id": "clock", "type": "interval", "config": {"every": "1s", "counted_from": "last_end"}}],
        "tasks": [{"id": "work", "type": "shell", "config": {"command": "sleep 1.5"}}],
    }
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server, server.client() as client:
        create_workflow(client, again)
        eventually(lambda: len(items(client, "/runs", workflow="again")) >= 3, "three runs")
        assert client.patch("/workflows/again", json={"status": "paused"}).status_code == 200
        runs = [wait_finished(client, run["id"]) for run in reversed(items(client, "/runs", workflow="again"))]
        for before, after in itertools.pairwise(runs):
            ended, begun = (datetime.fromisoformat(iso) for iso in (before["finished_at"], after["created_at"]))
            assert begun - ended >= timedelta(seconds=1), "a second after the end, and never beside it"
        assert client.get("/doctor").json()["problems"] == []


def test_the_command_line_shows_triggers_and_switches_them(tmp_path: Path) -> None:
    nightly = {
        "name": "nightly",
        "triggers": [{"id": "clock", "type": "cron", "config": {"expression": "0 2 * * *", "timezone": "Asia/Tokyo"}}],
        "tasks": [{"id": "a", "type": "noop"}],
    }
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        with server.client() as client:
            create_workflow(client, nightly)
            create_workflow(client, {**EACH_SECOND, "cron_expression": "* * * * * *"})
            eventually(lambda: due_seconds(client), "a firing")
        (trigger,) = json.loads(server.millrace("triggers", "--workflow", "nightly", "--json").stdout)
        listed = server.millrace("triggers", "list").stdout
        assert trigger["id"] in listed
        assert "ticking" in listed
        shown = server.millrace("triggers", "show", trigger["id"]).stdout
        assert " 02:00:00+09:00 in Asia/Tokyo" in shown
        assert "silent: disabled" in server.millrace("triggers", "disable", trigger["id"]).stdout
        assert "(silent: disabled)" in server.millrace("triggers", "-w", "nightly").stdout
        assert "active" in server.millrace("triggers", "enable", trigger["id"]).stdout
        (ticking,) = json.loads(server.millrace("triggers", "-w", "ticking", "--json").stdout)
        firings = server.millrace("triggers", "firings", ticking["id"], "--decision", "started").stdout
        assert "started" in firings
        refused = server.millrace("triggers", "show", "nothing", check=False)
        assert (refused.returncode, "there is no trigger" in refused.stderr) == (2, True)
