"""Rewritings alone: what a shape becomes, and what is said about it before anything else is checked."""

from typing import Any

from millrace.core.errors import Fault
from millrace.definition import merged
from millrace.definition.faults import FaultList
from millrace.definition.shapes.accepted import to_canonical
from tests.unit.definition.example import line


def rewritten(raw: Any) -> dict[str, Any]:
    """The canonical shape of a definition with which nothing is wrong so far."""
    faults = FaultList()
    made = to_canonical(raw, faults)
    assert made is not None, "it has no shape"
    assert not faults, "\n".join(map(line, faults.found))
    return made.raw


def refusals(raw: Any) -> list[Fault]:
    faults = FaultList()
    to_canonical(raw, faults)
    return list(faults.found)


def refusal(raw: Any) -> Fault:
    """The one thing that is wrong with the shape of a definition."""
    found = refusals(raw)
    assert len(found) == 1, "\n".join(map(line, found)) or "there is no fault"
    return found[0]


def place(raw: Any, path: str) -> str:
    """Where a canonical path is in what was written."""
    made = to_canonical(raw, FaultList())
    assert made is not None
    return made.place(path)


def changed(stored: Any, given: Any) -> dict[str, Any]:
    """What a stored definition becomes by a request."""
    return rewritten(merged(stored, given))
