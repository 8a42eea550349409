"""The limits of a command, by name, and how people write their amounts."""

from millrace.core.durations import parse_duration
from millrace.core.sizes import parse_size
from millrace.core.values import SECOND

EXAMPLES = {"cpu": "60s", "memory": "512Mi", "processes": "64", "file_size": "1Gi", "open_files": "256"}
"""All limits, each as it may be written."""

FEWEST = {"processes": 1, "open_files": 16}
"""Those that are counted; with fewer files an interpreter does not even start."""
MOST = 1_000_000
CPU_REMEDY = "a duration from 1s to 366d, such as 60s or 10m"


def limit_of(name: str, text: str) -> int:
    """Seconds, bytes or a number, by the name of the limit. Raises `ValueError` with what would be right."""
    if name not in EXAMPLES:
        raise ValueError(f"there is no limit named {name[:40]!r}; the limits are {', '.join(EXAMPLES)}")
    if name == "cpu":
        return _seconds(text)
    if name not in FEWEST:
        return parse_size(text)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and FEWEST[name] <= int(text) <= MOST):
        raise ValueError(f"{name} is a whole number from {FEWEST[name]} to {MOST}")
    return int(text)


def _seconds(text: str) -> int:
    """Whole ones, as the system counts CPU time; what is between two is the larger."""
    try:
        seconds = -(-parse_duration(text) // SECOND)
    except ValueError as error:
        raise ValueError(f"{error}; write {CPU_REMEDY}") from None
    if seconds < 1:
        raise ValueError(f"cpu is {CPU_REMEDY}")
    return seconds
