"""What processes know of runs, held against what is stored: the same task runs, and the same counts from scratch."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from millrace.core.counting import restored
from millrace.core.run import RunState
from millrace.core.states import FINISHED_RUN, FINISHED_TASK, TaskStatus
from millrace.engine.cell import Cell, Stage
from millrace.storage.rows import load_run
from tests.simulation.process import Process


def faults_of_caches(process: Process, connection: Connection) -> Iterator[str]:
    for cell in process.engine._cells.values():
        if cell.run is None or cell.stage is Stage.LOADING or cell.revision == 0:
            continue
        for fault in _faults(cell, cell.run, connection):
            yield f"{process.name} believes of {cell.run_id}: {fault}"


def _faults(cell: Cell, known: RunState, connection: Connection) -> Iterator[str]:
    assert cell.plan is not None
    stored = load_run(connection, cell.run_id, 0)
    if stored is None:
        yield "that it is there"
        return
    if stored.revision != cell.revision:
        return  # what it knows is old, and it will find that out
    counted = restored(cell.plan, stored.header, stored.tasks)
    if dict(known.tasks.items()) != dict(counted.tasks.items()):
        yield f"other tasks: {_other(dict(known.tasks.items()), dict(counted.tasks.items()))}"
    if known.status in FINISHED_RUN:
        return
    for name in ("status", "phase", "outcome", "wind_up", "cancels", "signals", "unfinished", "busy", "waits", "undo"):
        if getattr(known, name) != getattr(counted, name):
            yield f"{name} {getattr(known, name)!r}, not {getattr(counted, name)!r}"
    for name, of_known, of_counted in (
        ("tallies", _tallies(known), _tallies(counted)),
        ("scopes", _scopes(known), _scopes(counted)),
        ("rounds", _rounds(known), _rounds(counted)),
    ):
        if of_known != of_counted:
            yield f"other {name}: {_other(of_known, of_counted)}"


def _tallies(run: RunState) -> dict[str, Any]:
    """Of other tasks they are not kept up."""
    return {path: tally for path, tally in run.tallies.items() if run.tasks[path].status is TaskStatus.PENDING}


def _scopes(run: RunState) -> dict[str, int]:
    """A block that is left counts as one in which nothing is open."""
    return {scope: count for scope, count in run.scopes.items() if count > 0}


def _rounds(run: RunState) -> dict[str, Any]:
    return {path: rounds for path, rounds in run.rounds.items() if run.tasks[path].status not in FINISHED_TASK}


def _other(known: dict[str, Any], stored: dict[str, Any]) -> str:
    keys = [key for key in sorted({*known, *stored}) if known.get(key) != stored.get(key)]
    return "; ".join(f"{key} {known.get(key)!r}, not {stored.get(key)!r}" for key in keys[:3])
