"""Idempotency keys of callers: for seven days the same key and request give what the first one gave.

A key belongs to what the request is about: a start to its workflow, a retry or rerun to the run that it repeats, a
cancel, pause, resume, signal or decision to its run; an operation on many runs to who asks for it. So one key may start
a run and retry it, and neither is taken for the other.
"""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from functools import partial

import orjson

from millrace.app.runs import repository
from millrace.core.errors import Conflict
from millrace.core.values import SECOND
from millrace.engine.cell import Started
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.store import StartKey

LIFETIME = 7 * 86_400 * SECOND
"""What a key holds is kept as long: retention deletes no operation sooner (`retention.policy`)."""


class KeySpace(StrEnum):
    """Namespaces of start keys, and what is a key's scope in each."""

    START = "caller"
    """A workflow."""
    REPEAT = "repeat"
    """The run that is repeated."""
    CONTROL = "control"
    """The run that is cancelled, paused, resumed or told something. What such a key holds is the wish, not a run."""
    MANY = "bulk"
    """The user who asks. What such a key holds is an operation, not a run."""


class CallerKeys:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def key(self, space: KeySpace, scope: str, key: str | None, fingerprint: Callable[[], str]) -> StartKey | None:
        """To be written with what is started, in one transaction; `None` for a request without a key.

        `fingerprint` is asked only where there is a key. What it is made of must be checked before: not every value
        that a request may hold has one.
        """
        if key is None:
            return None
        return StartKey(space, scope, key, fingerprint(), self._clock.now() + LIFETIME)

    async def holder(self, key: StartKey | None) -> Started | None:
        """The run that an earlier request with the key started. Raises `Conflict` if that was another request."""
        if key is None:
            return None
        found = await self._database.read(
            partial(repository.started_with, namespace=key.namespace, scope=key.scope, key=key.key)
        )
        if found is None:
            return None
        request_hash, started = found
        return same_request(Started(started, existed=True, same_request=request_hash == key.request_hash))


def fingerprint(asked: object) -> str:
    """Of a request: the same for the same fields, in whatever order they came."""
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def same_request(started: Started, what: str = "run") -> Started:
    """Raise `Conflict` when the key of this request was used for another one."""
    if not started.same_request:
        raise other_request(f", which started {what} {started.run_id}")
    return started


def other_request(what: str = "") -> Conflict:
    return Conflict(
        "idempotency_conflict",
        f"the idempotency key was used before for a different request{what}; use a new key for a new request",
    )
