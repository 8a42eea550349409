"""`millrace triggers preview` as people use it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import MillraceProcess

NIGHTLY = {
    "name": "nightly",
    "triggers": [{"id": "night", "type": "cron", "config": {"expression": "30 2 * * *", "timezone": "Europe/Berlin"}}],
    "tasks": [{"id": "a", "type": "noop"}],
}
SPRING = ("--from", "2026-03-28T12:00:00Z", "-n", "2")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    folder: Path = tmp_path_factory.mktemp("previews")
    with MillraceProcess(folder / "home", MILLRACE_APPLY_EXAMPLES="false", TZ="UTC") as running:
        place = folder / "nightly.json"
        place.write_text(json.dumps(NIGHTLY))
        running.millrace("apply", "-f", str(place))
        yield running


def test_of_an_expression_as_a_table(server: MillraceProcess) -> None:
    shown = server.millrace("triggers", "preview", "30 2 * * *", "--timezone", "Europe/Berlin", *SPRING).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines == [
        "30 2 * * * in Europe/Berlin",
        "DUE IN EUROPE/BERLIN STARTS NOTE",
        "2026-03-29 01:00:00+00:00 - - clocks are set from 2026-03-29 02:00:00+01:00 to 2026-03-29 03:00:00+02:00",
        "2026-03-29 01:00:00+00:00 2026-03-29 03:00:00+02:00 2026-03-29 01:00:00+00:00 "
        "gap: clocks skip the time that is named; this is the first moment after the gap",
        "2026-03-30 00:30:00+00:00 2026-03-30 02:30:00+02:00 2026-03-30 00:30:00+00:00",
    ]


def test_of_a_trigger_as_json(server: MillraceProcess) -> None:
    found = json.loads(server.millrace("triggers", "preview", "-w", "nightly", "-t", "night", *SPRING, "--json").stdout)
    assert [item["local"] for item in found["items"]] == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_what_is_wrong_is_told_with_what_would_be_right(server: MillraceProcess) -> None:
    failed = server.millrace("triggers", "preview", "0 25 * * *", "-z", "Europe/Berlinn", check=False)
    assert failed.returncode != 0
    assert "expression: hour: 25 is not between 0 and 23 — write 0-23" in failed.stderr
    assert "timezone: there is no time zone 'Europe/Berlinn' — write Europe/Berlin" in failed.stderr


@pytest.mark.parametrize("arguments", [[], ["-w", "nightly"], ["0 2 * * *", "-t", "night"]])
def test_it_must_be_told_what_to_preview(server: MillraceProcess, arguments: list[str]) -> None:
    failed = server.millrace("triggers", "preview", *arguments, check=False)
    assert failed.returncode != 0
    assert "give an expression, or --workflow and --trigger" in failed.stderr
