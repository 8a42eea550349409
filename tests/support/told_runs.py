"""What an example says about its runs, and whether it is so.

    # run INPUT -> STATUS WHAT; TASK STATUS, …
    # run INPUT told KIND {…} told KIND {…} -> …

WHAT is the output of a completed run, a part of the error of a failed one, and the code of the problem where the start
is refused. TASK is the path of a task run, which outside of loops is the id of its task, and it is `absent` if there is
no such task run. A run that is `told` something is told it as soon as it waits: an `event` (of CloudEvents) is
published, a `signal` (`name`, `data`) is sent to it, a `decision` (`path`, `decision`, …) is about one of its tasks;
`cancel` cancels it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.server import until, wait_finished
from tests.support.telling import Teller

TASKS = r"[\w.\[\]]+ (?:completed|failed|skipped|cancelled|absent)"
RUN = re.compile(
    rf"^(?:#|<!--) run (?P<input>\{{.*?\}})(?P<told>(?: told \w+ \{{.*?\}})*) "
    rf"-> (?P<status>completed|failed|cancelled|refused)(?: (?P<what>.*?))??"
    rf"(?:; (?P<tasks>{TASKS}(?:, {TASKS})*))?(?: -->)?$",
    re.MULTILINE,
)
TOLD = re.compile(r" told (?P<kind>event|signal|decision|cancel) (?P<what>\{.*?\})(?= told |$)")


@dataclass(frozen=True)
class ToldRun:
    input: dict[str, Any]
    told: Sequence[tuple[str, dict[str, Any]]]
    """Kind and content of what it is told while it waits."""
    status: str
    what: str | None
    tasks: Mapping[str, str]


def told_runs(text: str) -> list[ToldRun]:
    """The runs of which a text tells."""
    return [_told_run(match) for match in RUN.finditer(text)]


def _told_run(match: re.Match[str]) -> ToldRun:
    told = [(one["kind"], json.loads(one["what"])) for one in TOLD.finditer(match["told"])]
    tasks = dict(item.split() for item in match["tasks"].split(", ")) if match["tasks"] else {}
    return ToldRun(json.loads(match["input"]), told, match["status"], match["what"], tasks)


def check_run(run: ToldRun, client: httpx2.Client, workflow: str, place: str, teller: Teller | None = None) -> None:
    """Start such a run and see that it goes as it is told."""
    answer = client.post(f"/workflows/{workflow}/execute", json={"input": run.input, "wait": not run.told}).json()
    if run.status == "refused":
        assert answer["code"] == run.what, f"{place}: {answer}"
        return
    if run.told:
        assert teller is not None, f"{place}: nobody is here to tell it anything"
        _tell(run, client, answer["id"], teller)
        answer = wait_finished(client, answer["id"])
    assert answer["status"] == run.status, f"{place}: {answer}"
    if run.status == "failed":
        shown = json.dumps(answer["error"], ensure_ascii=False)
        assert run.what is not None, f"{place}: say why it fails"
        assert run.what in shown, f"{place}: {run.what!r} is not in {shown}"
    elif run.what:
        assert answer["output"] == json.loads(run.what), place
    statuses = {name: _status_of(name, client, answer["id"]) for name in run.tasks}
    assert statuses == run.tasks, place


def _status_of(path: str, client: httpx2.Client, run_id: str) -> str:
    found = client.get(f"/runs/{run_id}/tasks/{path}")
    return "absent" if found.status_code == 404 else found.json()["status"]


def _tell(run: ToldRun, client: httpx2.Client, run_id: str, teller: Teller) -> None:
    until(lambda: client.get(f"/runs/{run_id}").json()["status"] == "waiting")
    for kind, what in run.told:
        match kind:
            case "event":
                teller.publish(what)
            case "signal":
                teller.signal(run_id, **what)
            case "decision":
                teller.decide(run_id, **what)
            case _:
                assert client.post(f"/runs/{run_id}/cancel", json=what).status_code == 202
