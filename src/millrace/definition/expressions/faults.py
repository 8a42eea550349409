"""How an expression goes wrong: while it is read (`ExpressionFault`) or while it is evaluated (`Unevaluable`).

Neither text ever holds a value of the data, only names, types and sizes: the data may be a secret.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_COMPARED = 100


class ExpressionFault(ValueError):
    """The text of an expression or template is not acceptable. `offset` counts characters from its beginning."""

    def __init__(self, message: str, offset: int, remedy: str) -> None:
        super().__init__(f"{message} (at character {offset + 1}); {remedy}")
        self.message = message
        self.offset = offset
        self.remedy = remedy

    def moved(self, by: int) -> "ExpressionFault":
        """The same fault of an expression that stands `by` characters into a longer text."""
        return ExpressionFault(self.message, self.offset + by, self.remedy)


class Unevaluable(Exception):
    """An expression has no value for this data. The evaluator adds the expression and its place."""

    def __init__(self, message: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy)
        self._words = (message, remedy)

    def words(self) -> tuple[str, str]:
        """What is wrong, and the remedy (or nothing)."""
        return self._words

    def __str__(self) -> str:
        message, remedy = self.words()
        return f"{message}; {remedy}" if remedy else message


class Exhausted(Unevaluable):
    """A bound was reached. Unlike other failures it ends the whole evaluation, whichever branch it stands in."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is close. Looks at a bounded number of names."""
    close = get_close_matches(name[:_COMPARED], list(islice(known, _COMPARED)), n=1)
    return f" (did you mean '{shortened(close[0])}'?)" if close else ""


def shortened(text: str, length: int = 40) -> str:
    """`text` on one line, and not longer than `length` characters and an ellipsis."""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length else f"{line[:length]}…"
