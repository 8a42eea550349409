"""Small work that is done in batches, away from requests."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from millrace.app.backfills import repository as backfills
from millrace.app.endings.repository import slowest
from millrace.app.histories.repository import delete_old_changes, last_old_change
from millrace.app.runs.repository import delete_expired_keys
from millrace.app.test_runs.repository import delete_orphans
from millrace.auth.authentication import Authenticator
from millrace.auth.logins.repository import delete_over
from millrace.auth.logins.throttling import HOME_FOR, PAIR_REMEMBERED
from millrace.core.values import SECOND, Duration
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEYS_AT_ONCE = 500
LOGINS_AT_ONCE = 500

CHANGES_KEPT = 200_000
"""So far back a stream of all runs can be resumed; the records themselves are kept as long as their runs."""
CHANGES_AT_ONCE = 5_000
TESTS_KEPT: Duration = 86_400 * SECOND
"""A test run is started right after its row is written, so by then it is known whether it was."""
TESTS_AT_ONCE = 100
PATIENCE_WITH_FOLLOWERS: Duration = 86_400 * SECOND
"""What somebody has not read who acts on it is kept beyond that, unless he has not moved for so long."""


class KeyUseWriter(Service):
    """Writes when API keys and logins were last used, once a minute."""

    interval = 60.0

    def __init__(self, authenticator: Authenticator) -> None:
        super().__init__()
        self._authenticator = authenticator

    async def run_once(self) -> float | None:
        await self._authenticator.write_uses()
        return None


class ClockKeeper(Service):
    """Keeps the clock of this process with the one that all share."""

    interval = 5.0

    def __init__(self, keep: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._keep = keep

    async def run_once(self) -> float | None:
        await self._keep()
        return None


class ExpiredKeys(Service):
    """Deletes start keys whose time is over, a batch at a time."""

    interval = 600.0

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._clock = clock

    async def run_once(self) -> float | None:
        now = self._clock.now()
        deleted = await self._database.write(lambda connection: delete_expired_keys(connection, now, KEYS_AT_ONCE))
        return 1.0 if deleted == KEYS_AT_ONCE else None


class EndedLogins(Service):
    """Deletes logins, tokens, resets and counts of failures that are over, a batch at a time."""

    interval = 600.0

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._clock = clock

    async def run_once(self) -> float | None:
        now = self._clock.now()
        # Where somebody logged in says for a while where he works.
        before, sessions_before = now - PAIR_REMEMBERED, now - HOME_FOR
        deleted = await self._database.write(
            lambda connection: delete_over(connection, before, sessions_before, LOGINS_AT_ONCE)
        )
        return 1.0 if deleted == LOGINS_AT_ONCE else None


class OldChanges(Service):
    """Shortens the line of changes that streams of all runs follow."""

    interval = 60.0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def run_once(self) -> float | None:
        until = await self._database.read(_deletable)
        if until is None:
            return None
        deleted = await self._database.write(lambda connection: delete_old_changes(connection, until, CHANGES_AT_ONCE))
        return 0.1 if deleted == CHANGES_AT_ONCE else None


def _deletable(connection: "Connection") -> int | None:
    """The newest change that nobody needs any more, if there is one."""
    until, read = last_old_change(connection, CHANGES_KEPT), slowest(connection, PATIENCE_WITH_FOLLOWERS)
    return until if until is None or read is None else min(until, read)


class OldBackfills(Service):
    """Deletes backfills that ended three months ago."""

    interval = 3_600.0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def run_once(self) -> float | None:
        deleted = await self._database.write(backfills.delete_old)
        return 0.1 if deleted == backfills.DELETED_AT_ONCE else None


class OrphanedTests(Service):
    """Deletes what was kept for test runs that were never started, a day later."""

    interval = 3_600.0

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._clock = clock

    async def run_once(self) -> float | None:
        before = self._clock.now() - TESTS_KEPT
        deleted = await self._database.write(lambda connection: delete_orphans(connection, before, TESTS_AT_ONCE))
        return 0.1 if deleted == TESTS_AT_ONCE else None


class Partitions(Service):
    """Has the partitions of the coming months made, long before they are needed, and empty old ones dropped."""

    interval = 3600.0

    def __init__(self, keep: Callable[[], Awaitable[bool]]) -> None:
        """`keep` answers `False` when it has to be asked again soon."""
        super().__init__()
        self._keep = keep

    async def run_once(self) -> float | None:
        return None if await self._keep() else 60.0
