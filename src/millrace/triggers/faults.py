"""The error about a schedule that cannot be: which part of it, what is wrong, and what would be right."""


class InvalidSchedule(ValueError):
    """`field` is the part that is wrong: `expression`, `timezone`, `gap` or `overlap`."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(field, message, remedy)
        self.field = field
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"
