"""What commands print: tables for people, JSON for programs, and nothing that depends on colour alone."""

import json
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


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def on_terminal() -> bool:
    return sys.stdout.isatty()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; no frames, so that it can be cut and grepped."""
    widths = [
        max(len(column), *(len(row[i]) for row in rows)) if rows else len(column) for i, column in enumerate(columns)
    ]
    for line in ([name.upper() for name in columns], *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def marked(status: str) -> str:
    text = f"{MARKS.get(status, ' ')} {status}"
    return typer.style(text, fg=COLOURS.get(status)) if on_terminal() else text


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
