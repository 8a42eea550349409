"""`millrace event`: what people see of the events that workflows publish."""

import json
from pathlib import Path

from tests.support.server import MillraceProcess, wait_finished

DEFINITION = """
name: tells
input: {type: object, properties: {day: {type: integer}}}
tasks:
  - id: tell
    type: publish_event
    config: {type: day.done, subject: "day/{{ input.day }}", data: {day: "{{ input.day }}"}}
"""


def test_events_are_listed_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "tells.yaml"
    file.write_text(DEFINITION)
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        server.millrace("apply", "-f", str(file))
        for day in (1, 2):
            server.millrace("run", "tells", "-i", f"day={day}", "--follow")
        table = server.millrace("event", "list", "--type", "day.done").stdout.splitlines()
        assert table[0].split()[0] == "ID"
        assert ["day/2" in table[1], "day/1" in table[2], '{"day": 2}' in table[1]] == [True, True, True]
        (newest,) = json.loads(server.millrace("event", "list", "--limit", "1", "--json").stdout)
        assert (newest["subject"], newest["source"]) == ("day/2", "workflows/tells")
        assert json.loads(server.millrace("event", "show", newest["id"]).stdout) == newest
        assert server.millrace("event", "list", "--type", "other").stdout == "there are none\n"
        assert server.millrace("event", "show", "nothing", check=False).returncode == 2


REPORT = """
name: report
triggers:
  - {id: told, type: event, config: {event_type: "orders.*"}, input: {n: "{{ trigger.event.data.n }}"}}
tasks: [{id: a, type: noop}]
"""


def test_an_event_is_published_and_starts_a_run_and_simulating_one_says_so_before(tmp_path: Path) -> None:
    file, data = tmp_path / "report.yaml", tmp_path / "data.json"
    file.write_text(REPORT)
    data.write_text('{"n": 3}')
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        server.millrace("apply", "-f", str(file))
        event = tmp_path / "event.json"
        event.write_text('{"type": "orders.new", "data": {"n": 3}}')
        table = server.millrace("triggers", "simulate", "--event", f"@{event}").stdout.splitlines()
        assert table[1].split() == ["report", "told", "start", "a", "run", "-"]
        found = json.loads(server.millrace("triggers", "simulate", "--event", f"@{event}", "--json").stdout)
        assert (found["items"][0]["matches"], found["items"][0]["input"]) == (True, {"n": 3})
        refused = server.millrace("triggers", "simulate", "--event", '{"type": "stock"}', "-w", "report").stdout
        assert "not fire" in refused

        told = ("event", "publish", "orders.new", "--data", f"@{data}", "--source", "s", "--subject", "x", "--id", "1")
        first = json.loads(server.millrace(*told, "--json").stdout)
        assert (first["data"], first["source"], first["subject"], first["repeated"]) == ({"n": 3}, "s", "x", False)
        assert server.millrace(*told).stdout.startswith(f"{first['id']}  (told before")
        for wrong in ("{", "@/nowhere"):
            assert server.millrace("event", "publish", "a", "--data", wrong, check=False).returncode != 0
        assert "Millrace's own" in server.millrace("event", "publish", "millrace.a", check=False).stderr


WAITS = """
name: waits
tasks:
  - {id: paid, type: wait_for_event, config: {type: orders.paid, key: A2}}
output: "{{ tasks.paid.output.event.data.n }}"
"""


def test_an_event_with_a_correlation_key_reaches_the_run_that_waits_for_it(tmp_path: Path) -> None:
    file = tmp_path / "waits.yaml"
    file.write_text(WAITS)
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        server.millrace("apply", "-f", str(file))
        run = json.loads(server.millrace("run", "waits", "--json").stdout)["id"]
        assert "--key" in server.millrace("event", "publish", "--help").stdout
        publish = ("event", "publish", "orders.paid", "--subject", "A1")
        server.millrace(*publish, "--key", "A3", "--data", '{"n": 1}')
        told = json.loads(server.millrace(*publish, "--key", "A2", "--data", '{"n": 2}', "--json").stdout)
        assert (told["subject"], told["source"]) == ("A1", "api")
        assert told["extensions"] == {"correlationkey": "A2"}
        with server.client() as client:
            assert wait_finished(client, run)["output"] == 2
