"""What commands print: tables for people, JSON for programs, and nothing that depends on colour alone."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
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


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL_OR_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_ESCAPED_BY_JSON = re.compile(r"[\x7f-\x9f]")
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


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; no frames, so that it can be cut and grepped."""
    rows = [[_CONTROL_OR_BREAK.sub("\N{REPLACEMENT CHARACTER}", cell) for cell in row] for row in rows]
    widths = [
        max(len(column), *(len(row[i]) for row in rows)) if rows else len(column) for i, column in enumerate(columns)
    ]
    for line in ([name.upper() for name in columns], *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def marked(status: str) -> str:
    """A status with its mark; `say` gives it its colour."""
    return f"{MARKS.get(status, ' ')} {status}"


def _coloured(found: re.Match[str]) -> str:
    return typer.style(found[0], fg=COLOURS.get(found[0].partition(" ")[2]))


def moment(iso: str | None) -> str:
    """An instant of the API in local time, to the second."""
    if not iso:
        return "-"
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock_time(iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S.%f")[:-3]


def duration(start: str | None, end: str | None) -> str:
    if not start or not end:
        return "-"
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def cancel_told(data: dict[str, Any]) -> str:
    """Why a run was to be cancelled, and by whom, from the data of the record that says so."""
    who = f"by user {data['by']}" if data.get("by") else ""
    if not data.get("reason"):
        return who or "no reason was given"
    return f"{data['reason']} ({who})" if who else str(data["reason"])
