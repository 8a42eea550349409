"""The one error of this package: a database task that cannot go on, with the kind of failure it is.

Messages may carry what a driver said; the runner masks the password of the connection string in all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.core.failures import FailureKind


class SqlFault(Exception):
    def __init__(self, message: str, kind: FailureKind = FailureKind.ERROR) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a script cannot be run on any database: told by its text and by which parameters there are."""

    field: str
    """`sql` or `parameters`."""
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}; {self.remedy}"


def unfit(misfits: Sequence[Misfit]) -> SqlFault:
    return invalid("; ".join(map(str, misfits)))


def invalid(message: str) -> SqlFault:
    """The task's configuration cannot be right; trying again would not help."""
    return SqlFault(message, FailureKind.INVALID_INPUT)


def refused(message: str) -> SqlFault:
    """A rule of this installation forbids it."""
    return SqlFault(message, FailureKind.REFUSED)
