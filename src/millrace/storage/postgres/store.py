"""The engine's store on PostgreSQL. Its promises are those of `ports.store`; what must be atomic is a function there.

The connections are asyncpg's own: a round trip through SQLAlchemy costs several times the server's answer.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import orjson

from millrace.core.events import TimerKind
from millrace.core.values import Duration, Instant, JsonValue
from millrace.ports.incarnations import HeartbeatReply, Incarnation, LostAttempt
from millrace.ports.payloads import Payloads
from millrace.ports.store import (
    AlreadyStarted,
    ChangeReply,
    ClaimedAttempt,
    ClaimRequest,
    CommitReply,
    Committed,
    Conflict,
    InboxItem,
    IncarnationDead,
    LoadedRun,
    LogLine,
    NotStarted,
    Refusal,
    Rejected,
    RunChange,
    StoreUnavailable,
    TaskPayload,
)
from millrace.ports.waits import DueTimer
from millrace.storage import mapping, statements
from millrace.storage.postgres import queries
from millrace.storage.postgres.admission import admit_waiting
from millrace.storage.postgres.connecting import WORKER_LOST, state_of
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.postgres.requests import COMMIT, CommitRequest
from millrace.storage.put_away import PayloadReader

logger = logging.getLogger(__name__)


class PostgresStore:
    """Meets `ports.store.Store`."""

    worth_another = 32
    written = None

    def __init__(self, database: PostgresDatabase, payloads: Payloads | None = None) -> None:
        """`payloads`: where payloads lie that are too large for their rows."""
        self._database = database
        self._engine = database.engine_pool
        self._payloads = PayloadReader(payloads)

    async def close(self) -> None:
        """Nothing of its own to close: the connections belong to whoever opened them."""

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        """As the port says; the claim follows in a transaction of its own, which nothing can undo the commit by."""
        replies = await self._write(changes, claim)
        try:
            claimed = () if claim is None else await self._claim(claim)
        except (StoreUnavailable, IncarnationDead) as error:
            if not changes:
                raise
            logger.warning("a commit stands, but no work could be claimed after it: %s", error)
            claimed = ()
        return CommitReply(tuple(replies), tuple(claimed))

    async def load(self, run_id: str, *, newer_than: int = 0) -> LoadedRun | None:
        found = await self._database.look(queries.LOAD, run_id, newer_than)
        if not found:
            return None
        loaded = _loaded(found[0])
        return replace(loaded, new=await self._payloads.run(loaded.new))

    async def load_outputs(self, run_id: str, *, newer_than: int = 0) -> Mapping[str, JsonValue]:
        found = await self._database.look(queries.OUTPUTS, run_id, newer_than)
        return await self._payloads.values({path: mapping.from_text(output) for path, output in found})

    async def load_inputs(self, run_id: str) -> Mapping[str, JsonValue]:
        found = await self._database.look(queries.INPUTS, run_id)
        return await self._payloads.values({path: mapping.from_text(text) for path, text in found})

    async def load_task(self, run_id: str, path: str) -> TaskPayload:
        for given, output in await self._database.look(queries.TASK, run_id, path):
            found = {"input": mapping.from_text(given), "output": mapping.from_text(output)}
            return TaskPayload(**await self._payloads.values(found))
        return TaskPayload()

    async def goes_on(self, run_id: str) -> bool:
        return bool(await self._database.look(queries.GOES_ON, run_id))

    async def load_run_output(self, run_id: str) -> JsonValue:
        found = await self._database.look(queries.RUN_OUTPUT, run_id)
        output = mapping.from_text(found[0][0]) if found else None
        value: JsonValue = (await self._payloads.values({"output": output}))["output"]
        return value

    async def _write(self, changes: Sequence[RunChange], claim: ClaimRequest | None) -> Sequence[ChangeReply]:
        claimant = None if claim is None else claim.incarnation_id
        try:
            return await self._write_together(changes, claimant)
        except (StoreUnavailable, IncarnationDead):
            raise
        except Exception as error:  # each by itself: whatever there is against the data of one, the others go on
            logger.warning("a commit of %d runs is refused, and tried one by one: %s", len(changes), error)
        return [await self._write_alone(change, claimant) for change in changes]

    async def _write_together(self, changes: Sequence[RunChange], claimant: str | None) -> Sequence[ChangeReply]:
        if not changes:
            return ()
        arguments = CommitRequest(changes, claimant).arguments
        try:
            answer = orjson.loads(
                await self._database.write_for_engine(lambda: self._engine.fetchval(COMMIT, *arguments))
            )
        except Exception as error:
            if state_of(error) == WORKER_LOST:
                raise IncarnationDead(claimant or "") from error
            raise
        return _replies(changes, answer)

    async def _write_alone(self, change: RunChange, claimant: str | None) -> ChangeReply:
        try:
            return (await self._write_together([change], claimant))[0]
        except (StoreUnavailable, IncarnationDead):
            raise
        except Exception as error:
            return Rejected(change.run.id, str(error))

    async def _claim(self, claim: ClaimRequest) -> Sequence[ClaimedAttempt]:
        limits = orjson.dumps(dict(claim.type_limits)).decode()
        arguments = (claim.incarnation_id, list(dict.fromkeys(claim.queues)), claim.limit, limits)
        try:
            answer = await self._database.write_for_engine(lambda: self._engine.fetchval(queries.CLAIM, *arguments))
        except Exception as error:
            if state_of(error) == WORKER_LOST:
                raise IncarnationDead(claim.incarnation_id) from error
            raise
        return () if answer is None else [ClaimedAttempt(*row) for row in orjson.loads(answer)]

    # --- inbox, timers, admission -------------------------------------------------------------------------------------

    async def post(self, items: Sequence[InboxItem]) -> frozenset[str]:
        rows = [
            {"id": item.id, "run_id": item.run_id, "kind": item.kind, "data": mapping.to_text(item.data)}
            for item in sorted(items, key=lambda item: item.id)
        ]
        found = await self._fetch(queries.POST, orjson.dumps(rows).decode())
        return frozenset(row["id"] for row in found)

    async def read_inbox(self, limit: int) -> Sequence[InboxItem]:
        found = await self._fetch(queries.INBOX, limit)
        return [InboxItem(id_, run_id, kind, mapping.from_text(data)) for id_, run_id, kind, data in found]

    async def due_timers(self, limit: int) -> Sequence[DueTimer]:
        found = await self._fetch(queries.DUE_TIMERS, limit)
        return [DueTimer(run_id, TimerKind(kind), path) for run_id, kind, path in found]

    async def next_wake(self) -> Duration | None:
        ((found,),) = await self._fetch(queries.NEXT_WAKE)
        return None if found is None else int(found)

    async def admit(self, limit: int) -> Sequence[str]:
        return await self._database.write_for_engine(lambda: admit_waiting(self._engine, limit))

    async def expire_attempts(self, limit: int) -> Sequence[InboxItem]:
        ((told,),) = await self._fetch(queries.EXPIRE, limit)
        return () if told is None else [_taken_back(row, "attempt_expired") for row in orjson.loads(told)]

    # --- incarnations -------------------------------------------------------------------------------------------------

    async def register(self, incarnation: Incarnation, lease: Duration, *, sole: bool) -> None:
        queues = mapping.to_text(list(incarnation.queues))
        row = (incarnation.id, incarnation.host, incarnation.pid, queues, incarnation.slots, lease)
        if sole:
            await self._fetch(queries.LOSE_ALL_BUT, incarnation.id)
        await self._fetch(queries.REGISTER, *row)

    async def heartbeat(self, incarnation_id: str, lease: Duration) -> HeartbeatReply:
        if not await self._fetch(queries.BEAT, incarnation_id, lease):
            raise IncarnationDead(incarnation_id)
        held = await self._fetch(queries.HELD, incarnation_id)
        return HeartbeatReply(
            running=frozenset((run_id, path, number) for run_id, path, number, _ in held),
            stop=frozenset((run_id, path, number) for run_id, path, number, stop in held if stop),
        )

    async def retire(self, incarnation_id: str) -> None:
        await self._fetch(queries.RETIRE, incarnation_id)

    async def now(self) -> Instant:
        ((now,),) = await self._fetch("select now_us()")
        return int(now)

    async def reap(self, as_of: Instant | None = None) -> Sequence[str]:
        return [row["id"] for row in await self._fetch(queries.REAP, as_of)]

    async def lost_attempts(self, limit: int) -> Sequence[LostAttempt]:
        return [LostAttempt(*row) for row in await self._fetch(queries.LOST_ATTEMPTS, limit)]

    async def overdue_attempts(self, grace: Duration, limit: int) -> Sequence[LostAttempt]:
        return [LostAttempt(*row) for row in await self._fetch(queries.OVERDUE_ATTEMPTS, grace, limit)]

    async def live_incarnations(self) -> frozenset[str]:
        return frozenset(row["id"] for row in await self._fetch(queries.LIVE_INCARNATIONS))

    async def installation_id(self) -> str:
        ((found,),) = await self._fetch(queries.INSTALLATION, str(uuid.uuid4()))
        return str(found)

    # --- logs ---------------------------------------------------------------------------------------------------------

    async def append_logs(self, lines: Sequence[LogLine]) -> None:
        by_run: dict[str, list[LogLine]] = {}
        for line in lines:
            by_run.setdefault(line.run_id, []).append(line)
        rows = [
            dict(zip(queries.LOG, (run_id, number, *mapping.log_row(line, 0)[2:]), strict=True))
            for run_id, of_run in sorted(by_run.items())
            for number, line in enumerate(of_run, 1)
        ]
        await self._fetch(queries.APPEND_LOGS, sorted(by_run), orjson.dumps(rows).decode())

    async def _fetch(self, query: str, *arguments: Any) -> "Sequence[asyncpg.Record]":
        found: Sequence[asyncpg.Record] = await self._database.write_for_engine(
            lambda: self._engine.fetch(query, *arguments)
        )
        return found


def _loaded(row: "asyncpg.Record") -> LoadedRun:
    tasks = orjson.loads(row["tasks"] or "[]")
    return LoadedRun(
        new=mapping.new_run(row),
        workflow_name=row["workflow_name"],
        version_number=row["number"],
        header=mapping.run_header(row),
        revision=row["revision"],
        tasks=mapping.task_runs([dict(zip(statements.TASK_READ, task, strict=True)) for task in tasks]),
        tokens={(path, number): token for path, number, token in orjson.loads(row["tokens"] or "[]")},
    )


def _replies(changes: Sequence[RunChange], answer: Mapping[str, Any]) -> Sequence[ChangeReply]:
    """What became of each change: it passed, a start was refused, or the run is not what it was."""
    passed = frozenset(answer["passed"] or ())
    refused = {row[0]: row[1:] for row in answer["refused"] or ()}
    withdrawn: dict[str, list[InboxItem]] = {}
    for row in answer["withdrawn"] or ():
        withdrawn.setdefault(row[1], []).append(_taken_back(row, "attempt_withdrawn"))
    replies: list[ChangeReply] = []
    for change in changes:
        run_id = change.run.id
        if run_id in passed:
            replies.append(Committed(run_id, tuple(withdrawn.get(run_id, ()))))
        elif run_id in refused:
            replies.append(_refusal(run_id, *refused[run_id]))
        else:
            replies.append(Conflict(run_id))
    return replies


def _refusal(run_id: str, kind: str, other: str | None = None, same: bool = False) -> ChangeReply:
    if kind == "started":
        return AlreadyStarted(run_id, str(other), same)
    return NotStarted(run_id, Refusal(kind), other)


def _taken_back(row: Sequence[Any], kind: str) -> InboxItem:
    token, run_id, path, number = row
    return InboxItem(token, run_id, kind, {"path": path, "number": number})
