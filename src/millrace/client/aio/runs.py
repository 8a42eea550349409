"""Runs: start and wait for them, list and read them, change their course."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from millrace.client.aio.histories import AsyncHistories
from millrace.client.aio.pausing import pause
from millrace.client.answers import part
from millrace.client.errors import RequestRefused, Unreachable, WaitTimeout
from millrace.client.requests import Body, Moment, given, json_body, label_query, path_of, word_query
from millrace.client.retrying import Patience
from millrace.client.types import (
    BulkFilter,
    CancelAnswer,
    DryRunView,
    OperationView,
    RunPage,
    RunView,
    TaskRunPage,
    TaskRunView,
)

FINISHED: Final = frozenset({"completed", "failed", "cancelled"})

LONGEST_LOOK: Final = 20.0
"""Seconds that one request of `wait` stays with the server."""

BUSY_PAUSE: Final = 0.1
"""Between two looks at a run that is busy, or at a server that is away."""


class AsyncRuns(AsyncHistories):
    """`client.runs`."""

    async def start(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,
        *,
        variables: Mapping[str, Any] | None = None,
        version: int | str | None = None,
        run_at: Moment | None = None,
        priority: int | None = None,
        confirmation: bool | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
        wait_seconds: float | None = None,
    ) -> RunView:
        """Start a run: at once or not before `run_at`, of a `version` (number or tag) or else the
        deployed one or else the newest.

        With `wait_seconds` (up to 300) the answer comes when the run has finished or when they are over. The same
        `idempotency_key` (for 7 days) gives the same run; without one each call has its own, so that a start whose
        answer was lost is repeated and still starts one run. Raises `InvalidRequest` and `Conflict`.
        """
        body = json_body(
            input=input,
            variables=variables,
            version=version,
            run_at=run_at,
            priority=priority,
            confirmation=confirmation,
            correlation_id=correlation_id,
            idempotency_key=idempotency_key or str(uuid.uuid4()),
            **_waiting(wait_seconds),
        )
        path = await self._workflow_path(workflow, "execute")
        answer = await self._transport.send("POST", path, body, repeatable=True, waiting=wait_seconds or 0)
        return cast(RunView, answer)

    async def test(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,
        *,
        mocks: Mapping[str, Mapping[str, Any]] | None = None,
        only: str | None = None,
        virtual_time: bool | None = None,
        others: Literal["run", "mock"] | None = None,
        variables: Mapping[str, Any] | None = None,
        version: int | str | None = None,
        item: Any = None,
        index: int | None = None,
        previous: Any = None,
        wait_seconds: float | None = None,
    ) -> RunView:
        """Start a test run: tasks of `mocks` are not done, but come to what is said there: `{"output": …}`, or
        `{"fail": {"message": …}, "times": …}`.

        `only` runs one task alone; of one in a loop give its `item`, its `index`, or what `previous` is. With
        `virtual_time` no time passes; with `others="mock"` nothing is done at all. Each call starts a run; one whose
        answer is lost is not repeated. Raises `InvalidRequest` and `Conflict`.
        """
        body = json_body(
            input=input,
            mocks=mocks,
            only=only,
            virtual_time=virtual_time,
            others=others,
            variables=variables,
            version=version,
            item=item,
            index=index,
            previous=previous,
            **_waiting(wait_seconds),
        )
        path = await self._workflow_path(workflow, "test")
        answer = await self._transport.send("POST", path, body, waiting=wait_seconds or 0)
        return cast(RunView, answer)

    async def dry_run(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,
        *,
        mocks: Mapping[str, Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        version: int | str | None = None,
        iterations: int | None = None,
    ) -> DryRunView:
        """What a run would do, as far as it can be told without doing it. Raises `InvalidRequest`.

        `iterations`: so many are told of each foreach, 3 by default.
        """
        body = json_body(input=input, mocks=mocks, variables=variables, version=version, iterations=iterations)
        path = await self._workflow_path(workflow, "dry-run")
        return cast(DryRunView, await self._transport.send("POST", path, body, repeatable=True))

    async def get(self, run: str) -> RunView:
        """One run with its input and output."""
        return cast(RunView, await self._transport.get(path_of("runs", run)))

    async def wait(self, run: str, timeout: float | None = None) -> RunView:
        """The run when it has finished, however it ended; a server that restarts meanwhile is waited for.

        Raises `WaitTimeout` when it has not finished after `timeout` seconds, `Unreachable` when the server has been
        away for a minute.
        """
        until = None if timeout is None else time.monotonic() + timeout
        here = AsyncRuns(self._transport.until(until))
        patience = Patience()
        seen: int | None = None
        look = True
        while True:
            left = LONGEST_LOOK if until is None else until - time.monotonic()
            try:
                if seen is None:
                    # First the last record, then the run: what happens after that look has a higher number.
                    tail = part(await here.records(run, tail=1), "items")
                    seen = part(tail, -1, "seq") if tail else 0
                if look and part(found := await here.get(run), "status") in FINISHED:
                    return found
                if left <= 0:
                    raise WaitTimeout(run, timeout or 0)
                wait_seconds = min(left, LONGEST_LOOK)
                news = part(await here.records(run, after=seen, limit=1000, wait_seconds=wait_seconds), "items")
                look = not news or any(str(part(record, "type")).startswith("run.") for record in news)
                seen = part(news, -1, "seq") if news else seen
                patience.there()
                at_once = look
            except (Unreachable, RequestRefused) as error:
                patience.away(error)
                if until is not None and time.monotonic() >= until:
                    raise WaitTimeout(run, timeout or 0) from None
                at_once = False
            if not at_once:
                await pause(BUSY_PAUSE)

    async def list(
        self,
        *,
        workflow: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        trigger_type: str | None = None,
        correlation_id: str | None = None,
        parent: str | None = None,
        created_after: Moment | None = None,
        created_before: Moment | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """A page of the runs, newest first; `next_cursor` leads to the next page."""
        query = _filter(workflow, status, labels, trigger_type, correlation_id, parent, created_after, created_before)
        return cast(RunPage, await self._transport.get("/runs", {**query, "cursor": cursor, "limit": limit}))

    def iterate(
        self,
        *,
        workflow: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        trigger_type: str | None = None,
        correlation_id: str | None = None,
        parent: str | None = None,
        created_after: Moment | None = None,
        created_before: Moment | None = None,
    ) -> AsyncIterator[RunView]:
        """All runs that `list` would find on its pages, newest first."""
        query = _filter(workflow, status, labels, trigger_type, correlation_id, parent, created_after, created_before)
        return self._transport.pages("/runs", query)

    async def tasks(
        self,
        run: str,
        *,
        within: str | None = None,
        status: str | Sequence[str] | None = None,
        loops: Literal["open", "closed"] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> TaskRunPage:
        """A page of the tasks of a run, in the order of the definition, iteration after iteration.

        `within` a control task (`load`) or an iteration of a loop (`load[3]`). With `loops="closed"` a loop stands for
        what is in it, and `begun` says how many of its iterations have.
        """
        query = given({"within": within, "status": word_query(status), "loops": loops})
        query |= {"cursor": cursor, "limit": limit}
        return cast(TaskRunPage, await self._transport.get(path_of("runs", run, "tasks"), query))

    def iterate_tasks(
        self,
        run: str,
        *,
        within: str | None = None,
        status: str | Sequence[str] | None = None,
        loops: Literal["open", "closed"] | None = None,
    ) -> AsyncIterator[TaskRunView]:
        """All tasks of a run that `tasks` would find on its pages."""
        query = given({"within": within, "status": word_query(status), "loops": loops})
        return self._transport.pages(path_of("runs", run, "tasks"), query)

    async def task(self, run: str, path: str) -> TaskRunView:
        """One task of a run with its rendered input and its output."""
        return cast(TaskRunView, await self._transport.get(path_of("runs", run, "tasks", path)))

    async def cancel(self, run: str, *, reason: str | None = None) -> CancelAnswer:
        """Cancel a run: what runs is stopped, `finally` tasks still run; a second cancel skips those, too."""
        path = path_of("runs", run, "cancel")
        return cast(CancelAnswer, await self._transport.send("POST", path, json_body(reason=reason)))

    async def pause(self, run: str) -> RunView:
        """Pause a run: no further task starts, what runs goes on, and its time limits do, too."""
        return cast(RunView, await self._transport.send("POST", path_of("runs", run, "pause")))

    async def resume(self, run: str) -> RunView:
        """Let a paused run go on."""
        return cast(RunView, await self._transport.send("POST", path_of("runs", run, "resume")))

    async def signal(self, run: str, name: str, data: Any = None, *, idempotency_key: str | None = None) -> RunView:
        """Send a signal to a run: tasks that wait for its name take it, else it is kept for the next one that does.

        The same `idempotency_key` (for 7 days) is the same signal; without one each call has its own.
        """
        body = Body({"name": name, "data": data, "idempotency_key": idempotency_key or str(uuid.uuid4())})
        return cast(RunView, await self._transport.send("POST", path_of("runs", run, "signal"), body, repeatable=True))

    async def retry(
        self,
        run: str,
        *,
        input: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        version: int | Literal["same", "newest"] | None = None,
        priority: int | None = None,
        confirmation: bool | None = None,
        idempotency_key: str | None = None,
        wait_seconds: float | None = None,
    ) -> RunView:
        """Do again what did not complete, in a new run that takes over the rest.

        A task that failed under `allow_failure` is taken over as failed, unless what comes before it is done again.
        For `idempotency_key` see `start`; a key belongs to the run that is repeated.
        """
        changes = _changes(input, variables, version, priority, confirmation, wait_seconds)
        return await self._repeat(path_of("runs", run, "retry"), changes, idempotency_key, wait_seconds)

    async def rerun(
        self,
        run: str,
        *,
        from_task: str | None = None,
        input: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        version: int | Literal["same", "newest"] | None = None,
        priority: int | None = None,
        confirmation: bool | None = None,
        idempotency_key: str | None = None,
        wait_seconds: float | None = None,
    ) -> RunView:
        """Do a run again in a new run: from its beginning, or from a task, taking over what does not come after it.

        For `idempotency_key` see `start`; a key belongs to the run that is repeated.
        """
        changes = _changes(input, variables, version, priority, confirmation, wait_seconds)
        changes |= given({"from_task": from_task})
        return await self._repeat(path_of("runs", run, "rerun"), changes, idempotency_key, wait_seconds)

    async def _repeat(self, path: str, changes: dict[str, Any], key: str | None, wait_seconds: float | None) -> RunView:
        body = Body({**changes, "idempotency_key": key or str(uuid.uuid4())})
        answer = await self._transport.send("POST", path, body, repeatable=True, waiting=wait_seconds or 0)
        return cast(RunView, answer)

    async def bulk(
        self,
        action: Literal["cancel", "pause", "resume", "retry"],
        filter: BulkFilter,
        *,
        all: bool | None = None,
        reason: str | None = None,
        version: int | Literal["same", "newest"] | None = None,
        dry_run: bool | None = None,
        confirmation: bool | None = None,
        again: bool | None = None,
        idempotency_key: str | None = None,
    ) -> OperationView:
        """Cancel, pause, resume or retry every run that `filter` finds. `dry_run` only counts.

        A filter without a condition means every run, and is refused without `all=True`.
        Runs of workflows that ask for a confirmation are retried with `confirmation=True` only, those retried or
        rerun before with `again=True` only. The same `idempotency_key` (for 7 days) gives the same operation; without
        one each call has its own.
        """
        body = json_body(
            action=action,
            filter=filter,
            all=all,
            reason=reason,
            version=version,
            dry_run=dry_run,
            confirmation=confirmation,
            again=again,
            idempotency_key=idempotency_key or str(uuid.uuid4()),
        )
        return cast(OperationView, await self._transport.send("POST", "/runs/bulk", body, repeatable=True))

    async def operation(self, operation: str) -> OperationView:
        """How far an operation on many runs has come."""
        return cast(OperationView, await self._transport.get(path_of("operations", operation)))


def _waiting(wait_seconds: float | None) -> dict[str, Any]:
    return {} if wait_seconds is None else {"wait": True, "wait_seconds": wait_seconds}


def _changes(
    input: Mapping[str, Any] | None,
    variables: Mapping[str, Any] | None,
    version: int | Literal["same", "newest"] | None,
    priority: int | None,
    confirmation: bool | None,
    wait_seconds: float | None,
) -> dict[str, Any]:
    """What a new run is to have other than the old one."""
    return given(
        {
            "input": input,
            "variables": variables,
            "version": version,
            "priority": priority,
            "confirmation": confirmation,
            **_waiting(wait_seconds),
        }
    )


def _filter(
    workflow: str | Sequence[str] | None,
    status: str | Sequence[str] | None,
    labels: Mapping[str, str] | None,
    trigger_type: str | None,
    correlation_id: str | None,
    parent: str | None,
    created_after: Moment | None,
    created_before: Moment | None,
) -> dict[str, Any]:
    return given(
        {
            "workflow": workflow,
            "status": word_query(status),
            "label": label_query(labels),
            "trigger_type": trigger_type,
            "correlation_id": correlation_id,
            "parent": parent,
            "created_after": created_after,
            "created_before": created_before,
        }
    )
