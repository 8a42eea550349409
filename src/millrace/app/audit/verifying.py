"""Follows the chain of the audit log from its beginning, and tells where it is broken first, and how.

What it cannot know: rows that were taken off the end. Whoever notes the head (`seq:hash`) elsewhere, and has it looked
for later, knows that, too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from millrace.app.audit import repository
from millrace.app.audit.chain import PURPOSE, erasure_of, hash_of, is_signed
from millrace.app.audit.erasing import erased_parts
from millrace.app.audit.repository import GENESIS, Anchor, AuditRow, Link
from millrace.auth.audit.personal import PARTS
from millrace.auth.vault.vault import Vault
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

AT_ONCE = 200
"""Rows whose seals are followed in one go: so long, some 15 ms, the event loop does nothing else."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the chain does not hold.

    `how` is `changed`, `missing`, `inserted`, `erased` (by somebody else), `anchor` (where it begins was changed) or
    `key` (its key is not here).
    """

    seq: int
    row_id: str | None
    how: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    checked: int
    head: Link
    """How far the chain holds."""
    begins_after: int
    """The number of the last row that retention deleted, or 0."""
    unsealed: int
    erased: int = 0
    """Of the rows that were checked those of which something personal was erased."""
    broken: Broken | None = None
    holds_head: bool | None = None
    """Whether the head that was asked for is in the chain; `None` if none was, or it is older than the chain."""


class AuditVerifier:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def verify(self, wanted: Link | None = None) -> Verdict:
        """`wanted`: a head that was noted some time ago."""
        walk = Verdict(0, Link(0, GENESIS), 0, 0)
        more = True
        while more and walk.broken is None:
            anchor, rows, unsealed = await self._database.read(partial(_part, after=walk.head.seq))
            more = len(rows) > AT_ONCE
            walk = replace(walk, unsealed=unsealed)
            if anchor is not None and anchor.seq > walk.head.seq:
                walk = self._from(anchor, walk)
                rows = [row for row in rows if (row.seq or 0) > anchor.seq]
                walk = _seen(walk, wanted)
            for row, after in zip_longest(rows[:AT_ONCE], rows[1 : AT_ONCE + 1]):
                if walk.broken is None:
                    walk = _seen(self._over(walk, row, after), wanted)
        return _judged(walk, wanted)

    def _from(self, anchor: Anchor, walk: Verdict) -> Verdict:
        """Go on where retention has brought the beginning of the chain."""
        key = self._vault.own_key_of(PURPOSE, anchor.key_id)
        if key is None:
            message = f"the key {anchor.key_id} that signed the beginning is not here"
            return _broken(walk, anchor.seq, None, "key", message)
        if not is_signed(key, anchor):
            return _broken(walk, anchor.seq, None, "anchor", "where the log begins was changed outside Millrace")
        return replace(walk, head=Link(anchor.seq, anchor.hash), begins_after=anchor.seq)

    def _over(self, walk: Verdict, row: AuditRow, after: AuditRow | None) -> Verdict:
        """Go on over a row, also one that holds what Millrace never writes: SQLite keeps anything in any column."""
        try:
            return self._next(walk, row, after)
        except (TypeError, ValueError):
            seq = walk.head.seq + 1
            return _broken(walk, seq, row.id, "changed", f"row {seq} holds what Millrace does not write")

    def _next(self, walk: Verdict, row: AuditRow, after: AuditRow | None) -> Verdict:
        seq, expected = row.seq or 0, walk.head.seq + 1
        if seq != expected:
            lost = f"row {expected} is" if seq == expected + 1 else f"rows {expected} to {seq - 1} are"
            return _broken(walk, expected, None, "missing", f"{lost} missing")
        key = self._vault.own_key_of(PURPOSE, row.key_id or "")
        if key is None:
            return _broken(walk, seq, row.id, "key", f"the key {row.key_id} that sealed row {seq} is not here")
        if hash_of(key, walk.head.hash, row, seq) == row.hash:
            return self._with_content(walk, row, seq)
        if self._is_inserted(walk, row, after):
            return _broken(walk, seq, row.id, "inserted", f"row {seq} was put in outside Millrace")
        return _broken(walk, seq, row.id, "changed", f"row {seq} is not as it was sealed")

    def _with_content(self, walk: Verdict, row: AuditRow, seq: int) -> Verdict:
        """Go on over a row whose seal holds: it covers digests, and what they are of must be there or be erased."""
        content = asdict(row)
        if not all(part.holds(content) for part in PARTS):
            return _broken(walk, seq, row.id, "changed", f"row {seq} is not as it was sealed")
        erased = erased_parts(content)
        if erased or row.erasure is not None:
            key = self._vault.own_key_of(PURPOSE, row.erasure_key_id or "")
            if key is None:
                message = f"the key {row.erasure_key_id} by which row {seq} was erased is not here"
                return _broken(walk, seq, row.id, "key", message)
            if erasure_of(key, row.id, erased) != row.erasure:
                return _broken(walk, seq, row.id, "erased", f"row {seq} was erased outside Millrace")
        link = Link(seq, row.hash or GENESIS)
        return replace(walk, checked=walk.checked + 1, erased=walk.erased + bool(erased), head=link)

    def _is_inserted(self, walk: Verdict, row: AuditRow, after: AuditRow | None) -> bool:
        """Whether the row after it was here, and has been moved on."""
        key = None if after is None else self._vault.own_key_of(PURPOSE, after.key_id or "")
        return after is not None and key is not None and hash_of(key, walk.head.hash, after, row.seq or 0) == after.hash


def _part(connection: "Connection", after: int) -> tuple[Anchor | None, Sequence[AuditRow], int]:
    """One row more than is looked at: it tells what became of the one before it."""
    anchor, rows = repository.anchor(connection), repository.sealed_after(connection, after, AT_ONCE + 1)
    return anchor, rows, repository.count_unsealed(connection)


def _broken(walk: Verdict, seq: int, row_id: str | None, how: str, message: str) -> Verdict:
    return replace(walk, broken=Broken(seq, row_id, how, message))


def _seen(walk: Verdict, wanted: Link | None) -> Verdict:
    if wanted is None or walk.head.seq != wanted.seq:
        return walk
    return replace(walk, holds_head=walk.head.hash == wanted.hash)


def _judged(walk: Verdict, wanted: Link | None) -> Verdict:
    if wanted is None or walk.holds_head is not None or wanted.seq < walk.begins_after:
        return walk
    return replace(walk, holds_head=False)
