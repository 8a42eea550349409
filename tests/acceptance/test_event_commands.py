"""`millrace event`: what people see of the events that workflows publish."""

import json
from pathlib import Path

from tests.support.server import MillraceProcess

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
        assert server.millrace("event", "list", "--type", "other").stdout.split() == table[0].split()
        assert server.millrace("event", "show", "nothing", check=False).returncode == 2
