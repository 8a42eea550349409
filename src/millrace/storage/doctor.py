"""The doctor: questions to the database whose answer must be "nothing". Each row found is something that cannot be.

The questions are in `run_checks` and `trigger_checks`. All see one snapshot, so a commit under way is no finding.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from millrace.core.values import JsonObject, JsonValue
from millrace.ports.database import Database
from millrace.storage.run_checks import PATIENCE, RUN_CHECKS, Check
from millrace.storage.trigger_checks import ROWS_DIFFER, TRIGGER_CHECKS, differing_rows

MOST_SHOWN = 50
"""Problems of one kind that are told one by one; the rest are counted."""

CHECKS = (*RUN_CHECKS, *TRIGGER_CHECKS)


class Doctor:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def examine(self) -> JsonObject:
        """Run every check: `{"checks": count, "problems": [{"code", "run_id", "message", "remedy"}]}`."""
        return await self._database.read(examine)


def examine(connection: Connection, *, at_rest: bool = False) -> JsonObject:
    """As `Doctor.examine`. `at_rest`: no server runs, so nothing is asked that one would clear up by itself."""
    checks = [check for check in CHECKS if not (at_rest and ":patience" in check.query)]
    # What a damaged file answers to other questions means nothing.
    problems = _damage(connection)
    if not problems:
        problems = [problem for check in checks for problem in _asked(connection, check)]
        problems += _told(ROWS_DIFFER, [(None, detail) for detail in differing_rows(connection)])
    return {"checks": len(checks) + 2, "problems": problems}


def _asked(connection: Connection, check: Check) -> list[JsonValue]:
    values = {"patience": PATIENCE} if ":patience" in check.query else {}
    return _told(check, [(row.run_id, row.detail) for row in connection.execute(text(check.query), values)])


def _told(check: Check, found: Sequence[tuple[str | None, object]]) -> list[JsonValue]:
    told: list[JsonValue] = [
        _problem(check.code, run_id, check.message.format(detail=detail), check.remedy)
        for run_id, detail in found[:MOST_SHOWN]
    ]
    if len(found) > MOST_SHOWN:
        message = f"{len(found) - MOST_SHOWN} more of the same kind"
        told.append(_problem(check.code, None, message, check.remedy))
    return told


def _damage(connection: Connection) -> list[JsonValue]:
    """What SQLite itself finds wrong with the file."""
    try:
        lines = connection.exec_driver_sql(f"pragma quick_check({MOST_SHOWN})").scalars().all()
    except DatabaseError as error:
        lines = [str(error.orig)]
    remedy = "Stop Millrace and restore the database from a backup."
    return [_problem("database_damaged", None, str(line), remedy) for line in lines if line != "ok"]


def _problem(code: str, run_id: str | None, message: str, remedy: str) -> JsonObject:
    return {"code": code, "run_id": run_id, "message": message, "remedy": remedy}
