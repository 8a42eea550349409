"""What runners hand in, checked once: a plug-in may return and log anything at all."""

import orjson

from millrace.core.values import InvalidValue, check_value

LONGEST_TEXT = 16_384
"""Characters of a log line or a failure's message; the rest is cut, and the text says so."""


def encoded(value: object, *, path: str, limit: int, setting: str = "") -> bytes:
    """The value as JSON, of at most `limit` bytes. Raises `InvalidValue` for what cannot be stored, or is too large.

    The size is looked at first: to walk through a value takes ten times as long as to write it down.
    """
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        check_value(value, path=path)
        raise InvalidValue(path, str(error)) from None
    if len(text) > limit:
        named = f" ({setting})" if setting else ""
        raise InvalidValue(path, f"it has {len(text)} bytes of JSON; the limit is {limit}{named}")
    check_value(value, path=path)
    return text


def readable(text: str) -> str:
    """The text as any database stores it and people read it."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… [{len(text) - LONGEST_TEXT} characters cut]"
