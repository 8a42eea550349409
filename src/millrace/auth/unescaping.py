"""Texts as they are read: escapes of JSON, of addresses and of HTML taken away, with the way back to where they stood.

Encoders differ in what they escape, so a secret has more spellings in such a text than could be listed. Read once, all
of them are one. Texts are read far more often than something is found in them, so the way back is made when it is
needed; and what `forms` lists (`\\"`, `\\/`, `\\n`) alone is no reason to read a text.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

DEEPEST: Final = 2
"""JSON within JSON, or within an address, is read as well."""

_JSON = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\[\"\\/bfnrt]")
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PERCENTS = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);")
UTF16_UNIT: Final = 6
"""Characters of `\\uXXXX`."""
BYTE: Final = 3
"""Characters of `%XX`."""

Spelled: TypeAlias = Callable[[str], Iterator[tuple[str, int]]]
"""What an escape is read as, character by character, each with how many characters of the escape it is."""


class Reading:
    """A text as it is read."""

    def __init__(
        self, source: str, pattern: re.Pattern[str], plain: Callable[[str], str], spelled: Spelled, of: "Reading | None"
    ) -> None:
        """`of`: the reading that has `source` for its text; `None` if that is the text itself."""
        self.text = pattern.sub(lambda escape: plain(escape[0]), source)
        self._source = source
        self._pattern = pattern
        self._spelled = spelled
        self._of = of
        self._places: list[int] = []
        self._sources: list[int] = []

    def stretch(self, first: int, last: int) -> tuple[int, int]:
        """Where in the text itself the characters from `first` to `last` stand."""
        if not self._places:
            self._find_way_back()
        first, last = self._in_source(first), self._in_source(last)
        return (first, last) if self._of is None else self._of.stretch(first, last)

    def _in_source(self, place: int) -> int:
        part = bisect_right(self._places, place) - 1
        return self._sources[part] + place - self._places[part]

    def _find_way_back(self) -> None:
        """Where each character that was escaped begins, in what is read and in its source."""
        end = place = 0
        self._note(0, 0)
        for escape in self._pattern.finditer(self._source):
            first = escape.start()
            place += first - end
            for character, length in self._spelled(escape[0]):
                self._note(place, first)
                place += len(character)
                first += length
            end = escape.end()
            self._note(place, end)

    def _note(self, place: int, source: int) -> None:
        self._places.append(place)
        self._sources.append(source)


def readings_of(text: str, of: Reading | None = None, depth: int = 1) -> Iterator[Reading]:
    """Every way to read the text in which it may say something else than is written."""
    for found in _readings(text, of):
        yield found
        if depth < DEEPEST and found.text != text:
            yield from readings_of(found.text, found, depth + 1)


def _readings(text: str, of: Reading | None) -> Iterator[Reading]:
    if "\\u" in text:
        yield Reading(text, _JSON, _json_plain, _json_spelled, of)
    if "%" in text and _PERCENTS.search(text):
        yield Reading(text, _PERCENTS, _percents_plain, _percents_spelled, of)
    if "&" in text and _ENTITY.search(text):
        yield Reading(text, _ENTITY, html.unescape, _entity_spelled, of)


def _json_plain(escape: str) -> str:
    if escape[1] != "u":
        return _PLAIN.get(escape[1], escape[1])
    return bytes.fromhex(escape.replace("\\u", "")).decode("utf-16-be", errors="surrogatepass")


def _json_spelled(escape: str) -> Iterator[tuple[str, int]]:
    if escape[1] != "u":
        yield _json_plain(escape), len(escape)
        return
    for character in _json_plain(escape):
        yield character, UTF16_UNIT * (1 + (character > "\uffff"))


def _percents_plain(escape: str) -> str:
    return bytes.fromhex(escape.replace("%", "")).decode(errors="surrogateescape")


def _percents_spelled(escape: str) -> Iterator[tuple[str, int]]:
    for character in _percents_plain(escape):
        yield character, BYTE * len(character.encode(errors="surrogateescape"))


def _entity_spelled(escape: str) -> Iterator[tuple[str, int]]:
    yield html.unescape(escape), len(escape)
