"""X8 with real processes: `millrace test` and `millrace dry-run`, a server that is asked nothing, a kill in between."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from tests.support.server import MillraceProcess

LISTENER = """
name: listener
triggers: [{id: ends, type: event, config: {event_type: millrace.run.failed}}]
tasks: [{id: heard, type: log, config: {message: "{{ trigger.event.subject }}"}}]
"""


def nightly(url: str) -> str:
    return f"""
name: nightly
input: {{type: object, required: [day], properties: {{day: {{type: string}}}}}}
tasks:
  - id: extract
    type: http
    config:
      url: "{url}/orders"
      headers: {{X-Token: "{{{{ secrets.no_such_token }}}}"}}
      query: {{day: "{{{{ input.day }}}}"}}
  - {{id: pause, type: sleep, config: {{duration: 365d}}}}
  - {{id: each, type: foreach, config: {{items: "{{{{ tasks.extract.output.body }}}}"}}, tasks: [
      {{id: price, type: transform, config: {{output: "{{{{ item.total * 2 }}}}"}}}}]}}
  - {{id: ask, type: approval, config: {{message: "Go on?"}}}}
output: "{{{{ tasks.each.output.results }}}}"
on_failure: [{{id: alarm, type: log, config: {{message: "{{{{ run.error.message }}}}"}}}}]
"""


@pytest.fixture(scope="module")
def orders() -> Iterator[HTTPServer]:
    """A server of this file's own: what other files' late requests ask is not in its log."""
    with HTTPServer() as asked:
        yield asked


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, orders: HTTPServer) -> Iterator[MillraceProcess]:
    folder: Path = tmp_path_factory.mktemp("test-runs")
    url = orders.url_for("").rstrip("/")
    settings = {"MILLRACE_APPLY_EXAMPLES": "false", "MILLRACE_HTTP_ALLOWED_TARGETS": "127.0.0.1"}
    with MillraceProcess(folder / "home", **settings) as running:
        for name, text in (("nightly", nightly(url)), ("listener", LISTENER)):
            (folder / f"{name}.yaml").write_text(text)
            running.millrace("apply", "-f", str(folder / f"{name}.yaml"))
        yield running


ROWS = '{"status": 200, "body": [{"total": 20}, {"total": 5}]}'
GIVEN = ("-i", "day=monday", "--mock", f"extract={ROWS}", "--virtual-time")


def test_a_test_shows_what_becomes_of_it_and_asks_nobody(server: MillraceProcess, orders: HTTPServer) -> None:
    done = server.millrace("test", "nightly", *GIVEN, "--mock", 'ask={"approved": true}')
    assert done.stdout.splitlines()[-1] == "output    [40, 10]"
    run_id = done.stdout.split()[1]
    shown = server.millrace("show", run_id).stdout
    assert "test      2 tasks mocked, no time passes" in shown
    assert any(line.startswith("extract ") and line.endswith("mocked") for line in shown.splitlines())
    failed = server.millrace("test", "nightly", *GIVEN, "--fail", "ask=nobody is there", check=False)
    assert failed.returncode == 1
    assert "nobody is there" in failed.stdout
    alone = server.millrace("test", "nightly", "--only", "price", "--item", '{"total": 4}', "--json")
    assert json.loads(alone.stdout)["output"] == 8
    twice = server.millrace("retry", run_id, check=False)
    assert (twice.returncode, "cannot be repeated" in twice.stderr) == (2, True)
    # A run that is none of a test is heard of; had the others been, they would have been before it.
    plain = server.millrace("run", "nightly", "-i", "day=monday", "--follow", check=False)
    assert plain.returncode == 1, "there is no secret"
    until(lambda: bool(of_workflow(server, "listener")))
    (heard,) = of_workflow(server, "listener")
    until(lambda: status_of(server, heard["id"]) == "completed")
    assert plain.stdout.split()[1] in server.millrace("logs", heard["id"]).stdout
    assert orders.log == []


def until(holds: Callable[[], bool]) -> None:
    """Look again and again until it is so."""
    late = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.1)


def of_workflow(server: MillraceProcess, workflow: str) -> list[dict[str, Any]]:
    with server.client() as client:
        found: list[dict[str, Any]] = client.get("/runs", params={"workflow": workflow}).json()["items"]
        return found


def status_of(server: MillraceProcess, run_id: str) -> str:
    with server.client() as client:
        return str(client.get(f"/runs/{run_id}").json()["status"])


def test_a_test_goes_on_as_a_test_after_a_kill(server: MillraceProcess) -> None:
    started = server.millrace("test", "nightly", *GIVEN, "--no-follow").stdout.strip()
    until(lambda: status_of(server, started) == "waiting")
    server.kill()
    server.start()
    server.millrace("approve", started, "ask")
    until(lambda: status_of(server, started) == "completed")


def test_a_dry_run_tells_what_would_be_done(server: MillraceProcess, orders: HTTPServer) -> None:
    told = server.millrace("dry-run", "nightly", "-i", "day=monday")
    lines = [line.strip() for line in told.stdout.splitlines()]
    assert lines[0] == "nightly version 1 completes, if all that is not mocked goes well"
    assert "▶ extract (http) runs" in lines
    assert 'headers: {"X-Token": "***"}' in lines
    assert "? config.items reads tasks.extract.output.body, which is known only when it has run" in lines
    assert "↷ alarm (log) skipped: nothing is known to fail" in lines
    assert any("no_such_token" in line for line in lines if line.startswith("warning"))
    more = server.millrace("dry-run", "nightly", "-i", "day=monday", "--mock", f"extract={ROWS}").stdout
    assert "▶ each[1].price (transform) runs" in more
    broken = server.millrace("dry-run", "nightly", "-i", "day=monday", "--fail", "extract=down", "--json", check=False)
    assert (broken.returncode, json.loads(broken.stdout)["outcome"]) == (1, "failed")
    assert "missing" in server.millrace("dry-run", "nightly", check=False).stderr
    assert orders.log == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mock", "extract"), "write TASK="),
        (("--mock", "extract={"), "not JSON"),
        (("--times", "extract=x"), "a number"),
        (("--mock", "exract=1"), "did you mean 'extract'"),
        (("--only", "price"), "item"),
    ],
)
def test_what_is_wrong_is_said(server: MillraceProcess, arguments: tuple[str, ...], says: str) -> None:
    failed = server.millrace("test", "nightly", "-i", "day=monday", *arguments, check=False)
    assert failed.returncode not in (0, 3)
    assert says in failed.stderr
