"""Numbered: the records of a run have seq 1, 2, 3, … in commit order and without gaps, whoever writes them."""

from dataclasses import replace
from random import Random

import pytest

from millrace.core.effects import Record
from millrace.ports.store import ClaimRequest, Conflict
from millrace.storage import tables
from tests.conformance.builders import CHAIN, TWO, Owner, claim, registered
from tests.conformance.kits import Kit


async def history(kit: Kit, run: Owner) -> list[str]:
    """The types of the run's records, after a look at their numbers."""
    rows = await kit.rows(tables.records, run_id=run.run_id)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert (await kit.row(tables.runs, id=run.run_id))["last_seq"] == len(rows)
    return [row["type"] for row in rows]


async def test_records_keep_what_they_tell(kit: Kit) -> None:
    run = Owner(kit.store, kit.clock)
    told = [Record("x.one", 5, "a", {"n": 1}), Record("x.two", 4), Record("x.three", 6, None, {"é": ["☃", None]})]
    await run.commit(replace(run.starts(), records=told))

    rows = await kit.rows(tables.records)
    assert [(row["type"], row["at"], row["path"], row["data"]) for row in rows] == [
        ("x.one", 5, "a", '{"n":1}'), ("x.two", 4, None, None), ("x.three", 6, None, '{"é":["☃",null]}'),
    ]  # fmt: skip


async def test_a_claim_and_a_commit_write_into_one_sequence(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, CHAIN).start()
    await claim(kit.store, worker)
    await run.fold(run.completes("a"))

    assert await history(kit, run) == [
        "run.created", "run.started", "task.scheduled", "task.started", "task.completed", "task.scheduled",
    ]  # fmt: skip


async def test_an_inline_claim_is_told_in_place_of_the_scheduling(kit: Kit) -> None:
    worker = await registered(kit.store)
    run = await Owner(kit.store, kit.clock, CHAIN).start(claimed_by=worker)
    await run.fold(run.completes("a"), claimed_by=worker)

    assert await history(kit, run) == [
        "run.created", "run.started", "task.started", "task.completed", "task.started",
    ]  # fmt: skip
    rows = await kit.rows(tables.records, type="task.started")
    assert [(row["path"], row["data"]) for row in rows] == [
        (path, f'{{"attempt":1,"worker":"{worker}"}}') for path in ("a", "b")
    ]


async def test_a_refused_change_leaves_no_gap(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    change = run.folds(run.completes("a"))
    assert (await kit.store.commit([replace(change, revision=4)])).changes == (Conflict(run.run_id),)
    await kit.store.commit([replace(change, ended=[replace(change.ended[0], token="")])])

    await run.commit(change)

    assert await history(kit, run) == [
        "run.created", "run.started", "task.scheduled", "task.scheduled", "task.completed",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_batches_of_many_runs_number_each_run_by_itself(kit: Kit, seed: int) -> None:
    chance = Random(seed)
    worker = await registered(kit.store)
    runs = [Owner(kit.store, kit.clock) for _ in range(6)]
    await kit.store.commit([start for run in runs if (start := run.starts()) and run.took(start) is None])
    expected = {run.run_id: await history(kit, run) for run in runs}
    for step in range(25):
        batch = chance.sample(runs, chance.randint(1, len(runs)))
        changes = []
        for run in batch:
            told = [Record(f"x.{step}.{n}", kit.clock.now()) for n in range(chance.randint(0, 4))]
            changes.append(replace(run.folds(), records=told))
            expected[run.run_id] += [record.type for record in told]
        claiming = ClaimRequest(worker, ("default",), 1) if chance.random() < 0.3 else None
        reply = await kit.store.commit(changes, claiming)
        for run, change in zip(batch, changes, strict=True):
            run.took(change)
        for attempt in reply.claimed:
            expected[attempt.run_id].append("task.started")

    for run in runs:
        assert await history(kit, run) == expected[run.run_id]
