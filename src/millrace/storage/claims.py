"""Claims on SQLite: which scheduled attempts a worker gets, by (priority, age), and never more than a limit allows.

Attempts under a limit (their own key's, or their task type's) are looked up by key, so that thousands that wait behind
a full limit do not stand in the way of others. How many run is counted from the rows themselves, never stored.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from millrace.core.values import Instant
from millrace.ports.store import ClaimedAttempt, ClaimRequest, time_left
from millrace.storage import mapping, statements
from millrace.storage.mapping import Row

EVERY_QUEUE = "*"


def claim_attempts(raw: sqlite3.Connection, claim: ClaimRequest) -> list[ClaimedAttempt]:
    """Part of a commit's transaction."""
    now: Instant = raw.execute("select now_us()").fetchone()[0]
    queues = _queues(raw, claim.queues)
    waiting = [row for queue in queues for row in raw.execute(statements.QUEUED, (queue, now, claim.limit)).fetchall()]
    limited = _limited(raw, claim, queues, now)
    if limited or len(queues) > 1:
        waiting = sorted(waiting + limited, key=lambda row: (-row[6], row[7], row[0], row[1]))
    room = Room(raw, claim.type_limits)
    chosen: list[ClaimedAttempt] = []
    for row in waiting:
        if len(chosen) == claim.limit:
            break
        if len(row) == UNLIMITED_WIDTH or room.take(*row[8:11]):
            run_id, path, number, token, timeout, expires_at = row[:6]
            chosen.append(ClaimedAttempt(run_id, path, number, token, time_left(now, timeout, expires_at)))
    _write(raw, claim.incarnation_id, chosen, now)
    return chosen


UNLIMITED_WIDTH = 8
"""Columns of a waiting attempt; one under a limit has its keys and its queue behind them."""


class Room:
    """How many more attempts of each key may run, counted once a claim."""

    def __init__(self, raw: sqlite3.Connection, type_limits: Mapping[str, int]) -> None:
        self._raw = raw
        self._type_limits = type_limits
        self._running: dict[tuple[str, str], int] = {}

    def take(self, limit_key: str | None, limit_size: int | None, type_key: str | None) -> bool:
        """Take a place under every key given, or none at all."""
        wanted: list[tuple[tuple[str, str], int]] = []
        if limit_key is not None and limit_size is not None:
            wanted.append((("limit_key", limit_key), limit_size))
        # A type whose limit was lifted since runs without one.
        if type_key is not None and type_key in self._type_limits:
            wanted.append((("type_key", type_key), self._type_limits[type_key]))
        if any(self.running(*key) >= size for key, size in wanted):
            return False
        for key, _ in wanted:
            self._running[key] += 1
        return True

    def running(self, column: str, key: str) -> int:
        known = self._running.get((column, key))
        if known is None:
            known = self._running[column, key] = self._raw.execute(
                statements.LIMITED_RUNNING[column], (key,)
            ).fetchone()[0]
        return known


def _queues(raw: sqlite3.Connection, asked: Sequence[str]) -> tuple[str, ...]:
    if EVERY_QUEUE in asked:
        return tuple(row[0] for row in raw.execute(statements.QUEUES).fetchall())
    return tuple(dict.fromkeys(asked))


def _limited(raw: sqlite3.Connection, claim: ClaimRequest, queues: Sequence[str], now: Instant) -> list[Any]:
    """Attempts under a limit that could be claimed, each once; those of a key without room are not even read."""
    found: dict[str, Any] = {}
    room = Room(raw, claim.type_limits)
    for column in ("limit_key", "type_key"):
        for (key,) in raw.execute(statements.LIMITED_KEYS[column]).fetchall():
            size = claim.type_limits.get(key) if column == "type_key" else None
            if size is not None and room.running(column, key) >= size:
                continue
            query = statements.limited_waiting(column, len(queues))
            for row in raw.execute(query, (key, now, *queues, claim.limit)).fetchall():
                found[row[3]] = row
    return list(found.values())


def _write(raw: sqlite3.Connection, incarnation_id: str, chosen: Sequence[ClaimedAttempt], now: Instant) -> None:
    deadlines = (None if one.time_left is None else now + one.time_left for one in chosen)
    raw.executemany(
        statements.CLAIM,
        [
            (incarnation_id, now, deadline, one.run_id, one.path, one.number)
            for one, deadline in zip(chosen, deadlines, strict=True)
        ],
    )
    raw.executemany(statements.CLAIM_TASK, [(incarnation_id, now, one.run_id, one.path) for one in chosen])
    records: list[Row] = []
    for one in chosen:
        (seq,) = raw.execute(statements.NEXT_SEQ, (one.run_id,)).fetchone()
        data = mapping.to_text({"attempt": one.number, "worker": incarnation_id})
        records.append((one.run_id, seq, mapping.STARTED, one.path, data, now))
    raw.executemany(statements.INSERT_RECORD, records)
