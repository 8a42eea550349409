"""Forms with files (RFC 7578), out of a body that is in memory and was bounded before it was read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_PARTS = 200
LONGEST_PART_HEAD = 8_192
LONGEST_BOUNDARY = 70

_PARAMETER = re.compile(r';\s*([A-Za-z0-9*_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"\s]*)')
_ESCAPES = re.compile(r"%(0A|0D|22)", re.IGNORECASE)


class Malformed(ValueError):
    """The body is not what its media type says; the message says how."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    filename: str | None
    media_type: str
    content: bytes


def parts_of(body: bytes, content_type: str) -> list[Part]:
    """The parts in their order. Raises `Malformed`."""
    boundary = parameters(content_type).get("boundary", "")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise Malformed("Content-Type names no boundary between the parts")
    _, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    if not pieces or not pieces[-1].startswith(b"--"):
        raise Malformed("the last part has no end")
    if len(pieces) - 1 > MOST_PARTS:
        raise Malformed(f"the form has more than {MOST_PARTS} parts")
    return [_part(piece) for piece in pieces[:-1]]


def parameters(header: str) -> Mapping[str, str]:
    """What stands behind the first semicolon of a header: `form-data; name="a"; filename="b.csv"`."""
    return {name.lower(): _unquoted(value) for name, value in _PARAMETER.findall(header[:LONGEST_PART_HEAD])}


def _part(piece: bytes) -> Part:
    line_end = piece.find(b"\r\n")
    head, found, content = piece[line_end:].partition(b"\r\n\r\n")
    if line_end < 0 or piece[:line_end].strip() or not found or len(head) > LONGEST_PART_HEAD:
        raise Malformed("a part of the form has no head, or one that is too long")
    lines = head.decode("utf-8", "replace").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    disposition = headers.get("content-disposition", "")
    named = parameters(disposition)
    if not disposition.lower().startswith("form-data") or "name" not in named:
        raise Malformed('a part of the form has no Content-Disposition: form-data; name="…"')
    return Part(named["name"], named.get("filename"), headers.get("content-type", "text/plain"), content)


def _unquoted(text: str) -> str:
    """Browsers write quotes and line ends as `%22` and so on; other clients put a backslash before a quote."""
    if text.startswith('"'):
        text = re.sub(r"\\([\"\\])", r"\1", text[1:-1])
    return _ESCAPES.sub(lambda found: chr(int(found[1], 16)), text)
