"""How often a login may be tried. Counted in the database, which all processes share.

Three counts: of an account from one address, of an address, of an account from everywhere. An attempt counts as failed
before the password is looked at, and no more once it was right, so a hundred at once are no way around. Once an account
has been tried too often from everywhere, it can be tried only from where its owner has logged in before: so an attacker
cannot lock him out there. What is answered is the same whether there is such an account.
"""

import hashlib
from collections.abc import Iterable
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
"""So long after a login an address is one where the owner works; of IPv6 its network, as addresses in it change."""


class TooManyAttempts(MillraceError):
    """429: `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too_many_attempts", f"too many failed logins; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that may be made."""

    email: str
    address: str
    pair: str | None = None
    account: str | None = None
    """Not there where nobody says beforehand who he is."""

    @property
    def free(self) -> dict[str, int]:
        """What it is counted by, and how many failures of each have no consequence."""
        counts = ((self.pair, FREE_OF_PAIR), (self.address, FREE_OF_ADDRESS), (self.account, FREE_OF_ACCOUNT))
        return {key: free for key, free in counts if key is not None}


class Throttle:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, email: str, address: str) -> Attempt:
        """Raises `TooManyAttempts`, which counts as none."""
        account, place = _digest(email), network_of(address)
        attempt = Attempt(email, f"address:{place}", f"pair:{account}:{place}", f"account:{account}")
        return await self._begin(attempt, address)

    async def begin_unnamed(self, address: str) -> Attempt:
        """As `begin`, of somebody who will be named by another: only his address is counted."""
        return await self._begin(Attempt("", f"address:{network_of(address)}"), address)

    async def _begin(self, attempt: Attempt, address: str) -> Attempt:
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


def counted_as(emails: Iterable[str], addresses: Iterable[str]) -> tuple[list[str], list[str]]:
    """How failures of these are counted: keys, and beginnings of keys."""
    accounts = [_digest(email) for email in emails]
    keys = [f"account:{account}" for account in accounts] + [f"address:{network_of(place)}" for place in addresses]
    return keys, [f"pair:{account}:" for account in accounts]


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
    known = repository.failures(connection, [*attempt.free])
    blocked = [row.blocked_until - now for row in known.values() if row.blocked_until is not None]
    account = None if attempt.account is None else known.get(attempt.account)
    if account is not None and _is_crowded(account, now):
        homes = repository.addresses_of(connection, attempt.email, now - HOME_FOR)
        at_home = network_of(address) in map(network_of, homes)
        blocked += [] if at_home else [account.last_at + WINDOW - now]
    return max([0, *blocked])


def _begun(connection: "Connection", attempt: Attempt, address: str, now: Instant) -> Duration:
    """Count it as a failed one, unless it has to wait."""
    if wait := _wait(connection, attempt, address, now):
        return wait
    free = attempt.free
    known = repository.failures(connection, [*free])
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
    known = repository.failures(connection, [*attempt.free])
    for key, free in attempt.free.items():
        row = known.get(key)
        if row is None:
            continue
        if key == attempt.pair:
            repository.forget_failures(connection, key)
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
