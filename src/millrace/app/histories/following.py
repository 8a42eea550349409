"""Following what is committed: batch after batch, from a number on, missing nothing.

The rule: wait for a hint first, then read. A hint that is lost costs `POLL_SECONDS`, never a line. A follower holds
one batch at most and no snapshot of the database while its reader is slow; it goes on when it is asked to.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from millrace.app.histories import repository
from millrace.app.histories.queries import is_finished, unknown_run
from millrace.app.histories.repository import Ends, LogFilter, Position, Window
from millrace.app.histories.sharing import SharedReads
from millrace.app.histories.views import View, change_view, log_view, record_view, users_in
from millrace.auth.names import UserNames
from millrace.auth.sight import Sight
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.ports.bus import ANY_RUN, Bus
from millrace.ports.database import Database

POLL_SECONDS = 2.0
"""How long a hint is waited for before the follower looks without one."""

SETTLING_SECONDS = 0.05
"""The same where something is there already that may not be told yet: nobody hints at the end of the other commit.

Each time twice as long: the other may be of another database of the server, and take hours.
"""

BREATH_SECONDS = 0.02
"""Between two reads of one follower: what a busy run commits meanwhile comes in one batch."""

LINES = 200
"""In one batch, and so in the memory of one follower."""

BEGINNING = 0

At = TypeVar("At")


@dataclass(frozen=True, slots=True)
class Batch:
    """What is new, each with the number to resume from; `status` is set in the last batch of a finished run."""

    items: Sequence[tuple[str, View]] = ()
    position: str | None = None
    """Where to resume when nothing else comes; it may be beyond the last item, which a filter left out."""
    status: str | None = None
    unsettled: bool = False
    """Whether there is more, which waits for what others are just committing."""


class Followers:
    def __init__(self, database: Database, bus: Bus, names: UserNames) -> None:
        self._database = database
        self._bus = bus
        self._names = names
        self._shared = SharedReads()

    def records(self, run_id: str, *, after: int) -> AsyncIterator[Batch]:
        """The records of one run, to its end."""

        async def look(position: int) -> tuple[Batch, int]:
            def read(connection: Connection) -> tuple[Batch, int]:
                found = repository.progress(connection, run_id)
                if found is None:
                    raise unknown_run(run_id)
                rows = repository.read_records(connection, run_id, Window(after=position, limit=LINES))
                status = found.status if is_finished(found) else None
                shown = partial(record_view, names=self._names.within(connection, users_in(rows)))
                return _numbered(rows, shown, position, found.last_seq, status)

            return await self._read(("records", run_id, position), read)

        return self._follow(run_id, look, after)

    def logs(
        self, run_id: str, narrow: LogFilter, *, after: int = BEGINNING, tail: int | None = None
    ) -> AsyncIterator[Batch]:
        """The log lines of one run, to its end; with `tail`, from the last so many on."""
        first = None if tail is None else Window(last=True, limit=max(tail, 1))

        async def look(position: int) -> tuple[Batch, int]:
            nonlocal first
            window, first = first or Window(after=position, limit=LINES), None

            def read(connection: Connection) -> tuple[Batch, int]:
                found = repository.progress(connection, run_id)
                if found is None:
                    raise unknown_run(run_id)
                rows = repository.read_logs(connection, run_id, window, narrow)
                shown = () if tail == 0 and window.last else rows
                status = found.status if is_finished(found) else None
                complete = window.last or len(rows) < LINES
                return _numbered(shown, log_view, position, found.last_log, status, complete=complete)

            return await self._read(("logs", run_id, window, narrow, tail), read)

        return self._follow(run_id, look, after)

    async def here(self) -> str:
        """The newest position in the line of changes: to follow from here is to hear what comes now."""
        return str((await self._database.read(repository.ends_of_changes)).newest)

    async def place(self, given: str) -> Position:
        """The position that a client names. Raises `InvalidRequest`, or `Conflict` if the line has moved past it."""
        position = _parsed(given)
        _require_kept(position, await self._database.read(repository.ends_of_changes))
        return position

    def changes(
        self, workflow_id: str | None, *, position: Position, sight: Sight | None = None
    ) -> AsyncIterator[Batch]:
        """The records of all runs, or of the runs of one workflow, in the order of their commits. It does not end.

        Raises `Conflict` when the reader is so slow that what it would read next has been deleted.
        """

        async def look(place: Position) -> tuple[Batch, Position]:
            def read(connection: Connection) -> tuple[Batch, Position]:
                ends = repository.ends_of_changes(connection)
                _require_kept(place, ends)
                rows = repository.read_changes(connection, place, workflow_id, LINES, sight)
                names = self._names.within(connection, users_in(rows))
                items = [(_name(row), change_view(row, names)) for row in rows]
                if len(rows) == LINES:
                    return Batch(items, items[-1][0]), _parsed(items[-1][0])
                return Batch(items, str(ends.newest), unsettled=ends.unsettled), Position(ends.newest + 1, BEGINNING)

            return await self._read(("changes", workflow_id, sight, place), read)

        return self._follow(ANY_RUN, look, position)

    async def _read(self, key: tuple[object, ...], read: Callable[[Connection], tuple[Batch, At]]) -> tuple[Batch, At]:
        found: tuple[Batch, At] = await self._shared.read(key, lambda: self._database.read(read))
        return found

    async def _follow(
        self, subject: str, look: Callable[[At], Awaitable[tuple[Batch, At]]], position: At
    ) -> AsyncIterator[Batch]:
        settling = SETTLING_SECONDS
        while True:
            hint = asyncio.ensure_future(self._bus.wait(subject, POLL_SECONDS))
            try:
                batch, position = await look(position)
                if not batch.items and batch.status is None:
                    await asyncio.wait({hint}, timeout=settling if batch.unsettled else None)
                settling = 2 * settling if batch.unsettled and not batch.items else SETTLING_SECONDS
            finally:
                hint.cancel()
            yield batch
            if batch.status is not None:
                return
            await asyncio.sleep(BREATH_SECONDS)


def _numbered(
    rows: Sequence[RowMapping],
    view: Callable[[RowMapping], View],
    after: int,
    newest: int,
    status: str | None,
    *,
    complete: bool | None = None,
) -> tuple[Batch, int]:
    """The rows as a batch. If they are all there is, the next look begins at `newest`, else after the last row."""
    complete = len(rows) < LINES if complete is None else complete
    position = max(newest, after) if complete else int(rows[-1]["seq"])
    items = [(str(row["seq"]), view(row)) for row in rows]
    return Batch(items, str(position), status if complete else None), position


def _name(row: RowMapping) -> str:
    """`12.3`: record 3 of the run of change 12; `12` when that was the last one of the change."""
    position, seq = row["position"], row["seq"]
    return str(position) if seq == row["last_seq"] else f"{position}.{seq}"


def _require_kept(position: Position, ends: Ends) -> None:
    if position.change != BEGINNING and not ends.oldest <= position.change <= ends.newest + 1:
        raise Conflict(
            "position_expired",
            f"changes are kept from position {ends.oldest} to {ends.newest}, and what comes next is not among them; "
            "read the list of runs, then follow without a position",
        )


def _parsed(given: str) -> Position:
    change, _, seq = given.partition(".")
    if (
        not change.isascii()
        or not change.isdigit()
        or len(given) > 40
        or (seq and not (seq.isascii() and seq.isdigit()))
    ):
        fault = Fault("after", "invalid_position", f"{given[:40]!r} is not a position", "pass on the `id` of an event")
        raise InvalidRequest("invalid_position", "the position is not one that a stream has given", faults=[fault])
    if seq:
        return Position(int(change), int(seq))
    return Position(int(change) + 1, 0) if int(change) else Position(0, 0)
