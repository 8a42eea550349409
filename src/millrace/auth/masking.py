"""Meets `ports.secrets.Masker`: replaces secret values, in every form they commonly take, by `***`.

It stands on the path of every log line and output, so with no secrets known `text` returns at once. Values are only
ever added: one that was rotated away must not appear in a late log line either.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from millrace.core.values import JsonValue

MASK = "***"

SHORTEST_LINE = 8
"""Lines of a secret of many lines are masked one by one, for output is logged by lines; shorter ones say nothing."""

_URL_PASSWORD = re.compile(r"(://[^/?#\s:@]*:)[^/?#\s@]+@")
"""A password in a URL is one whether or not it was defined as a secret."""


class SecretMasker:
    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values from now on, too."""
        fresh = {value for value in values if value} - self._values
        if fresh:
            self._values |= fresh
            forms = {form for value in fresh for form in forms_of(value)}
            # The longest first: a form that is part of another must not leave the rest of it standing.
            self._forms = tuple(sorted(forms.union(self._forms), key=len, reverse=True))

    def text(self, text: str) -> str:
        text = self._without_secrets(text)
        return _URL_PASSWORD.sub(rf"\1{MASK}@", text) if "://" in text else text

    def value(self, value: JsonValue) -> JsonValue:
        """The value with the secrets in its texts and keys masked; the value itself while no secret is known."""
        return _mapped(value, self._without_secrets) if self._forms else value

    def shown(self, value: JsonValue) -> JsonValue:
        return _mapped(value, self.text)

    def _without_secrets(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


def _mapped(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    """The value with every text and key in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _mapped(item, change) for key, item in value.items()}
    return value


def forms_of(value: str) -> Iterator[str]:
    """The value, and what it looks like inside base64, URLs and JSON."""
    yield value
    for line in value.splitlines():
        line = line.strip()
        if len(line) >= SHORTEST_LINE and not line.startswith("-----"):
            yield line
    raw = value.encode()
    for offset in range(3):
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            yield _base64_core(alphabet(b"\0" * offset + raw).decode(), offset, len(raw))
    for encoded in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield encoded
        yield _lower_hex(encoded)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]


def _base64_core(encoded: str, offset: int, length: int) -> str:
    """The characters that depend on the value alone, whatever stands before it (`offset` bytes) and after it."""
    return encoded[-(-8 * offset // 6) : 8 * (offset + length) // 6]


def _lower_hex(encoded: str) -> str:
    """Some encoders write `%2f` where others write `%2F`."""
    head, *rest = encoded.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])
