"""The one error of this package: a database task that cannot go on, with the kind of failure it is.

Messages may carry what a driver said; the runner masks the password of the connection string in all of them.
"""

from millrace.core.failures import FailureKind


class SqlFault(Exception):
    def __init__(self, message: str, kind: FailureKind = FailureKind.ERROR) -> None:
        super().__init__(message)
        self.kind = kind


def invalid(message: str) -> SqlFault:
    """The task's configuration cannot be right; trying again would not help."""
    return SqlFault(message, FailureKind.INVALID_INPUT)


def refused(message: str) -> SqlFault:
    """A rule of this installation forbids it."""
    return SqlFault(message, FailureKind.REFUSED)
