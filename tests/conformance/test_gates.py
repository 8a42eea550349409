"""Atomic and gated: what decides whether a change is written, and that all of it is written or nothing."""

from dataclasses import replace

import pytest

from millrace.core.effects import Record
from millrace.core.events import PauseRequested, TimerKind
from millrace.core.values import SECOND
from millrace.ports.store import AlreadyStarted, Committed, Conflict, Rejected, RunChange
from millrace.storage import tables
from tests.conformance.builders import CHAIN, TWO, Owner, inbox_item, log_line, plan_of, start_key, task
from tests.conformance.kits import Kit

WRITTEN = (
    tables.runs, tables.task_runs, tables.attempts, tables.records, tables.timers, tables.inbox, tables.logs,
    tables.start_keys,
)  # fmt: skip


async def snapshot(kit: Kit) -> dict[str, list[dict[str, object]]]:
    """Everything that commits write."""
    return {table.name: await kit.rows(table) for table in WRITTEN}


def owner(kit: Kit, *args: object, **fields: object) -> Owner:
    return Owner(kit.store, kit.clock, *args, **fields)


async def full_change(kit: Kit, run: Owner) -> RunChange:
    """A change of a running run that writes to every table there is."""
    worker_report = run.completes("a", output={"n": 1}, logs=[log_line(run.run_id, "last words")])
    item = inbox_item(run.run_id, "pause")
    await kit.store.post([item])
    change = run.folds(worker_report)
    return replace(change, inbox_done=[item.id], timers=[(TimerKind.RUN_TIMEOUT, kit.clock.now() + SECOND)])


async def test_a_change_is_written_to_every_table_at_once(kit: Kit) -> None:
    run = await owner(kit, CHAIN).start()

    await run.commit(await full_change(kit, run))

    assert (await kit.row(tables.runs))["revision"] == 2
    tasks = {row["path"]: row["status"] for row in await kit.rows(tables.task_runs)}
    assert tasks == {"a": "completed", "b": "ready", "c": "pending"}
    attempts = {(row["path"], row["number"]): row["status"] for row in await kit.rows(tables.attempts)}
    assert attempts == {("a", 1): "completed", ("b", 1): "scheduled"}
    assert [row["type"] for row in await kit.rows(tables.records)] == [
        "run.created", "run.started", "task.scheduled", "task.completed", "task.scheduled",
    ]  # fmt: skip
    assert [row["kind"] for row in await kit.rows(tables.timers)] == ["run_timeout"]
    assert [row["text"] for row in await kit.rows(tables.logs)] == ["last words"]
    assert await kit.rows(tables.inbox) == []


async def test_a_stale_revision_is_a_conflict_and_nothing_of_the_change_is_written(kit: Kit) -> None:
    run = await owner(kit, CHAIN).start()
    change = await full_change(kit, run)
    before = await snapshot(kit)

    for revision in (0, 2, 7):
        reply = await kit.store.commit([replace(change, revision=revision)])
        assert reply.changes == (Conflict(run.run_id),)
        assert await snapshot(kit) == before


@pytest.mark.parametrize("header_changed", [True, False])
async def test_the_gate_holds_whether_or_not_the_header_changed(kit: Kit, header_changed: bool) -> None:
    run = await owner(kit, CHAIN).start()
    change = replace(run.folds(run.completes("a")), header_changed=header_changed)

    assert isinstance((await kit.store.commit([change])).changes[0], Committed)
    after = await snapshot(kit)
    assert (await kit.store.commit([change])).changes == (Conflict(run.run_id),)
    assert await snapshot(kit) == after


async def test_a_change_of_a_run_that_does_not_exist_is_a_conflict(kit: Kit) -> None:
    run = owner(kit, CHAIN)
    run.took(run.starts())

    assert (await kit.store.commit([run.folds(run.completes("a"))])).changes == (Conflict(run.run_id),)
    assert await kit.rows(tables.task_runs) == []


async def test_a_refused_change_does_not_hinder_the_others_of_its_batch(kit: Kit) -> None:
    first, stale, last = [await owner(kit).start() for _ in range(3)]
    newcomer = owner(kit)
    changes = [
        first.folds(first.completes("a")),
        replace(stale.folds(stale.completes("a")), revision=9),
        newcomer.starts(),
        last.folds(last.completes("a")),
    ]

    reply = await kit.store.commit(changes)

    assert reply.changes == (
        Committed(first.run_id), Conflict(stale.run_id), Committed(newcomer.run_id), Committed(last.run_id),
    )  # fmt: skip
    statuses = {row["id"]: row["status"] for row in await kit.rows(tables.runs)}
    assert statuses == {
        first.run_id: "completed", stale.run_id: "running", newcomer.run_id: "running", last.run_id: "completed",
    }  # fmt: skip


async def test_a_new_run_whose_row_is_there_already_is_answered_with_itself(kit: Kit) -> None:
    for fields in ({}, {"start_key": start_key(expires_at=kit.clock.now() + SECOND)}):
        run = owner(kit, **fields)
        change = run.starts()
        await kit.store.commit([change])
        after = await snapshot(kit)

        reply = await kit.store.commit([replace(change, records=[Record("run.created", 0)])])

        assert reply.changes == (AlreadyStarted(run.run_id, run.run_id, same_request=True),)
        assert await snapshot(kit) == after


async def test_a_run_that_is_there_is_itself_even_when_its_start_key_passed_to_another(kit: Kit) -> None:
    run = owner(kit, start_key=start_key(expires_at=kit.clock.now() + SECOND))
    change = run.starts()
    await kit.store.commit([change])
    kit.clock.advance(SECOND)

    after = await snapshot(kit)
    assert (await kit.store.commit([change])).changes == (AlreadyStarted(run.run_id, run.run_id, same_request=True),)
    assert await snapshot(kit) == after

    heir = owner(kit, start_key=start_key(expires_at=kit.clock.now() + SECOND, request="hash-2"))
    await heir.start()
    assert (await kit.store.commit([change])).changes == (AlreadyStarted(run.run_id, run.run_id, same_request=True),)
    assert (await kit.row(tables.start_keys))["run_id"] == heir.run_id


@pytest.mark.parametrize("request_hash", ["hash-1", "hash-2"])
async def test_a_taken_start_key_names_its_run_and_whether_the_request_is_the_same(kit: Kit, request_hash: str) -> None:
    expires_at = kit.clock.now() + SECOND
    first = await owner(kit, start_key=start_key(expires_at=expires_at)).start()
    before = await snapshot(kit)

    second = owner(kit, start_key=start_key(expires_at=expires_at, request=request_hash))
    reply = await kit.store.commit([second.starts()])

    assert reply.changes == (AlreadyStarted(second.run_id, first.run_id, same_request=request_hash == "hash-1"),)
    assert await snapshot(kit) == before


async def test_of_two_starts_with_one_key_in_one_batch_the_first_wins(kit: Kit) -> None:
    key = start_key(expires_at=kit.clock.now() + SECOND)
    first, second = owner(kit, start_key=key), owner(kit, start_key=key)

    reply = await kit.store.commit([first.starts(), second.starts()])

    assert reply.changes == (Committed(first.run_id), AlreadyStarted(second.run_id, first.run_id, same_request=True))
    assert [row["id"] for row in await kit.rows(tables.runs)] == [first.run_id]


async def test_a_key_whose_holder_was_rejected_is_free_for_the_next_of_the_batch(kit: Kit) -> None:
    key = start_key(expires_at=kit.clock.now() + SECOND)
    bad, good = owner(kit, start_key=key), owner(kit, start_key=key)

    reply = await kit.store.commit([poisonous(bad.starts()), good.starts()])

    assert isinstance(reply.changes[0], Rejected)
    assert reply.changes[1] == Committed(good.run_id)
    assert (await kit.row(tables.start_keys))["run_id"] == good.run_id


async def test_a_start_key_is_free_again_once_it_expired_by_the_stores_clock(kit: Kit) -> None:
    first = await owner(kit, start_key=start_key(expires_at=kit.clock.now() + SECOND)).start()
    kit.clock.advance(SECOND - 1)
    early = owner(kit, start_key=start_key(expires_at=kit.clock.now() + SECOND))
    assert (await kit.store.commit([early.starts()])).changes == (
        AlreadyStarted(early.run_id, first.run_id, same_request=True),
    )

    kit.clock.advance(1)
    late = await owner(kit, start_key=start_key(expires_at=kit.clock.now() + SECOND, request="hash-2")).start()

    row = await kit.row(tables.start_keys)
    assert (row["run_id"], row["request_hash"]) == (late.run_id, "hash-2")
    assert row["expires_at"] == kit.clock.now() + SECOND


async def test_start_keys_of_other_namespaces_scopes_and_spellings_are_other_keys(kit: Kit) -> None:
    key = start_key(expires_at=kit.clock.now() + SECOND)
    keys = [key, replace(key, namespace="trigger"), replace(key, scope="other"), replace(key, key="ORDER-1")]

    reply = await kit.store.commit([owner(kit, start_key=one).starts() for one in keys])

    assert all(isinstance(one, Committed) for one in reply.changes)


def poisonous(change: RunChange) -> RunChange:
    """The change with a row at its end that no database takes."""
    return replace(change, records=[*change.records, Record(None, 0)])  # type: ignore[arg-type]


POISONS = {
    "a record without a type": poisonous,
    "a level that does not exist": lambda change: replace(change, logs=[log_line(change.run.id, "x", level="loud")]),
    "a second live attempt": lambda change: replace(
        change, scheduled=[*change.scheduled, *(replace(one, number=99) for one in change.scheduled)]
    ),
    "an integer beyond 64 bits": lambda change: replace(change, records=[Record("x", 2**63)]),
    "a value that is not JSON": lambda change: replace(change, records=[Record("x", 0, None, {"a": 2**64})]),
    "an object where text belongs": lambda change: replace(change, records=[Record("x", 0, {"a": 1})]),  # type: ignore[arg-type]
    "a lone surrogate": lambda change: replace(change, records=[Record("\ud800", 0)]),
}


@pytest.mark.parametrize("poison", POISONS)
async def test_a_poisonous_row_rejects_its_own_change_and_the_rest_is_written(kit: Kit, poison: str) -> None:
    first, sick, last = [await owner(kit, CHAIN).start() for _ in range(3)]
    before = await kit.rows(tables.records, run_id=sick.run_id)

    reply = await kit.store.commit(
        [
            first.folds(first.completes("a")),
            POISONS[poison](sick.folds(sick.completes("a"))),
            last.folds(last.completes("a")),
        ]
    )

    assert [type(one) for one in reply.changes] == [Committed, Rejected, Committed]
    assert isinstance(reply.changes[1], Rejected)
    assert reply.changes[1].reason
    revisions = {row["id"]: row["revision"] for row in await kit.rows(tables.runs)}
    assert revisions == {first.run_id: 2, sick.run_id: 1, last.run_id: 2}
    assert await kit.rows(tables.records, run_id=sick.run_id) == before
    assert len(await kit.rows(tables.records, run_id=last.run_id)) == 5
    assert (await kit.row(tables.attempts, run_id=sick.run_id))["status"] == "scheduled"


async def test_a_run_can_go_on_after_a_change_of_it_was_rejected(kit: Kit) -> None:
    run = await owner(kit).start()
    change = run.folds(run.completes("a"))

    assert isinstance((await kit.store.commit([poisonous(change)])).changes[0], Rejected)
    await run.commit(change)

    assert [row["seq"] for row in await kit.rows(tables.records)] == [1, 2, 3, 4, 5]


async def test_an_ordinary_step_leaves_the_runs_own_columns_alone(kit: Kit) -> None:
    run = await owner(kit, TWO).start()
    before = await kit.row(tables.runs)
    change = run.folds(run.completes("a"))
    assert change.header_changed is False
    lying = replace(change.run, status="failed", cancels=9, started_at=1, finished_at=2)

    await kit.store.commit([replace(change, run=lying, output={"x": 1}, cancelled_by="somebody")])

    counters = {"revision": 2, "last_seq": before["last_seq"] + 1}
    assert await kit.row(tables.runs) == {**before, **counters}


async def test_a_changed_header_is_written(kit: Kit) -> None:
    run = await owner(kit, TWO).start()
    await run.fold(PauseRequested("me"))

    row = await kit.row(tables.runs)
    assert (row["status"], row["revision"], row["finished_at"]) == ("paused", 2, None)


async def test_the_output_is_written_when_the_run_completes(kit: Kit) -> None:
    run = await owner(kit, plan_of(task("a"))).start()
    kit.clock.advance(SECOND)

    await run.commit(replace(run.folds(run.completes("a")), output={"total": 7}))

    row = await kit.row(tables.runs)
    assert (row["status"], row["output"], row["finished_at"]) == ("completed", '{"total":7}', kit.clock.now())
    await run.commit(replace(run.folds(), header_changed=True))
    assert (await kit.row(tables.runs))["output"] == '{"total":7}'


async def test_an_empty_commit_is_nothing_at_all(kit: Kit) -> None:
    before = await snapshot(kit)
    reply = await kit.store.commit([])
    assert (reply.changes, reply.claimed) == ((), ())
    assert await snapshot(kit) == before
