"""Runs under a limit start when there is room: the most urgent first, then the oldest; occupancy is counted."""

from typing import Any

from tests.integration.engine.rules.rules_kit import Kit, task, until

LIMITED: dict[str, Any] = {"admission_key": "k", "admission_limit": 1}


async def test_a_limit_of_one_lets_runs_through_one_by_one_in_order_of_priority(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    names = ["first", "low", "high", "also high"]
    ids: dict[str, str] = {}
    for name, priority in zip(names, [0, 0, 5, 5], strict=True):
        ids[name] = await kit.start(task("a", type="hang"), of_run=LIMITED | {"priority": priority})
        await _admit(kit)
    for expected in ["first", "high", "also high", "low"]:
        await _admit(kit)
        await until(lambda: hanging.running == 1)
        at_work = [name for name in names if await kit.status(ids[name]) == "running"]
        assert at_work == [expected]
        await _admit(kit)
        assert await kit.status(ids[expected]) == "running"
        assert hanging.running == 1
        await kit.post(ids[expected], "cancel")
        await kit.ends(ids[expected])


async def test_a_run_cancelled_before_its_admission_takes_no_place(kit: Kit) -> None:
    hanging = kit.hangs("hang")
    first = await kit.start(task("a", type="hang"), of_run=LIMITED)
    second = await kit.start(task("a"), of_run=LIMITED)
    await kit.post(second, "cancel")
    await kit.ends(second)
    await _admit(kit)
    await until(lambda: hanging.running)
    third = await kit.start(task("a"), of_run=LIMITED)
    await _admit(kit)
    assert await kit.status(third) == "pending"
    hanging.go.set()
    await kit.ends(first)
    await _admit(kit)
    assert (await kit.ends(third)).status == "completed"


async def test_a_run_paused_before_its_admission_is_passed_over_until_it_is_resumed(kit: Kit) -> None:
    paused = await kit.start(task("a"), of_run=LIMITED)
    await kit.post(paused, "pause")
    await kit.settled()
    other = await kit.start(task("a"), of_run=LIMITED)
    await _admit(kit)
    assert (await kit.ends(other)).status == "completed"
    assert await kit.status(paused) == "paused"
    await kit.post(paused, "resume")
    await kit.settled()
    await _admit(kit)
    assert (await kit.ends(paused)).status == "completed"


async def test_an_admission_that_was_only_written_down_is_found_again(kit: Kit) -> None:
    run_id = await kit.start(task("a"), of_run=LIMITED)
    assert await kit.store.admit(10) == [run_id]
    assert await kit.store.admit(10) == []
    await kit.here.inbox.run_once()
    assert (await kit.ends(run_id)).status == "completed"


async def _admit(kit: Kit) -> None:
    await kit.here.admission.run_once()
    await kit.here.inbox.run_once()
    await kit.settled()
