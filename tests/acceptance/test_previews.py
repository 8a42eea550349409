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


def lines_of(server: MillraceProcess, *arguments: str) -> list[str]:
    """What it prints, with one blank where there are several."""
    return [" ".join(line.split()) for line in server.millrace("triggers", "preview", *arguments).stdout.splitlines()]


def test_of_an_interval(server: MillraceProcess) -> None:
    assert lines_of(server, "--every", "6h", "--anchor", "2026-03-28T01:00:00Z", "--end", "2026-03-28T20:00:00Z",
                    "--from", "2026-03-28T12:00:00Z") == [
        "every 6h in UTC",
        "DUE IN UTC STARTS NOTE",
        "2026-03-28 13:00:00+00:00 2026-03-28 13:00:00+00:00 2026-03-28 13:00:00+00:00",
        "2026-03-28 19:00:00+00:00 2026-03-28 19:00:00+00:00 2026-03-28 19:00:00+00:00",
    ]  # fmt: skip


def test_of_what_counts_from_the_last_end(server: MillraceProcess) -> None:
    shown = lines_of(server, "--every", "10m", "--counted-from", "last_end", *SPRING)
    assert shown == [
        "10m after each end in UTC",
        "DUE IN UTC STARTS NOTE",
        "2026-03-28 12:00:00+00:00 2026-03-28 12:00:00+00:00 2026-03-28 12:00:00+00:00",
        "later times are counted from the end of the run before, so they are not known yet",
    ]


def test_of_one_moment(server: MillraceProcess) -> None:
    assert lines_of(server, "--at", "2099-12-24T18:00", "-z", "Europe/Berlin") == [
        "once at 2099-12-24T18:00 in Europe/Berlin",
        "DUE IN EUROPE/BERLIN STARTS NOTE",
        "2099-12-24 17:00:00+00:00 2099-12-24 18:00:00+01:00 2099-12-24 17:00:00+00:00",
    ]
    assert lines_of(server, "--at", "2020-12-24")[-1] == "it is not due any more"
    found = json.loads(server.millrace("triggers", "preview", "--at", "2099-12-24", "--json").stdout)
    assert [item["due_at"] for item in found["items"]] == ["2099-12-24T00:00:00.000000Z"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--every", "1ms"], "every: an interval is 1s at least, not 1ms — write a duration"),
        (["--every", "1h", "--counted-from", "start"], "counted_from: counted_from is none of those there are — write"),
        (["--at", "tomorrow"], "at: 'tomorrow' is not a moment — write a moment such as"),
        (["--every", "1h", "--gap", "skip"], "--gap goes with a cron expression; leave it out here"),
        (["0 2 * * *", "--anchor", "2026-01-01"], "--anchor goes with --every; leave it out here"),
        (["--at", "2099-12-24", "--end", "2100-01-01"], "--end goes with a cron expression or --every; leave it out"),
        (["-w", "nightly", "-t", "night", "--start", "2026-01-01"], "a trigger has its zone and its rules"),
    ],
)
def test_what_does_not_go_together_is_told(server: MillraceProcess, arguments: list[str], says: str) -> None:
    failed = server.millrace("triggers", "preview", *arguments, check=False)
    assert failed.returncode == 2
    assert says in failed.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-w", "nightly"],
        ["0 2 * * *", "-t", "night"],
        ["0 2 * * *", "--every", "1h"],
        ["--at", "2099-12-24", "--every", "1h"],
        ["--every", "1h", "-w", "nightly", "-t", "night"],
    ],
)
def test_it_must_be_told_what_to_preview(server: MillraceProcess, arguments: list[str]) -> None:
    failed = server.millrace("triggers", "preview", *arguments, check=False)
    assert failed.returncode != 0
    assert "give one of an expression, --every and --at, or --workflow and --trigger" in failed.stderr
