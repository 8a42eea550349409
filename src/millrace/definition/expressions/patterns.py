"""The bound on regular expressions for `matches`.

Matching is linear in the library's engine, but it compiles a pattern at each call, and counted repeats of wide
classes make that slow: `\\w{500}` takes 90 ms. So a pattern is weighed here first, by the atoms it expands to.
"""

import re

from .faults import Exhausted

MAX_PATTERN = 256
"""Characters of a pattern."""

MAX_ATOMS = 400
"""Weight of a pattern after its counted repeats are written out; keeps compiling it below about 10 ms."""

_WIDE = 8
_PART = re.compile(
    r"(?P<open>\((?:\?(?:P?<\w+>|[a-zA-Z-]*:?))?)|(?P<close>\))|\{(?P<low>\d+)(?:,(?P<high>\d*))?\}"
    r"|\\[pP](?:\{[^}]*\}|.)?|\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|.",
    re.DOTALL,
)


def check_pattern(pattern: str) -> int:
    """The weight of a pattern. Raises `Exhausted` when it is too large."""
    weight = _weight(pattern) if len(pattern) <= MAX_PATTERN else MAX_ATOMS + 1
    if weight > MAX_ATOMS:
        raise Exhausted(
            "the pattern of matches() is too large",
            f"use at most {MAX_PATTERN} characters and smaller repeats such as {{1,9}}, or + and *",
        )
    return weight


def _weight(pattern: str) -> int:
    """Sum over atoms, multiplied by the counted repeats around them; an upper bound is enough."""
    totals = [0]
    last = 0
    factor = 2 if "(?" in pattern and "i" in pattern else 1
    for part in _PART.finditer(pattern):
        if part["open"]:
            totals.append(0)
            last = 0
        elif part["close"]:
            last = totals.pop() if len(totals) > 1 else 0
            totals[-1] += last
        elif part["low"]:
            added = last * (max(int(part["low"]), int(part["high"] or 0)) - 1)
            totals[-1] += max(added, 0)
            last += max(added, 0)
        else:
            last = _WIDE if _is_wide(part.group()) else 1
            totals[-1] += last
        if sum(totals) > MAX_ATOMS:
            break
    return sum(totals) * factor


def _is_wide(atom: str) -> bool:
    """Whether an atom stands for many characters of Unicode: `.`, `\\w`, `[^a]`, `[\\d_]`."""
    return atom == "." or atom.startswith("[^") or "\\" in atom or not atom.isascii()
