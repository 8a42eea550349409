"""The doctor: questions to the database whose answer must be "nothing". Each row found is something that cannot be.

The questions are in `run_checks`, `control_checks` and `trigger_checks`. All see one snapshot, so a commit under way is
no finding.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from millrace.core.values import JsonObject
from millrace.ports.database import Database
from millrace.ports.doctor import Step, Tell, unheard
from millrace.storage.control_checks import CONTROL_CHECKS
from millrace.storage.run_checks import PATIENCE, RUN_CHECKS, Check
from millrace.storage.trigger_checks import ROWS_DIFFER, TRIGGER_CHECKS, differing_rows

MOST_SHOWN = 50
"""Problems of one kind that are told one by one; the rest are counted."""

ENOUGH_MEMORY = """
select set_config('work_mem', '32MB', true) from pg_settings where name = 'work_mem' and setting::int < 32 * 1024"""
"""For each step of a query until the transaction ends: with less, PostgreSQL joins large tables by way of files."""

DAMAGED, NOT_CHECKED = "database_damaged", "files_not_checked"
RESTORE = "Stop Millrace and restore the database from a backup."
AMCHECK = "`create extension amcheck`, as a superuser in this database, lets the doctor look at its files."
HELD_UP = "changes_held_up"
END_IT = "End that transaction, or have it ended: `select pg_terminate_backend(PROCESS)`."
CHECKS = (*RUN_CHECKS, *CONTROL_CHECKS, *TRIGGER_CHECKS)


class Doctor:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def examine(self, tell: Tell = unheard) -> JsonObject:
        """Run every check: `{"checks": count, "problems": [{"code", "run_id", "message", "remedy"}], "warnings": […]}`.

        Each is told when it begins. Cancelled, it ends within the check that it is at.
        """
        loop = asyncio.get_running_loop()

        def told(step: Step) -> None:
            loop.call_soon_threadsafe(tell, step)

        return await self._database.read(partial(examine, tell=told))


def examine(connection: Connection, *, at_rest: bool = False, tell: Tell = unheard) -> JsonObject:
    """As `Doctor.examine`.

    `at_rest`: no server runs. So nothing is asked that one would clear up by itself, and PostgreSQL compares all
    indexes with their tables.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(ENOUGH_MEMORY))
    checks = [check for check in CHECKS if not (at_rest and ":patience" in check.query)]
    count = len(checks) + 2
    tell(Step(DAMAGED, 1, count))
    found = _damage(connection, thorough=at_rest)
    warnings = [_problem(NOT_CHECKED, None, note, AMCHECK) for note in found.notes]
    warnings += [_problem(HELD_UP, None, line, END_IT) for line in _held_up(connection)]
    # What a damaged file answers to other questions means nothing.
    if problems := [_problem(DAMAGED, None, line, RESTORE) for line in found.lines[:MOST_SHOWN]]:
        return {"checks": count, "problems": [*problems], "warnings": [*warnings]}
    for number, check in enumerate(checks, 2):
        tell(Step(check.code, number, count))
        problems += _asked(connection, check)
    tell(Step(ROWS_DIFFER.code, count, count))
    problems += _told(ROWS_DIFFER, [(None, detail) for detail in differing_rows(connection)])
    return {"checks": count, "problems": [*problems], "warnings": [*warnings]}


def _asked(connection: Connection, check: Check) -> list[JsonObject]:
    values = {"patience": PATIENCE} if ":patience" in check.query else {}
    query = text(check.query_on(connection.dialect.name))
    return _told(check, [(row.run_id, row.detail) for row in connection.execute(query, values)])


def _told(check: Check, found: Sequence[tuple[str | None, object]]) -> list[JsonObject]:
    told = [
        _problem(check.code, run_id, check.message.format(detail=detail), check.remedy)
        for run_id, detail in found[:MOST_SHOWN]
    ]
    if len(found) > MOST_SHOWN:
        message = f"{len(found) - MOST_SHOWN} more of the same kind"
        told.append(_problem(check.code, None, message, check.remedy))
    return told


@dataclass(frozen=True, slots=True)
class Damage:
    """What the database itself finds wrong with its files, and why it did not look."""

    lines: Sequence[str] = ()
    notes: Sequence[str] = ()


def _damage(connection: Connection, *, thorough: bool) -> Damage:
    if connection.dialect.name == "postgresql":
        from millrace.storage.postgres.amcheck import damage, missing

        note = missing(connection)
        return Damage(damage(connection, thorough=thorough)) if note is None else Damage(notes=[note])
    try:
        lines = connection.exec_driver_sql(f"pragma quick_check({MOST_SHOWN})").scalars().all()
    except DatabaseError as error:
        lines = [str(error.orig)]
    return Damage([str(line) for line in lines if line != "ok"])


def _held_up(connection: Connection) -> Sequence[str]:
    """What keeps followers of all runs from being told what is new; on SQLite nothing can."""
    if connection.dialect.name != "postgresql":
        return []
    from millrace.storage.postgres.line import held_up

    return held_up(connection, longer_than=PATIENCE)


def _problem(code: str, run_id: str | None, message: str, remedy: str) -> JsonObject:
    return {"code": code, "run_id": run_id, "message": message, "remedy": remedy}
