"""How long the audit log is kept: its oldest rows go with the rounds of retention, and the anchor stays in their place.

The anchor has the number and the hash of the last row that went, signed, so that the chain can be followed from there.
"""

from itertools import takewhile
from typing import TYPE_CHECKING

from millrace.app.audit import repository
from millrace.app.audit.chain import PURPOSE, signature_of
from millrace.app.audit.repository import Anchor
from millrace.auth.vault.vault import Vault
from millrace.core.durations import UNITS
from millrace.core.values import Instant

if TYPE_CHECKING:
    from sqlalchemy import Connection


class OldAuditRows:
    def __init__(self, vault: Vault, days: int) -> None:
        """`days`: how long rows are kept; 0 is for ever."""
        self._vault = vault
        self._days = days

    def are_there(self, connection: "Connection", now: Instant) -> bool:
        return bool(self._first(connection, now, 1))

    def delete(self, connection: "Connection", now: Instant, limit: int) -> int:
        """Delete so many at most; answers how many there were."""
        gone = self._first(connection, now, limit)
        if gone:
            seq, hash_, at = gone[-1]
            key_id, key = self._vault.own_key(PURPOSE)
            repository.move_anchor(connection, Anchor(seq, hash_, at, key_id, signature_of(key, seq, hash_, at)))
        return len(gone)

    def _first(self, connection: "Connection", now: Instant, limit: int) -> list[tuple[int, str, Instant]]:
        """From the beginning of the chain, and not beyond a row that is to stay."""
        if self._days == 0:
            return []
        before = now - self._days * UNITS["d"]
        return list(takewhile(lambda row: row[2] < before, repository.oldest(connection, limit)))
