"""The engine's store on SQLite. Its promises are those of `ports.store`; what is written at once is in `batch`.

Every write is a job of the database's one writer thread; what only reads runs on a reading connection beside it.
"""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, Select, func, select

from millrace.core.events import TimerKind
from millrace.core.values import Duration, Instant, JsonValue
from millrace.ports.incarnations import HeartbeatReply, Incarnation, LostAttempt
from millrace.ports.payloads import Payloads
from millrace.ports.store import (
    ClaimRequest,
    CommitReply,
    InboxItem,
    IncarnationDead,
    LoadedRun,
    LogLine,
    RunChange,
    TaskPayload,
)
from millrace.ports.waits import DueTimer
from millrace.storage import mapping, polls, statements, tables
from millrace.storage.admission import admit_waiting
from millrace.storage.batch import expire, write_batch
from millrace.storage.database import SqliteDatabase
from millrace.storage.put_away import PayloadReader
from millrace.storage.rows import goes_on, load_inputs, load_outputs, load_run, load_run_output, load_task


class SqliteStore:
    """Meets `ports.store.Store`."""

    worth_another: int | None = None

    def __init__(self, database: SqliteDatabase, payloads: Payloads | None = None) -> None:
        """`payloads`: where payloads lie that are too large for their rows."""
        self._database = database
        self._payloads = PayloadReader(payloads)

    @property
    def written(self) -> int | None:
        return self._database.written

    async def close(self) -> None:
        """Nothing of its own to close: the database belongs to whoever opened it."""

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        return await self._database.submit(lambda raw: write_batch(raw, changes, claim))

    async def load(self, run_id: str, *, newer_than: int = 0) -> LoadedRun | None:
        found = await self._database.read_for_engine(lambda connection: load_run(connection, run_id, newer_than))
        return found and replace(found, new=await self._payloads.run(found.new))

    async def load_outputs(self, run_id: str, *, newer_than: int = 0) -> Mapping[str, JsonValue]:
        found = await self._database.read_for_engine(lambda connection: load_outputs(connection, run_id, newer_than))
        return await self._payloads.values(found)

    async def load_inputs(self, run_id: str) -> Mapping[str, JsonValue]:
        return await self._payloads.values(
            await self._database.read_for_engine(lambda connection: load_inputs(connection, run_id))
        )

    async def load_task(self, run_id: str, path: str) -> TaskPayload:
        found = await self._database.read_for_engine(lambda connection: load_task(connection, run_id, path))
        return TaskPayload(**await self._payloads.values(found))

    async def goes_on(self, run_id: str) -> bool:
        return await self._database.read_for_engine(lambda connection: goes_on(connection, run_id))

    async def load_run_output(self, run_id: str) -> JsonValue:
        found = await self._database.read_for_engine(lambda connection: load_run_output(connection, run_id))
        value: JsonValue = (await self._payloads.values({"output": found}))["output"]
        return value

    # --- inbox, timers, admission -------------------------------------------------------------------------------------

    async def post(self, items: Sequence[InboxItem]) -> frozenset[str]:
        def job(raw: sqlite3.Connection) -> frozenset[str]:
            raw.execute("begin immediate")
            rows = [(item.id, item.run_id, item.kind, mapping.to_text(item.data)) for item in items]
            accepted = frozenset(row[0] for row in rows if raw.execute(statements.POST, row).rowcount)
            raw.execute("commit")
            return accepted

        return await self._database.submit(job)

    async def read_inbox(self, limit: int) -> Sequence[InboxItem]:
        found = await self._polled(polls.INBOX, limit)
        return [InboxItem(id_, run_id, kind, mapping.from_text(data)) for id_, run_id, kind, data in found]

    async def due_timers(self, limit: int) -> Sequence[DueTimer]:
        of_runs = await self._polled(polls.DUE_TIMERS, limit)
        of_tasks = await self._polled(polls.DUE_WAITS, limit)
        return [
            *(DueTimer(run_id, TimerKind(kind)) for run_id, kind in of_runs),
            *(DueTimer(run_id, TimerKind.TASK, path) for run_id, path in of_tasks),
        ]

    async def next_wake(self) -> Duration | None:
        return await self._database.read_for_engine(lambda connection: connection.execute(polls.NEXT_WAKE).scalar())

    async def admit(self, limit: int) -> Sequence[str]:
        def job(raw: sqlite3.Connection) -> Sequence[str]:
            raw.execute("begin immediate")
            admitted = admit_waiting(raw, limit)
            raw.execute("commit")
            return admitted

        return await self._database.submit(job)

    async def expire_attempts(self, limit: int) -> Sequence[InboxItem]:
        due = await self._database.read_for_engine(
            lambda connection: connection.exec_driver_sql(statements.OVER_QUEUE_TIME, (limit,)).all()
        )

        def job(raw: sqlite3.Connection) -> Sequence[InboxItem]:
            raw.execute("begin immediate")
            expired = expire(raw, [(run_id, path, number) for run_id, path, number in due])
            raw.execute("commit")
            return expired

        return await self._database.submit(job) if due else ()

    # --- incarnations -------------------------------------------------------------------------------------------------

    async def register(self, incarnation: Incarnation, lease: Duration, *, sole: bool) -> None:
        queues = mapping.to_text(list(incarnation.queues))
        row = (incarnation.id, incarnation.host, incarnation.pid, queues, incarnation.slots, lease)

        def job(raw: sqlite3.Connection) -> None:
            raw.execute("begin immediate")
            if sole:
                raw.execute(statements.LOSE_ALL_BUT, (incarnation.id,))
            raw.execute(statements.REGISTER, row)
            raw.execute("commit")

        await self._database.submit(job)

    async def heartbeat(self, incarnation_id: str, lease: Duration) -> HeartbeatReply:
        def job(raw: sqlite3.Connection) -> HeartbeatReply:
            if raw.execute(statements.BEAT, (lease, incarnation_id)).rowcount == 0:
                raise IncarnationDead(incarnation_id)
            held = raw.execute(statements.HELD, (incarnation_id,)).fetchall()
            return HeartbeatReply(
                running=frozenset((run_id, path, number) for run_id, path, number, _ in held),
                stop=frozenset((run_id, path, number) for run_id, path, number, stop in held if stop),
            )

        return await self._database.submit(job)

    async def retire(self, incarnation_id: str) -> None:
        await self._database.submit(lambda raw: raw.execute(statements.RETIRE, (incarnation_id,)).rowcount)

    async def now(self) -> Instant:
        return await self._database.read_for_engine(
            lambda connection: int(connection.execute(select(func.now_us())).scalar_one())
        )

    async def reap(self, as_of: Instant | None = None) -> Sequence[str]:
        return await self._database.submit(
            lambda raw: [row[0] for row in raw.execute(statements.REAP, (as_of,)).fetchall()]
        )

    async def lost_attempts(self, limit: int) -> Sequence[LostAttempt]:
        return [LostAttempt(*row) for row in await self._polled(polls.LOST_ATTEMPTS, limit)]

    async def overdue_attempts(self, grace: Duration, limit: int) -> Sequence[LostAttempt]:
        return [LostAttempt(*row) for row in await self._polled(polls.OVERDUE_ATTEMPTS, limit, grace=grace)]

    async def live_incarnations(self) -> frozenset[str]:
        rows = tables.incarnations.c
        query = select(rows.id).where(rows.lost_at.is_(None), rows.retired_at.is_(None))
        return frozenset(
            await self._database.read_for_engine(lambda connection: connection.execute(query).scalars().all())
        )

    async def installation_id(self) -> str:
        def job(raw: sqlite3.Connection) -> str:
            row = raw.execute(statements.INSTALLATION).fetchone()
            if row is None:
                row = (str(uuid.uuid4()),)
                raw.execute(statements.INSTALL, row)
            installation_id: str = row[0]
            return installation_id

        return await self._database.submit(job)

    # --- logs ---------------------------------------------------------------------------------------------------------

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        by_run: dict[str, list[LogLine]] = {}
        for line in lines:
            by_run.setdefault(line.run_id, []).append(line)

        def job(raw: sqlite3.Connection) -> None:
            raw.execute("begin immediate")
            for run_id, of_run in by_run.items():
                row = raw.execute(statements.NEXT_LOGS, (len(of_run), run_id)).fetchone()
                if row is not None:
                    first = row[0] - len(of_run) + 1
                    rows = [mapping.log_row(line, seq) for seq, line in enumerate(of_run, first)]
                    raw.executemany(statements.INSERT_LOG, rows)
            raw.execute("commit")

        await self._database.submit(job)

    async def _polled(
        self, query: Select[*tuple[Any, ...]], limit: int, **values: int
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        return await self._database.read_for_engine(
            lambda connection: connection.execute(query, {"limit": limit, **values}).all()
        )
