"""Attempts under way: fenced ends, and withdrawals that win or lose against a claim."""

from dataclasses import replace

import pytest

from millrace.core.events import AttemptWithdrawn, CancelRequested, PauseRequested
from millrace.core.failures import Failure, FailureKind
from millrace.core.plan import RetryPlan
from millrace.core.states import AttemptStatus
from millrace.core.values import SECOND
from millrace.engine.cell import Mail
from millrace.ports.store import ClaimRequest, Committed, EndedAttempt, InboxItem, Rejected
from millrace.storage import tables
from tests.conformance.builders import CHAIN, ONE, TWO, Owner, claim, plan_of, registered, task
from tests.conformance.kits import Kit

# --- ends -------------------------------------------------------------------------------------------------------------


async def test_an_end_with_a_wrong_token_is_rejected_alone_and_the_others_are_written(kit: Kit) -> None:
    first, fenced, last = [await Owner(kit.store, kit.clock, CHAIN).start() for _ in range(3)]
    change = fenced.folds(fenced.completes("a", output={"stolen": True}))
    wrong = replace(change, ended=[replace(change.ended[0], token=first.token("a"))])

    reply = await kit.store.commit([first.folds(first.completes("a")), wrong, last.folds(last.completes("a"))])

    assert [type(one) for one in reply.changes] == [Committed, Rejected, Committed]
    assert {row["id"]: row["revision"] for row in await kit.rows(tables.runs)} == {
        first.run_id: 2, fenced.run_id: 1, last.run_id: 2,
    }  # fmt: skip
    (attempt,) = await kit.rows(tables.attempts, run_id=fenced.run_id)
    assert (attempt["status"], attempt["finished_at"]) == ("scheduled", None)
    assert (await kit.row(tables.task_runs, run_id=fenced.run_id, path="a"))["output"] is None
    assert len(await kit.rows(tables.records, run_id=fenced.run_id)) == 3


async def test_one_fenced_end_rejects_all_of_its_change(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    change = run.folds(run.completes("a"), run.completes("b"))
    wrong = replace(change, ended=[change.ended[0], replace(change.ended[1], token=run.token("a"))])

    assert isinstance((await kit.store.commit([wrong])).changes[0], Rejected)

    assert {row["status"] for row in await kit.rows(tables.attempts)} == {"scheduled"}
    assert (await kit.row(tables.runs))["status"] == "running"


async def test_an_attempt_ends_once(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    change = run.folds(run.completes("a"))
    await run.commit(change)
    kit.clock.advance(SECOND)

    again = replace(change, revision=2, ended=[replace(change.ended[0], status=AttemptStatus.FAILED)])
    assert isinstance((await kit.store.commit([again])).changes[0], Rejected)

    attempt = await kit.row(tables.attempts, path="a")
    assert (attempt["status"], attempt["finished_at"]) == ("completed", kit.clock.now() - SECOND)


async def test_an_end_of_an_attempt_that_never_was_is_rejected(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    change = run.folds(run.completes("a"))
    unknown = replace(change, ended=[replace(change.ended[0], number=2)])

    assert isinstance((await kit.store.commit([unknown])).changes[0], Rejected)


async def test_an_end_that_no_worker_reports_needs_no_token_but_a_live_attempt(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock).start(claimed_by=worker)
    change = run.folds(run.loses("a"))
    assert change.ended == [EndedAttempt("a", 1, None, AttemptStatus.LOST)]
    await run.commit(change)

    attempts = await kit.rows(tables.attempts)
    assert [(row["number"], row["status"]) for row in attempts] == [(1, "lost"), (2, "scheduled")]
    late = replace(change, revision=2, scheduled=[])
    assert isinstance((await kit.store.commit([late])).changes[0], Rejected)


async def test_a_failed_attempt_keeps_its_failure_and_the_next_one_is_a_row_of_its_own(kit: Kit) -> None:
    plan = plan_of(task("a", retry=RetryPlan(max_attempts=2, delay=5 * SECOND), queue="slow", timeout=SECOND))
    run = await Owner(kit.store, kit.clock, plan, priority=4).start()
    first_token = run.token("a")
    failure = Failure(FailureKind.TIMEOUT, "too slow", {"after": 1})
    await run.fold(run.fails("a", failure=failure))

    first, second = await kit.rows(tables.attempts)
    assert (first["status"], first["token"], first["finished_at"]) == ("failed", first_token, kit.clock.now())
    assert first["error"] == '{"kind":"timeout","message":"too slow","details":{"after":1}}'
    assert (second["number"], second["status"], second["available_at"]) == (
        2, "scheduled", kit.clock.now() + 5 * SECOND,
    )  # fmt: skip
    assert (second["queue"], second["priority"], second["timeout_us"]) == ("slow", 4, SECOND)
    assert second["token"] == run.token("a", 2) != first_token
    row = await kit.row(tables.task_runs)
    assert (row["status"], row["failures"], row["attempt"], row["input"]) == ("ready", 1, 2, '{"of":"a"}')


async def test_an_attempt_that_was_claimed_ends_with_its_token_too(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock).start()
    await claim(kit.store, worker)

    await run.fold(run.completes("a", output=[1]))

    attempt = await kit.row(tables.attempts)
    assert (attempt["status"], attempt["incarnation_id"]) == ("completed", worker)
    row = await kit.row(tables.task_runs)
    assert (row["status"], row["output"], row["worker"]) == ("completed", "[1]", worker)


# --- withdrawals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [PauseRequested(), CancelRequested()])
async def test_what_no_worker_claimed_is_withdrawn_and_told_in_the_reply_and_the_inbox(
    kit: Kit, request_: PauseRequested | CancelRequested
) -> None:
    run = await Owner(kit.store, kit.clock, CHAIN).start()

    reply = await run.fold(request_)

    (item,) = reply.withdrawn
    assert (item.run_id, item.kind, item.data) == (run.run_id, "attempt_withdrawn", {"path": "a", "number": 1})
    assert await kit.store.read_inbox(10) == [item]
    attempt = await kit.row(tables.attempts)
    assert (attempt["status"], attempt["finished_at"]) == ("cancelled", kit.clock.now())


@pytest.mark.parametrize("request_", [PauseRequested(), CancelRequested()])
async def test_a_claim_that_was_first_wins_against_the_withdrawal(
    kit: Kit, request_: PauseRequested | CancelRequested
) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, CHAIN).start()
    await claim(kit.store, worker)

    reply = await run.fold(request_)

    assert reply.withdrawn == ()
    assert await kit.store.read_inbox(10) == []
    attempt = await kit.row(tables.attempts)
    assert (attempt["status"], attempt["finished_at"]) == ("running", None)


async def test_a_withdrawal_that_was_first_wins_against_the_claim_of_the_same_commit(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, TWO).start()
    other = await Owner(kit.store, kit.clock).start()

    reply = await kit.store.commit([run.folds(PauseRequested())], ClaimRequest(worker, ("default",), 10))

    (committed,) = reply.changes
    assert isinstance(committed, Committed)
    assert [item.data["path"] for item in committed.withdrawn] == ["a", "b"]
    assert [one.run_id for one in reply.claimed] == [other.run_id]


async def test_a_withdrawal_takes_back_what_the_same_change_has_scheduled(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, CHAIN).start()

    reply = await run.fold(run.completes("a"), PauseRequested())

    assert [item.data for item in reply.withdrawn] == [{"path": "b", "number": 1}]
    statuses = {row["path"]: row["status"] for row in await kit.rows(tables.attempts)}
    assert statuses == {"a": "completed", "b": "cancelled"}


async def test_a_withdrawn_attempt_goes_on_through_its_inbox_row(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, ONE).start()
    (item,) = (await run.fold(CancelRequested())).withdrawn

    await run.fold(Mail(AttemptWithdrawn("a", 1), inbox_id=item.id))

    assert await kit.store.read_inbox(10) == []
    assert (await kit.row(tables.runs))["status"] == "cancelled"


async def test_withdrawing_again_or_what_has_ended_or_never_was_does_nothing(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    await run.fold(run.completes("a"))
    first = await run.fold(PauseRequested())
    change = replace(run.folds(), withdraw=[("a", 1), ("b", 1), ("b", 2), ("z", 1)])

    reply = await run.commit(change)

    assert reply.withdrawn == ()
    assert await kit.store.read_inbox(10) == list(first.withdrawn)


async def test_nothing_is_withdrawn_by_a_change_that_is_refused(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    change = run.folds(PauseRequested())

    await kit.store.commit([replace(change, revision=5)])

    assert await kit.store.read_inbox(10) == []
    assert {row["status"] for row in await kit.rows(tables.attempts)} == {"scheduled"}


async def test_a_withdrawal_survives_another_change_that_is_rejected(kit: Kit) -> None:
    run, fenced = [await Owner(kit.store, kit.clock).start() for _ in range(2)]
    change = fenced.folds(fenced.completes("a"))
    wrong = replace(change, ended=[replace(change.ended[0], token="")])

    reply = await kit.store.commit([run.folds(PauseRequested()), wrong])

    committed = reply.changes[0]
    assert isinstance(committed, Committed)
    (item,) = committed.withdrawn
    assert isinstance(item, InboxItem)
    assert await kit.store.read_inbox(10) == [item]
