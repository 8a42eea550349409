"""What the command line does with a PostgreSQL database by itself. As `storage.offline`, but beside servers at work.

Only a restore wants them all stopped.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, make_url

from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.doctor import Tell, unheard
from millrace.storage import offline
from millrace.storage.backup import Contents
from millrace.storage.doctor import examine
from millrace.storage.postgres.dump import dump
from millrace.storage.postgres.restore import restore
from millrace.storage.postgres.schema import bring_up_to_date, connected, current, differences, known_revisions
from millrace.storage.postgres.trouble import usable
from millrace.storage.schema import HEAD, UnknownSchema

T = TypeVar("T")

AT_WORK = """
select exists (select from incarnations where lost_at is null and retired_at is null and lease_until > now_us())"""


class OfflineServer:
    """A PostgreSQL database. All raise `DatabaseUnusable` for whatever the server has against it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def revision(self) -> str | None:
        return asyncio.run(self._ask(current))

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema up to this release; answers the revisions before and after. Raises `UnknownSchema`."""
        return asyncio.run(self._upgrade())

    def downgrade(self, target: str | None, *, stamp: str, confirmed: bool) -> tuple[str, str, str, Sequence[str]]:
        """Raises `UnknownSchema`: no release yet had an older schema on PostgreSQL."""
        before = self.revision()
        there_are = ", ".join(sorted(known_revisions()))
        raise UnknownSchema(
            f"the database has the schema {before}, from which no step leads back to {target or 'an older one'}; "
            f"on PostgreSQL there is {there_are}"
        )

    def backup(self, place: Path) -> Contents:
        """Raises `CopyFailed`."""
        return asyncio.run(dump(self._url, place))

    def restore(self, backup: Path, *, stamp: str, as_copy: bool) -> tuple[Contents, str | None]:
        """As `postgres.restore.restore`."""
        return asyncio.run(restore(backup, self._url, stamp=stamp, as_copy=as_copy))

    def check(self, clock: Clock, tell: Tell = unheard) -> JsonObject:
        """Schema, files, and what the doctor asks: `{"checks", "problems", "warnings"}` as the doctor answers.

        `clock` is that of the database itself.
        """
        return asyncio.run(self._ask(lambda connection: _checked(connection, tell)))

    async def _upgrade(self) -> tuple[str | None, str]:
        before = await self._ask(current)
        with usable(self._url):
            await bring_up_to_date(make_url(self._url))
        return before, HEAD

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        with usable(self._url):
            async with connected(make_url(self._url)) as connection:
                return await connection.run_sync(work)


def _checked(connection: Connection, tell: Tell) -> JsonObject:
    if current(connection) is None:
        raise offline.NoDatabase("there is nothing of Millrace in the database; `millrace up` makes it")
    found = [offline.problem("schema_differs", line, offline.REPAIR) for line in differences(connection)]
    if found:
        return {"checks": 1, "problems": [*found]}
    # From here on all is asked of one snapshot.
    connection.rollback()
    connection.exec_driver_sql("set transaction isolation level repeatable read")
    at_rest = not connection.exec_driver_sql(AT_WORK).scalar_one()
    report = examine(connection, at_rest=at_rest, tell=tell)
    return {**report, "checks": 1 + int(str(report["checks"]))}
