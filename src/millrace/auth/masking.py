"""Meets `ports.secrets.Masker`: replaces secret values, in every form they commonly take, by `***`.

It stands on the path of every log line and output, so with no secrets known `text` returns at once, and with very many
its cost depends on the text and hardly on their number. Values are only ever added: one that was rotated away must not
appear in a late log line either.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType

from millrace.auth.forms import forms_of, longest_spelling
from millrace.auth.unescaping import readings_of
from millrace.core.values import JsonValue

MASK = "***"

FEW_FORMS = 60
"""Up to here looking for each form in turn is the faster way; beyond, a text is gone through once, by its words."""

WORD = 4
"""Bytes that are looked up at once. Every fourth byte of a text begins such a word, so whatever stands before a form of
at least `2 * WORD - 1` bytes, one of its first four stretches of four bytes is a word of the text."""

_URL_PASSWORD = re.compile(r"(://[^/?#\s:@]*:)[^/?#\s@]+@")
"""A password in a URL is one whether or not it was defined as a secret."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is masked, at one moment: replaced as a whole, as learning and masking may happen in two threads."""

    values: frozenset[str] = frozenset()
    forms: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    """Forms that may be in a text without any of their words being one of the text."""
    by_word: Mapping[int, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    words: frozenset[int] = frozenset()
    longest: int = 0
    with_blanks: bool = False
    """Whether a value has blanks, which forms write as `+`."""


class SecretMasker:
    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known = _Known()
        self._learning = Lock()
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values from now on, too."""
        fresh = {value for value in values if value} - self._known.values
        if not fresh:
            return
        with self._learning:
            known = self._known
            forms = known.forms | {form for value in fresh for form in forms_of(value) if form}
            by_word: dict[int, list[str]] = {}
            short = frozenset(form for form in forms if len(_raw(form)) < 2 * WORD - 1)
            for form in forms - short:
                for word in _words_in(form):
                    by_word.setdefault(word, []).append(form)
            longest = max(known.longest, *map(len, forms), *map(longest_spelling, fresh))
            blanks = known.with_blanks or any(" " in value for value in fresh)
            self._known = _Known(known.values | fresh, forms, short, by_word, frozenset(by_word), longest, blanks)

    def text(self, text: str) -> str:
        text = self._without_secrets(text)
        return _URL_PASSWORD.sub(rf"\1{MASK}@", text) if "://" in text else text

    @property
    def longest(self) -> int:
        return self._known.longest

    def around(self, text: str, at: int) -> tuple[int, int]:
        known = self._known
        near = max(0, at - known.longest * 2)
        window = text[near : at + known.longest * 2]
        stretches = self._stretches(known, window) if known.forms else []
        first, last = next(((first, last) for first, last in stretches if first < at - near < last), (at - near,) * 2)
        return first + near, last + near

    def value(self, value: JsonValue) -> JsonValue:
        """The value with the secrets in its texts and keys masked; the value itself while no secret is known."""
        return self._mapped(value, self._without_secrets) if self._known.forms else value

    def shown(self, value: JsonValue) -> JsonValue:
        return self._mapped(value, self.text)

    def _without_secrets(self, text: str) -> str:
        known = self._known
        while known.forms and (stretches := self._stretches(known, text)):
            masked = _masked(text, stretches)
            if len(masked) >= len(text):
                return masked
            # What a mask has brought together may be a secret itself, if that has `***` in it.
            text = masked
        return text

    def _stretches(self, known: _Known, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in the text, as it is written and as it is read, in order."""
        found = self._found(known, text)
        if "\\u" in text or "%" in text or "&" in text:
            found += self._read(known, text)
            if known.with_blanks and "+" in text:
                found += self._read(known, text.replace("+", " "))
        return _joined(found) if found else found

    def _read(self, known: _Known, text: str) -> list[tuple[int, int]]:
        return [
            reading.stretch(first, last)
            for reading in readings_of(text)
            for first, last in self._found(known, reading.text)
        ]

    def _found(self, known: _Known, text: str) -> list[tuple[int, int]]:
        return [stretch for form in self._candidates(known, text) if form in text for stretch in _places(text, form)]

    def _candidates(self, known: _Known, text: str) -> Iterable[str]:
        """The forms that may be in the text."""
        if len(known.forms) <= FEW_FORMS:
            return known.forms
        raw = _raw(text)
        there = known.words.intersection(memoryview(raw)[: len(raw) // WORD * WORD].cast("I"))
        return known.short.union(*(known.by_word[word] for word in there))

    def _mapped(self, value: JsonValue, change: Callable[[str], str]) -> JsonValue:
        """The value with every text and key in it changed. A number that is a secret becomes a mask."""
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [self._mapped(item, change) for item in value]
        if isinstance(value, dict):
            return {change(key): self._mapped(item, change) for key, item in value.items()}
        if value is not None and not isinstance(value, bool) and str(value) in self._known.values:
            return MASK
        return value


def _raw(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _words_in(form: str) -> set[int]:
    raw = _raw(form)
    return {int.from_bytes(raw[at : at + WORD], sys.byteorder) for at in range(WORD)}


def _masked(text: str, stretches: Iterable[tuple[int, int]]) -> str:
    """The text with a mask in place of every stretch."""
    parts, end = [], 0
    for first, last in stretches:
        parts += [text[end:first], MASK]
        end = last
    return "".join([*parts, text[end:]])


def _places(text: str, form: str) -> Iterator[tuple[int, int]]:
    begin = text.find(form)
    while begin >= 0:
        yield begin, begin + len(form)
        begin = text.find(form, begin + 1)


def _joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that overlap made one, in order."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        if joined and first < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
