"""The forms that a secret takes on its way through programs: raw, base64, hexadecimal, in URLs and in JSON."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, urlsplit

from millrace.auth.unescaping import BYTE, UTF16_UNIT

SHORTEST_LINE = 8
"""Lines of a secret of many lines are masked one by one, for output is logged by lines; shorter ones say nothing."""

SHORTEST = 6

SHORTEST_PART = 16
"""Of an address; shorter paths are words that stand elsewhere, too."""

URL_SAFE = ("", "/", "!'()*", "!'()*;,/?:@&=+$#", "!$&'()*+,;=:@/")
"""Characters that encoders of URLs leave as they are: of Python's, of JavaScript's two, and in paths (RFC 3986)."""

WRAPPED_BYTES = (57, 48)
"""Bytes in a line of base64 as `base64` and PEM files write it, 76 and 64 characters."""


def forms_of(value: str) -> Iterator[str]:
    """The value, and what it looks like inside base64, hexadecimal, URLs and JSON."""
    stripped = value.strip()
    for text in {value, stripped} if len(stripped) >= SHORTEST else {value}:
        yield from _encoded(text)
    for line in value.splitlines():
        line = line.strip()
        if len(line) >= SHORTEST_LINE and not line.startswith("-----"):
            yield line


def longest_spelling(value: str) -> int:
    """Characters of the longest way to write it in which each character is escaped: `%XX` a byte, or `\\uXXXX`."""
    return max(
        BYTE * len(value.encode(errors="surrogatepass")),
        UTF16_UNIT * len(value.encode("utf-16-be", errors="surrogatepass")) // 2,
    )


def _encoded(value: str) -> Iterator[str]:
    yield value
    raw = value.encode()
    yield from _parts_of_address(value)
    yield from _base64(raw)
    yield raw.hex()
    yield raw.hex().upper()
    for safe in URL_SAFE:
        yield quote(value, safe=safe)
        yield _lower_hex(quote(value, safe=safe))
    yield quote_plus(value)
    yield _lower_hex(quote_plus(value))
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        yield json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]


def _parts_of_address(value: str) -> Iterator[str]:
    """Of an address that is a secret (that of a webhook): messages often show it without its host or its query."""
    if not value.startswith(("https://", "http://")):
        return
    try:
        parts = urlsplit(value)
    except ValueError:
        return
    yield from (part for part in (parts.path, parts.query) if len(part) >= SHORTEST_PART)


def _base64(raw: bytes) -> Iterator[str]:
    for offset in range(3):
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            yield _base64_core(alphabet(b"\0" * offset + raw).decode(), offset, len(raw))
    for width in WRAPPED_BYTES:
        for begin in range(0, len(raw), width) if len(raw) > width else ():
            line = base64.b64encode(raw[begin : begin + width]).decode()
            if len(line) >= SHORTEST_LINE:
                yield line


def _base64_core(encoded: str, offset: int, length: int) -> str:
    """The characters that depend on the value alone, whatever stands before it (`offset` bytes) and after it."""
    return encoded[-(-8 * offset // 6) : 8 * (offset + length) // 6]


def _lower_hex(encoded: str) -> str:
    """Some encoders write `%2f` where others write `%2F`."""
    head, *rest = encoded.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])
