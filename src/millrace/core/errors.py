"""The errors that cross module boundaries, by who must act. The API maps each class to one HTTP status, once.

    MillraceError
    ├── InvalidRequest   422  the caller: what was sent cannot be accepted; `faults` say where and what would be right
    │   ├── Unreadable   400  the caller: it is not even JSON or YAML
    │   └── TooLarge     413  the caller: it is larger than this installation takes
    ├── Unauthenticated  401  the caller: no or no valid credential
    ├── Forbidden        403  an administrator: the caller may not do this
    ├── NotFound         404  the caller: there is no such thing
    │   └── Gone         410  the caller: it was there, and will not be again
    ├── Conflict         409  the caller: it does not fit the present state
    └── Unavailable      503  the operator: try again later

Failures of user tasks are not errors but data (`core.failures`).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request or definition.

    `path` is the place in what the user wrote (`tasks[2].depends_on[0]`), `message` says what is wrong,
    `remedy` what would be right, `code` is stable.
    """

    path: str
    code: str
    message: str
    remedy: str = ""


class MillraceError(Exception):
    """`code` is stable and for programs, the message for people; neither holds a secret."""

    def __init__(self, code: str, message: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.faults = tuple(faults)


class InvalidRequest(MillraceError):
    pass


class Unreadable(InvalidRequest):
    pass


class TooLarge(InvalidRequest):
    pass


class Unauthenticated(MillraceError):
    pass


class Forbidden(MillraceError):
    pass


class NotFound(MillraceError):
    pass


class Gone(NotFound):
    pass


class Conflict(MillraceError):
    pass


class Unavailable(MillraceError):
    pass
