"""Patterns in which `*` stands for any text, the empty one included. Nothing else in them has a meaning.

They are written by users and matched against what outsiders send, so a match takes one pass over the text whatever the
pattern is; a regular expression made of it could take far longer.
"""

from millrace.ports.event_patterns import ANY


def fits(pattern: str, text: str) -> bool:
    """Whether the pattern stands for the text, in the same case of letters."""
    head, *rest = pattern.split(ANY)
    if not rest:
        return text == pattern
    *middle, tail = rest
    if not text.startswith(head) or not text.endswith(tail) or len(text) < len(head) + len(tail):
        return False
    at, end = len(head), len(text) - len(tail)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
