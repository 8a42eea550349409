"""Errors that name a workflow which the caller may not see: told without the name."""

from millrace.auth.permissions import Access
from millrace.auth.principal import Principal
from millrace.core.errors import Conflict, Fault, MillraceError

PATH_TAKEN = "path_taken"


def discreet(error: MillraceError, caller: Principal | None) -> MillraceError:
    """The error as this caller may hear it. That a path is taken cannot be hidden, for whom can."""
    if error.code != PATH_TAKEN or caller is None or caller.access is Access.ALL:
        return error
    message = "the path is taken by another trigger"
    faults = [Fault(fault.path, fault.code, message, fault.remedy) for fault in error.faults]
    return Conflict(PATH_TAKEN, message, faults=faults)
