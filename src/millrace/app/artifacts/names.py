"""Names and media types of files, which come from strangers: web servers, commands, users."""

import re

from millrace.ports.artifacts import ANY_BYTES

LONGEST_NAME = 255
LONGEST_MEDIA_TYPE = 255

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""Separators of folders, control characters, and those that turn text around: `gpj.exe` must not look like an image."""

_WORD = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}( *; *{_WORD}=({_WORD}|\"[ !#-\[\]-~]*\"))*")


def is_file_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name == file_name(name)


def file_name(text: str) -> str:
    """The nearest name that a file can have on any system."""
    name = _UNFIT.sub("_", text).encode(errors="replace").decode().strip(" .")
    return name[-LONGEST_NAME:].strip(" .") or "file"


def is_media_type(text: str) -> bool:
    return len(text) <= LONGEST_MEDIA_TYPE and _MEDIA_TYPE.fullmatch(text) is not None


def media_type(text: str) -> str:
    """The media type, or the one of unknown bytes where `text` is none."""
    return text if is_media_type(text) else ANY_BYTES
