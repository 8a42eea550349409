"""The database's own rules, tried by writing behind the store's back: they hold even if the store has a defect."""

import pytest
from sqlalchemy import Table, insert, update
from sqlalchemy.exc import IntegrityError

from millrace.core.states import FINISHED_ATTEMPT, FINISHED_RUN, FINISHED_TASK, AttemptStatus, RunStatus, TaskStatus
from millrace.storage import tables
from tests.conformance.builders import TWO, Owner
from tests.conformance.kits import WORKFLOW, Kit

FINISHED = {
    tables.runs: (RunStatus, FINISHED_RUN),
    tables.task_runs: (TaskStatus, FINISHED_TASK),
    tables.attempts: (AttemptStatus, FINISHED_ATTEMPT),
}
CASES = [
    pytest.param(table, status, status in finished, id=f"{table.name}-{status.value}")
    for table, (statuses, finished) in FINISHED.items()
    for status in statuses
]


@pytest.mark.parametrize(("table", "status", "finished"), CASES)
async def test_finished_at_is_set_exactly_when_the_status_is_terminal(
    kit: Kit, table: Table, status: str, finished: bool
) -> None:
    await Owner(kit.store, kit.clock).start()
    wrong, right = (None, 1) if finished else (1, None)

    with pytest.raises(IntegrityError):
        await kit.write(update(table).values(status=status, finished_at=wrong))
    await kit.write(update(table).values(status=status, finished_at=right))

    assert (await kit.row(table))["finished_at"] == right


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (tables.runs, "status"), (tables.runs, "phase"), (tables.runs, "outcome"), (tables.task_runs, "status"),
        (tables.attempts, "status"),
    ],
    ids=lambda one: getattr(one, "name", one),
)  # fmt: skip
async def test_a_name_that_is_no_state_cannot_be_written(kit: Kit, table: Table, column: str) -> None:
    await Owner(kit.store, kit.clock).start()

    with pytest.raises(IntegrityError):
        await kit.write(update(table).values({column: "sleeping"}))


async def test_the_outcome_of_a_run_is_terminal(kit: Kit) -> None:
    await Owner(kit.store, kit.clock).start()

    with pytest.raises(IntegrityError):
        await kit.write(update(tables.runs).values(outcome="running"))
    await kit.write(update(tables.runs).values(outcome="failed"))


@pytest.mark.parametrize("status", ["scheduled", "running"])
async def test_a_task_run_has_at_most_one_live_attempt(kit: Kit, status: str) -> None:
    run = await Owner(kit.store, kit.clock, TWO).start()
    first = await kit.row(tables.attempts, path="a")
    second = {**first, "number": 2, "token": "another", "status": status}

    with pytest.raises(IntegrityError):
        await kit.write(insert(tables.attempts).values(second))
    await kit.write(insert(tables.attempts).values({**second, "status": "failed", "finished_at": 1}))
    await run.fold(run.completes("a"))
    await kit.write(insert(tables.attempts).values({**second, "number": 3}))

    statuses = [row["status"] for row in await kit.rows(tables.attempts, path="a")]
    assert statuses == ["completed", "failed", status]


@pytest.mark.parametrize(
    "table", [tables.records, tables.attempts, tables.task_runs, tables.runs], ids=lambda t: t.name
)
async def test_no_row_of_a_run_is_there_twice(kit: Kit, table: Table) -> None:
    await Owner(kit.store, kit.clock).start()
    row = (await kit.rows(table))[0]

    with pytest.raises(IntegrityError):
        await kit.write(insert(table).values(row))


async def test_a_log_has_a_level_that_exists(kit: Kit) -> None:
    row = {"run_id": "r", "seq": 1, "text": "x", "at": 1}

    with pytest.raises(IntegrityError):
        await kit.write(insert(tables.logs).values({**row, "level": "loud"}))
    await kit.write(insert(tables.logs).values({**row, "level": "info"}))


async def test_live_workflows_have_names_of_their_own_and_deleted_ones_give_theirs_back(kit: Kit) -> None:
    first = await kit.row(tables.workflows)
    for other in ({"slug": "other"}, {"name": "other"}):
        with pytest.raises(IntegrityError):
            await kit.write(insert(tables.workflows).values({**first, "id": "workflow-2", **other}))

    await kit.write(update(tables.workflows).values(deleted_at=1))
    await kit.write(insert(tables.workflows).values({**first, "id": "workflow-2"}))

    assert len(await kit.rows(tables.workflows, name=first["name"])) == 2
    version = await kit.row(tables.workflow_versions)
    assert version["workflow_id"] == WORKFLOW
    with pytest.raises(IntegrityError):
        await kit.write(insert(tables.workflow_versions).values({**version, "id": "version-2"}))
