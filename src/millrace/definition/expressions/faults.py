"""How an expression goes wrong: while it is read (`ExpressionFault`) or while it is evaluated (`Unevaluable`).

Neither text ever holds a value of the data, only names, types and sizes: the data may be a secret.
"""

from collections.abc import Sequence, Set

from millrace.definition.words import hint


class ExpressionFault(ValueError):
    """The text of an expression or template is not acceptable. `offset` counts characters from its beginning."""

    def __init__(self, message: str, offset: int, remedy: str) -> None:
        super().__init__(f"{message} (at character {offset + 1}); {remedy}")
        self.message = message
        self.offset = offset
        self.remedy = remedy

    @property
    def placed(self) -> str:
        """The message with its place."""
        return f"{self.message} (at character {self.offset + 1})"

    def moved(self, by: int) -> "ExpressionFault":
        """The same fault of an expression that stands `by` characters into a longer text."""
        return ExpressionFault(self.message, self.offset + by, self.remedy)


class UnknownName(ExpressionFault):
    """An expression begins with a name that there is not; `known` are those that it may begin with."""

    def __init__(self, name: str, known: Sequence[str], offset: int) -> None:
        super().__init__(
            f"'{shortened(name)}' is not defined{hint(name, known)}",
            offset,
            f"an expression may begin with {', '.join(known)}; put text in quotes",
        )
        self.name = name
        self.known = known

    def moved(self, by: int) -> "UnknownName":
        return UnknownName(self.name, self.known, self.offset + by)

    def but(self, unreadable: Set[str]) -> "UnknownName":
        """The same at a place where some of these names have no value."""
        return UnknownName(self.name, [name for name in self.known if name not in unreadable], self.offset)


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


def shortened(text: str, length: int = 40) -> str:
    """`text` on one line, and not longer than `length` characters and an ellipsis."""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length else f"{line[:length]}…"
