"""W4 as people use it: `millrace canary` tries a version out, shows both side by side, and ends the trial."""

import json
import time
from pathlib import Path
from typing import Any

from tests.support.server import MillraceProcess

DEFINITION = """
name: told
triggers: [{id: told, type: event, config: {event_type: tick}}]
tasks: [{id: a, type: %s}]
"""
FAILING = 'transform, config: {output: "{{ input.nothing }}"}'
EVENTS = 12


def saved(server: MillraceProcess, file: Path, task: str, *more: str) -> None:
    file.write_text("\n".join((DEFINITION % task, *more)))
    server.millrace("apply", "-f", str(file))


def as_json(server: MillraceProcess, *words: str) -> Any:
    return json.loads(server.millrace(*words, "--json").stdout)


def until_compared(server: MillraceProcess, finished: int) -> dict[str, Any]:
    """What `show` says once so many runs have finished."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found: dict[str, Any] = as_json(server, "canary", "show", "told")
        sides = [found["outcomes"][side] for side in ("stable", "canary")]
        if sum(side["total"] - side["unfinished"] for side in sides) == finished:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{finished} runs do not finish: {found}")


def test_a_version_is_tried_out_compared_and_promoted(tmp_path: Path) -> None:
    file = tmp_path / "told.yaml"
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        saved(server, file, "noop")
        nothing = server.millrace("canary", "show", "told", check=False)
        assert (nothing.returncode, "no canary" in nothing.stderr) == (2, True)
        saved(server, file, FAILING, "deploy: false")
        for share in ("0", "100", "1.234", "x"):
            assert server.millrace("canary", "set", "told", "2", "--share", share, check=False).returncode == 2
        said = server.millrace("canary", "set", "told", "2", "--share", "99.99").stdout
        assert said.startswith("told: version 2 takes 99.99 % of the triggered runs beside version 1, since ")
        with server.client() as client:
            for number in range(EVENTS):
                answer = client.post("/events", json={"type": "tick", "source": "s", "id": str(number)})
                assert answer.status_code == 202, answer.text
        found = until_compared(server, EVENTS)
        canary = found["outcomes"]["canary"]
        assert canary["failed"] == canary["total"] >= EVENTS - 1, "but for one in ten thousand"

        first, heading, stable, tried, failure = server.millrace("canary", "show", "told").stdout.splitlines()
        assert first == said.rstrip("\n")
        assert heading.split()[:3] == ["VERSION", "RUNS", "COMPLETED"]
        assert stable.split()[:2] == ["stable", "1"]
        assert tried.split()[:6] == ["canary", "2", str(canary["total"]), "0", str(canary["total"]), "0"]
        assert "100 %" in tried
        run = canary["last_failure"]["run_id"]
        assert failure == f"version 2 failed last in run {run}: {canary['last_failure']['message']}"
        assert (
            "canary     version 2, 99.99 % of the triggered runs" in server.millrace("workflows", "show", "told").stdout
        )

        stopped = server.millrace("canary", "stop", "told").stdout
        assert stopped.startswith("told: version 2 took 99.99 % of the triggered runs beside version 1, stopped ")
        assert server.millrace("canary", "show", "told").stdout.splitlines()[0] == stopped.rstrip("\n")
        saved(server, file, "noop", "timeout: 5m", "deploy: false")
        server.millrace("canary", "set", "told", "newest", "--share", "0.5")
        assert server.millrace("canary", "promote", "told", "-m", "at last").stdout == "told: version 3 is deployed\n"
        assert "at last" in server.millrace("deployments", "told").stdout
        listed = server.millrace("canary", "list", "told").stdout.splitlines()
        assert [(line.split()[1], "promoted" in line, "stopped" in line) for line in listed[1:]] == [
            ("3", True, False),
            ("2", False, True),
        ]
        assert as_json(server, "canary", "show", "told", "--id", found["id"])["outcome"] == "stopped"
        assert as_json(server, "canary", "show", "told")["outcome"] == "promoted"
        again = server.millrace("canary", "stop", "told", check=False)
        assert (again.returncode, "no canary" in again.stderr) == (2, True)
