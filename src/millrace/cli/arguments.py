"""Arguments that can be nothing there is are refused before a server is asked; mostly a variable was empty.

Commands put ids into paths as they are, so an id holds nothing that would lead elsewhere.
"""

import re
from collections.abc import Callable
from pathlib import Path

from millrace.cli.connection import CommandError

_ID = re.compile(r"[\w-]+", re.ASCII)

Check = Callable[[str | None], str | None]


def an_id(of: str, listed_by: str) -> Check:
    """A callback that lets through what can be an id, and names the command that lists those there are."""

    def check(value: str | None) -> str | None:
        if value is not None and not _ID.fullmatch(value):
            raise CommandError(f"{value!r} is no id of {of}; `{listed_by}` lists them")
        return value

    return check


def a_name(of: str, listed_by: str) -> Check:
    """As `an_id`, for names: they may hold anything, and be made of more than dots."""

    def check(value: str | None) -> str | None:
        if value is not None and not value.strip("."):
            raise CommandError(f"{value!r} is no name of {of}; `{listed_by}` lists them")
        return value

    return check


STDIN = Path("-")
"""In place of a file: what is piped into the command."""


def a_place(value: str) -> Path:
    """A file or folder that is there, or `STDIN`. An empty text is none, though as a path it is the current folder."""
    if value == str(STDIN):
        return STDIN
    if not value:
        raise CommandError("the name of the file or folder is empty; write . for the current folder")
    place = Path(value)
    if not place.exists():
        raise CommandError(f"there is no file or folder {value!r}")
    return place
