"""How an expression goes wrong: while it is read (`ExpressionFault`) or while it is evaluated (`Unevaluable`).

Neither text ever holds a value of the data, only names, types and sizes: the data may be a secret.
"""


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
    """An expression begins with a name that there is not."""

    def __init__(self, name: str, message: str, offset: int, remedy: str) -> None:
        super().__init__(message, offset, remedy)
        self.name = name

    def moved(self, by: int) -> "UnknownName":
        return UnknownName(self.name, self.message, self.offset + by, self.remedy)


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
