"""Log lines: numbered per run by the database, whether they come along the way or with an outcome."""

from dataclasses import replace

import pytest

from millrace.ports.store import Conflict, LogLine, Rejected
from millrace.storage import tables
from tests.conformance.builders import IDS, TWO, Owner, log_line
from tests.conformance.kits import Kit


async def lines(kit: Kit, run: Owner) -> list[str]:
    """The run's lines, after a look at their numbers."""
    rows = await kit.rows(tables.logs, run_id=run.run_id)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert (await kit.row(tables.runs, id=run.run_id))["last_log"] == len(rows)
    return [row["text"] for row in rows]


async def test_a_line_keeps_all_it_says(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    told = [
        LogLine(run.run_id, "a", 2, 17, "warning", "Zoë ☃\n" * 1000, {"n": [1, None]}),
        LogLine(run.run_id, None, None, 16, "error", ""),
    ]
    await kit.store.append_logs(told)

    rows = await kit.rows(tables.logs)
    assert [(row["path"], row["attempt"], row["at"], row["level"], row["text"], row["metadata"]) for row in rows] == [
        ("a", 2, 17, "warning", "Zoë ☃\n" * 1000, '{"n":[1,null]}'),
        (None, None, 16, "error", "", None),
    ]


async def test_lines_are_numbered_for_each_run_by_itself_over_calls_and_commits(kit: Kit) -> None:
    run, other = [await Owner(kit.store, kit.clock, TWO).start() for _ in range(2)]
    await kit.store.append_logs(
        [log_line(run.run_id, "1"), log_line(other.run_id, "x"), log_line(run.run_id, "2"), log_line(run.run_id, "3")]
    )
    await run.fold(run.completes("a", logs=[log_line(run.run_id, "4"), log_line(run.run_id, "5")]))
    await kit.store.append_logs([log_line(run.run_id, "6"), log_line(other.run_id, "y")])

    assert await lines(kit, run) == ["1", "2", "3", "4", "5", "6"]
    assert await lines(kit, other) == ["x", "y"]


async def test_lines_of_a_commit_become_visible_together_with_the_outcome(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    change = run.folds(run.completes("a", logs=[log_line(run.run_id, "last words")]))

    assert (await kit.store.commit([replace(change, revision=8)])).changes == (Conflict(run.run_id),)
    fenced = replace(change, ended=[replace(change.ended[0], token="")])
    assert isinstance((await kit.store.commit([fenced])).changes[0], Rejected)
    assert await lines(kit, run) == []

    await run.commit(change)
    assert await lines(kit, run) == ["last words"]
    assert (await kit.row(tables.task_runs))["status"] == "completed"


async def test_a_new_run_may_bring_lines(kit: Kit) -> None:
    run = Owner(kit.store, kit.clock)
    await run.commit(replace(run.starts(), logs=[log_line(run.run_id, "hello")]))
    await kit.store.append_logs([log_line(run.run_id, "again")])

    assert await lines(kit, run) == ["hello", "again"]


async def test_a_run_that_has_finished_still_takes_late_lines_and_an_unknown_one_none(kit: Kit) -> None:
    run = await Owner(kit.store, kit.clock).start()
    await run.fold(run.completes("a"))

    await kit.store.append_logs([log_line(IDS.new(), "lost"), log_line(run.run_id, "late")])
    await kit.store.append_logs([])

    assert [row["text"] for row in await kit.rows(tables.logs)] == ["late"]
    assert await lines(kit, run) == ["late"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
async def test_every_level_is_stored(kit: Kit, level: str) -> None:
    run = await Owner(kit.store, kit.clock).start()
    await kit.store.append_logs([log_line(run.run_id, "x", level=level)])

    assert (await kit.row(tables.logs))["level"] == level
