"""The mail that tells of a trigger which fired in test mode: pure. Everything in it is bounded; in HTML all is escaped.

What it is made of is masked before it comes here, so that no cut and no escaping hides a part of a secret from that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import orjson

from millrace.app.mails.content import Content, subject_of
from millrace.core.values import JsonValue

LARGEST_PART = 32_768
"""Characters of each part that users made."""
LONGEST_WORD = 300
CUT = "… (cut here)"

PRE_STYLE = 'style="white-space: pre-wrap; background: #f4f4f4; padding: 8px"'


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger that fired."""

    trigger: str
    type: str
    workflow: str
    workflow_id: str
    time: str
    data: JsonValue
    config: JsonValue
    input: JsonValue
    starts: bool
    """Whether a run starts all the same."""


def letter(fired: Fired) -> Content:
    follows = "A run starts as well." if fired.starts else "No run starts."
    opening = f"A trigger has fired while test mode is on. {follows}"
    facts = [
        ("Trigger", _word(fired.trigger)),
        ("Type", _word(fired.type)),
        ("Workflow", f"{_word(fired.workflow)} ({fired.workflow_id})"),
        ("Time", _word(fired.time)),
    ]
    parts = [
        ("Data", _json(fired.data)),
        ("Configuration", _json(fired.config)),
        ("Input of the run", _json(fired.input)),
    ]
    subject = subject_of(f"[Millrace test mode] {fired.trigger} of {fired.workflow} fired")
    return Content(subject, _text(opening, facts, parts), _html(opening, facts, parts))


def _text(opening: str, facts: Sequence[tuple[str, str]], parts: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in facts) + 1
    lines = [opening, "", *(f"{name + ':':<{width}} {value}" for name, value in facts)]
    for name, value in parts:
        lines += ["", f"{name}:", value]
    return "\n".join([*lines, ""])


def _html(opening: str, facts: Sequence[tuple[str, str]], parts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f'<tr><th align="left">{escape(name)}</th><td>{escape(value)}</td></tr>\n' for name, value in facts)
    blocks = "".join(f"<h3>{escape(name)}</h3>\n<pre {PRE_STYLE}>{escape(value)}</pre>\n" for name, value in parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Millrace test mode</title></head>\n'
        f'<body style="font-family: sans-serif">\n<p>{escape(opening)}</p>\n'
        f'<table cellpadding="4">\n{rows}</table>\n{blocks}</body></html>\n'
    )


def _word(text: str) -> str:
    """What users named something, on one line."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= LONGEST_WORD else line[:LONGEST_WORD] + CUT


def _json(value: JsonValue) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return text if len(text) <= LARGEST_PART else text[:LARGEST_PART] + CUT
