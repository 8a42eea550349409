"""How often something may happen: so many times in a second, a minute or an hour, as in `300/min`."""

import re
from dataclasses import dataclass
from typing import Final

from millrace.core.values import SECOND, Duration

PERIODS: Final = {"s": SECOND, "min": 60 * SECOND, "h": 3_600 * SECOND}
OFF: Final = "off"
WRITTEN: Final = re.compile(r"([1-9]\d{0,8})/(s|min|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    number: int
    period: Duration

    @property
    def interval(self) -> float:
        """Microseconds between two, were they spread evenly."""
        return self.period / self.number


def parse_rate(text: str) -> Rate | None:
    """`None` for `off`. Raises `ValueError` with what to write."""
    if text == OFF:
        return None
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError("write how often, such as 50/s, 300/min or 10000/h, or off")
    return Rate(int(found[1]), PERIODS[found[2]])
