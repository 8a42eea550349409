"""What attackers try first: passwords that are made of the commonest words, rows of keys and repetitions.

Lists of leaked passwords hold few of twelve characters and more that are not one of these made longer: `password1234`,
`Qwertyuiop12`, `iloveyouiloveyou`, `Summer2024!!`. So what is common is taken away, and what is left must be worth
something.
"""

import re
from typing import Final

WORDS: Final = """
    password passwort motdepasse contrasena passw pass word admin administrator root user guest test testing demo
    login welcome letmein changeme default secret secure security access master system server superuser manager
    qwerty qwertz azerty qwertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx iloveyou iloveu loveyou lovely love baby
    monkey dragon tiger lion football baseball basketball soccer hockey golf master shadow michael jordan jennifer
    jessica ashley daniel andrew thomas robert charlie george superman batman spiderman starwars pokemon naruto
    sunshine princess angel flower butterfly chocolate cookie cheese computer internet samsung google facebook
    linkedin twitter amazon microsoft windows apple android trustno one hello freedom whatever nothing forever
    summer winter spring autumn monday friday january february march april june july august september october
    november december money jesus christ blessed hunter killer ninja mustang ferrari porsche harley yamaha
    company office business workflow millrace temp temporary example sample correcthorsebatterystaple
    """
ROWS: Final = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "qwertzuiop")
LOOKED_AT: Final = 200
"""Characters."""
ENOUGH: Final = 5
"""Different characters that must be left."""

_GONE = "\0"
_LEET = str.maketrans("@431!05$7", "aaeliosst")
_LONGEST_FIRST = re.compile("|".join(sorted(map(re.escape, WORDS.split()), key=len, reverse=True)))
_AGAIN = re.compile(r"(.+?)\1+")
_YEAR = re.compile(r"(19|20)\d\d")


def is_guessed(password: str) -> bool:
    """Whether little is left of it without what is common, also where it has `@` for `a` and so on."""
    text = password[:LOOKED_AT].casefold()
    for spelled in (text, text.translate(_LEET)):
        for word in _LONGEST_FIRST.finditer(spelled):
            text = text[: word.start()] + _GONE * (word.end() - word.start()) + text[word.end() :]
    text = _AGAIN.sub(r"\1", _YEAR.sub("", text.replace(_GONE, "")))
    return len(set(_without_rows(text))) < ENOUGH


def _without_rows(text: str) -> str:
    """Without three and more neighbours of a row of keys or of the alphabet, in either direction."""
    kept, place = [], 0
    while place < len(text):
        length = _row_at(text, place)
        if length < 3:
            kept.append(text[place])
            length = 1
        place += length
    return "".join(kept)


def _row_at(text: str, place: int) -> int:
    longest = 0
    for row in (*ROWS, *(row[::-1] for row in ROWS)):
        at = row.find(text[place])
        length = 0
        while at >= 0 and text[place + length : place + length + 1] == row[at + length : at + length + 1] != "":
            length += 1
        longest = max(longest, length)
    return longest
