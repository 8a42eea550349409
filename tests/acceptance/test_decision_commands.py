"""`millrace approvals`, `approve`, `reject`, `approval-link` and `signal`: what people do about what runs wait for."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.server import MillraceProcess, until

DEFINITION = """
name: publish
tasks:
  - id: ask
    type: approval
    config:
      message: |
        Large day,
        publish?
      form:
        type: object
        required: [copies]
        properties: {copies: {type: integer}, note: {type: string}}
  - {id: told, type: wait_for_event, config: {signal: printed}}
output: {form: "{{ tasks.ask.output.form }}", told: "{{ tasks.told.output.signal.data }}"}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    folder = tmp_path_factory.mktemp("decisions")
    file = folder / "publish.yaml"
    file.write_text(DEFINITION)
    settings = {"MILLRACE_APPLY_EXAMPLES": "false", "MILLRACE_PUBLIC_URL": "https://millrace.example.com/m/"}
    with MillraceProcess(folder / "home", **settings) as running:
        running.millrace("apply", "-f", str(file))
        yield running


def asking(server: MillraceProcess) -> str:
    run: str = server.millrace("run", "publish").stdout.strip()
    until(lambda: run in server.millrace("approvals").stdout)
    return run


def status(server: MillraceProcess, run: str) -> str:
    return str(json.loads(server.millrace("show", run, "--json").stdout)["status"])


def test_what_waits_is_listed_and_approved_and_told(server: MillraceProcess, tmp_path: Path) -> None:
    run = asking(server)
    heading, row = server.millrace("approvals", "-w", "publish").stdout.splitlines()
    assert heading.split()[:2] == ["RUN", "TASK"]
    assert [run in row, "ask" in row, "Large day, publish?" in row] == [True, True, True]
    (listed,) = json.loads(server.millrace("approvals", "--json").stdout)
    assert (listed["run_id"], listed["message"]) == (run, "Large day,\npublish?\n")
    refused = server.millrace("approve", run, "ask", check=False)
    assert (refused.returncode, "copies is missing" in refused.stderr) == (2, True)
    done = server.millrace("approve", run, "ask", "--comment", "fine", "-f", "copies=2", "--form", "note=12")
    assert done.stdout.strip() == f"approved ask of {run}"
    again = server.millrace("approve", run, "ask", check=False)
    assert (again.returncode, "waits for no decision" in again.stderr) == (2, True)
    until(lambda: "told" in server.millrace("show", run).stdout)
    data = tmp_path / "data.json"
    data.write_text('{"pages": 3}')
    assert server.millrace("signal", run, "printed", "--data", f"@{data}").stdout.strip() == f"{run} was sent printed"
    until(lambda: status(server, run) == "completed")
    output = json.loads(server.millrace("show", run, "--json").stdout)["output"]
    assert output == {"form": {"copies": 2, "note": "12"}, "told": {"pages": 3}}


def test_what_is_rejected_fails_and_says_why(server: MillraceProcess) -> None:
    run = asking(server)
    server.millrace("reject", run, "ask", "-c", "not today")
    until(lambda: status(server, run) == "failed")
    assert "not today" in server.millrace("show", run).stdout
    assert "ask decided (rejected; by Administrator" in server.millrace("events", run).stdout


def test_a_link_begins_with_the_address_that_others_know(server: MillraceProcess) -> None:
    run = asking(server)
    url = server.millrace("approval-link", run, "ask", "--expires-in", "2h", "--decision", "reject").stdout.strip()
    begins = "https://millrace.example.com/m/approvals/"
    assert url.startswith(begins)
    here = f"http://127.0.0.1:{server.port}/approvals/{url.removeprefix(begins)}"
    assert "publish?" in httpx2.get(here, trust_env=False).text
    assert httpx2.post(here, data={"decision": "reject"}, trust_env=False).status_code == 202
    until(lambda: status(server, run) == "failed")
    assert "by a link of Administrator" in server.millrace("events", run).stdout
    refused = server.millrace("approval-link", run, "ask", "--expires-in", "soon", check=False)
    assert refused.returncode == 2


def test_words_that_lead_elsewhere_are_refused_at_once(server: MillraceProcess) -> None:
    for arguments in (("approve", "a/b", "ask"), ("reject", "a", ".."), ("signal", "a", "x", "--data", "{")):
        refused = server.millrace(*arguments, check=False)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
