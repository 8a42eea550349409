"""Amounts of bytes, as people write them: a number, or one with a binary unit behind it."""

import re

UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_SIZE = re.compile(r"([1-9]\d{0,14})(Ki|Mi|Gi|Ti)?", re.ASCII)
LARGEST = 1 << 62


def parse_size(text: str) -> int:
    """Bytes. Raises `ValueError` with what would be right."""
    found = _SIZE.fullmatch(text)
    size = 0 if found is None else int(found[1]) * UNITS[found[2] or ""]
    if not 0 < size <= LARGEST:
        raise ValueError(f"{text[:40]!r} is not a size; write such as 4096, 512Mi or 2Gi")
    return size


def size_text(size: int) -> str:
    """The shortest way to write it."""
    unit = max((name for name, bytes_ in UNITS.items() if size % bytes_ == 0), key=lambda name: UNITS[name])
    return f"{size // UNITS[unit]}{unit}"
