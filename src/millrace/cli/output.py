"""What commands print: tables for people, JSON for programs, and nothing that depends on colour alone."""

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer

MARKS = {
    "pending": "·",
    "ready": "○",
    "running": "▶",
    "waiting": "◷",
    "paused": "⏸",
    "cancelling": "◼",
    "completed": "✔",
    "failed": "✘",
    "skipped": "↷",
    "cancelled": "◼",
}
COLOURS = {
    "completed": "green",
    "failed": "red",
    "running": "cyan",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "paused": "yellow",
    "skipped": "bright_black",
    "pending": "bright_black",
}


SKIPS = {
    "condition": "its `if` did not hold",
    "join": "what it waits for did not end as it wants",
    "phase": "its part of the run was not needed",
    "nothing_to_undo": "there was nothing to undo",
}
"""Why a task was skipped, in words."""

CLEAR_LINE = "\x1b[K"

_TURNING = r"\u202a-\u202e\u2066-\u2069"
"""Characters that turn the direction of what follows, so that a line reads otherwise than it is."""

_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNING}]")
_CONTROL_OR_BREAK = re.compile(rf"[\x00-\x1f\x7f-\x9f{_TURNING}]")
_NOT_ESCAPED_BY_JSON = re.compile(rf"[\x7f-\x9f{_TURNING}]")
_MARKED = re.compile("|".join(f"{mark} {status}" for status, mark in MARKS.items()))


def say(text: str = "", *, fg: str | None = None, err: bool = False) -> None:
    """Print text for people: whatever it was made of, the terminal takes no orders from it. `fg` is its colour."""
    text = cleaned(text)
    if on_terminal() and not err:
        text = typer.style(text, fg=fg) if fg else _MARKED.sub(_coloured, text)
    typer.echo(text, err=err)


def cleaned(text: str) -> str:
    """The text with its lines and tabs, and without other control characters."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON for programs that a terminal can show: control characters are escaped, all of them."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _NOT_ESCAPED_BY_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(value: Any) -> None:
    typer.echo(json_text(value, indent=2))


def on_terminal() -> bool:
    return sys.stdout.isatty()


def shows_progress() -> bool:
    return sys.stderr.isatty()


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Gives what shows how far a command is: one line of the terminal, written over again and again, and then empty.

    It goes to stderr, and only to a terminal: what is printed to a file or a pipe stays as it is.
    """

    def show(text: str) -> None:
        if shows_progress():
            typer.echo(f"\r{CLEAR_LINE}{cleaned(text)}", nl=False, err=True, color=True)

    try:
        yield show
    finally:
        show("")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; no frames, so that it can be cut and grepped.

    Without rows it says that there are none.
    """
    if not rows:
        say("there are none")
        return
    rows = [[_CONTROL_OR_BREAK.sub("\N{REPLACEMENT CHARACTER}", cell) for cell in row] for row in rows]
    lines = [[name.upper() for name in columns], *rows]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """The columns that a text takes on a terminal: Chinese characters and most pictures take two, accents none."""
    if text.isascii():
        return len(text)
    shown = [character for character in text if not unicodedata.combining(character)]
    return len(shown) + sum(unicodedata.east_asian_width(character) in "WF" for character in shown)


def marked(status: str) -> str:
    """A status with its mark; `say` gives it its colour."""
    return f"{MARKS.get(status, ' ')} {status}"


def _coloured(found: re.Match[str]) -> str:
    return typer.style(found[0], fg=COLOURS.get(found[0].partition(" ")[2]))


def moment(iso: str | None) -> str:
    """An instant of the API in local time with its offset, to the second: `2026-03-29 03:00:00+02:00`."""
    if not iso:
        return "-"
    return datetime.fromisoformat(iso).astimezone().isoformat(" ", "seconds")


def moment_of(microseconds: int) -> str:
    """An instant as records tell it, in microseconds since 1970; shown as by `moment`."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).astimezone().isoformat(" ", "seconds")


def clock_time(iso: str) -> str:
    """The local time of day, to the millisecond, with which lines begin; their `--json` has the whole instant."""
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S.%f")[:-3]


def duration(start: str | None, end: str | None) -> str:
    if not start or not end:
        return "-"
    return length((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def length(seconds: float) -> str:
    """A length of time, as exactly as people care."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def name_of(user: dict[str, Any] | None) -> str:
    """Who did it, as the API tells users."""
    if not user:
        return "-"
    return f"a link of {user['name']}" if user.get("by_link") else str(user["name"])


def skip_told(reason: str) -> str:
    """Why a task was skipped."""
    return SKIPS.get(reason, reason.replace("_", " "))


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def failure_told(error: dict[str, Any]) -> str:
    """What a failure is, in one line: its message, and its kind unless that says no more than that it failed."""
    return str(error["message"]) if error["kind"] == "error" else f"{error['kind']}: {error['message']}"


def cancel_told(data: dict[str, Any]) -> str:
    """Why a run was to be cancelled, and by whom, from the data of the record that says so."""
    who = f"by {name_of(data['by'])}" if data.get("by") else ""
    if not data.get("reason"):
        return who or "no reason was given"
    return f"{data['reason']} ({who})" if who else str(data["reason"])
