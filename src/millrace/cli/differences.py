"""A difference between two definitions for people: `+` added, `-` removed, `~` changed, `>` moved."""

import json
from collections.abc import Iterator
from typing import Any

from millrace.cli.output import say

SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}
COLOURS = {"added": "green", "removed": "red", "changed": "yellow", "moved": "cyan"}
LONGEST_VALUE = 300


def print_differences(found: dict[str, Any], *, indent: str = "") -> None:
    for change, line in difference_lines(found):
        say(indent + line, fg=COLOURS[change])


def difference_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each line with the kind of change that it tells."""
    for field in found["fields"]:
        yield field["change"], f"{SIGNS[field['change']]} {_field(field)}"
    for task in found["tasks"]:
        yield task["change"], f"{SIGNS[task['change']]} {_task(task)}"
        for field in task["fields"]:
            yield field["change"], f"    {SIGNS[field['change']]} {_field(field)}"


def _field(field: dict[str, Any]) -> str:
    match field["change"]:
        case "added":
            return f"{field['path']}: {_value(field['new'])}"
        case "removed":
            return f"{field['path']}: {_value(field['old'])}"
    return f"{field['path']}: {_value(field['old'])} -> {_value(field['new'])}"


def _task(task: dict[str, Any]) -> str:
    match task["change"]:
        case "added":
            return f"task {task['id']} ({task['task']['type']}) at {task['to']['path']}"
        case "removed":
            return f"task {task['id']} ({task['task']['type']}), was at {task['from']['path']}"
    moved = f": {task['from']['path']} -> {task['to']['path']}" if task["moved"] else ""
    return f"task {task['id']}{moved}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
