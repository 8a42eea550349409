"""How often a login may be tried. Counted in the database, which all processes share.

Three counts: of an account from one address, of an address, of an account from everywhere. An attempt counts as failed
before the password is looked at, and no more once it was right, so a hundred at once are no way around. Once an account
has been tried too often from everywhere, it can be tried only from where its owner has logged in before: so an attacker
cannot lock him out there. What is answered is the same whether there is such an account.
"""

import hashlib
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from millrace.auth.logins import repository
from millrace.auth.logins.repository import FailureRow
from millrace.core.errors import MillraceError
from millrace.core.values import SECOND, Duration, Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

FREE_OF_PAIR: Final = 5
FREE_OF_ADDRESS: Final = 20
FREE_OF_ACCOUNT: Final = 50
"""Failures that have no consequence."""
WINDOW: Final[Duration] = 15 * 60 * SECOND
PAIR_REMEMBERED: Final[Duration] = 86_400 * SECOND
LONGEST_WAIT: Final[Duration] = 15 * 60 * SECOND
HOME_FOR: Final[Duration] = 90 * 86_400 * SECOND
"""So long after a login an address is one where the owner works."""


class TooManyAttempts(MillraceError):
    """429: `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too_many_attempts", f"too many failed logins; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that may be made."""

    email: str
    pair: str
    address: str
    account: str


class Throttle:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, email: str, address: str) -> Attempt:
        """Raises `TooManyAttempts`, which counts as none."""
        account, place = _digest(email), network_of(address)
        attempt = Attempt(email, f"pair:{account}:{place}", f"address:{place}", f"account:{account}")
        now = self._clock.now()
        # Who is refused over and over writes nothing.
        wait = await self._database.read(lambda connection: _wait(connection, attempt, address, now))
        if wait == 0:
            wait = await self._database.write(lambda connection: _begun(connection, attempt, address, now))
        if wait > 0:
            raise TooManyAttempts(-(-wait // SECOND))
        return attempt

    async def succeeded(self, attempt: Attempt) -> None:
        await self._database.write(lambda connection: _forgiven(connection, attempt))


def network_of(address: str) -> str:
    """Where requests from this address come from: with IPv6, whoever has one has 2^64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or f"{IPv6Address(int(found) >> 64 << 64)}/64")
    return str(found)


def _digest(email: str) -> str:
    """People type their passwords into the wrong field; what was typed is not kept."""
    return hashlib.sha256(email.encode(errors="surrogatepass")).hexdigest()


def _wait(connection: "Connection", attempt: Attempt, address: str, now: Instant) -> Duration:
    known = repository.failures(connection, [attempt.pair, attempt.address, attempt.account])
    blocked = [row.blocked_until - now for row in known.values() if row.blocked_until is not None]
    account = known.get(attempt.account)
    if account is not None and _is_crowded(account, now):
        at_home = repository.was_here(connection, attempt.email, address, now - HOME_FOR)
        blocked += [] if at_home else [account.last_at + WINDOW - now]
    return max([0, *blocked])


def _begun(connection: "Connection", attempt: Attempt, address: str, now: Instant) -> Duration:
    """Count it as a failed one, unless it has to wait."""
    if wait := _wait(connection, attempt, address, now):
        return wait
    known = repository.failures(connection, [attempt.pair, attempt.address, attempt.account])
    free = {attempt.pair: FREE_OF_PAIR, attempt.address: FREE_OF_ADDRESS, attempt.account: FREE_OF_ACCOUNT}
    for key in free:
        row = known.get(key)
        if row is None or (_is_forgotten(row, now) if key == attempt.pair else _is_over(row, free[key], now)):
            row = FailureRow(key, 0, now, now)
        row = replace(row, count=row.count + 1, last_at=now, blocked_until=None)
        if row.count >= free[key] and key != attempt.account:
            row = replace(row, blocked_until=now + _delay(row.count - free[key]))
        repository.save_failure(connection, row)
    return 0


def _forgiven(connection: "Connection", attempt: Attempt) -> None:
    """It was none that failed: of the pair nothing is held against anyone any more."""
    repository.forget_failures(connection, attempt.pair)
    known = repository.failures(connection, [attempt.address, attempt.account])
    for key, free in ((attempt.address, FREE_OF_ADDRESS), (attempt.account, FREE_OF_ACCOUNT)):
        row = known.get(key)
        if row is None:
            continue
        if row.count <= 1:
            repository.forget_failures(connection, key)
        else:
            blocked_until = row.blocked_until if row.count > free else None
            repository.save_failure(connection, replace(row, count=row.count - 1, blocked_until=blocked_until))


def _is_crowded(account: FailureRow, now: Instant) -> bool:
    return account.count >= FREE_OF_ACCOUNT and not _is_over(account, FREE_OF_ACCOUNT, now)


def _is_forgotten(row: FailureRow, now: Instant) -> bool:
    return now - row.last_at > PAIR_REMEMBERED


def _is_over(row: FailureRow, free: int, now: Instant) -> bool:
    """Whether the time is over in which these were counted; too many stay until it has been quiet for so long."""
    since = row.first_at if row.count < free else max(row.last_at, row.blocked_until or 0)
    return now - since > WINDOW


def _delay(beyond: int) -> Duration:
    return min(SECOND << min(beyond, 20), LONGEST_WAIT)
