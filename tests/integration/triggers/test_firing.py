"""S1: each due time starts exactly one run, at its time, with what the trigger says."""

import asyncio
from collections.abc import Sequence

import orjson

from millrace.app.firing.scheduler import PATIENCE
from millrace.core.values import JsonValue
from millrace.definition.expressions.evaluator import CelEvaluator
from millrace.ports.evaluator import Scope
from millrace.ports.store import ClaimRequest, CommitReply, RunChange
from tests.support.stores import OverStore
from tests.support.trigger_kit import Process, TriggerKit, cron, definition


async def test_each_due_time_starts_one_run_at_its_time(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("*/15 * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T13:00:01Z")
    assert await kit.started() == [
        "2026-03-01T12:15:00+00:00", "2026-03-01T12:30:00+00:00", "2026-03-01T12:45:00+00:00",
        "2026-03-01T13:00:00+00:00",
    ]  # fmt: skip
    for firing in await kit.firings():
        assert firing["at"][:19] == firing["due_at"][:19], "it fired at its time"
    shown = await kit.trigger()
    assert shown["counts"] == {"fired": 4, "started": 4, "failed": 0, "missed": 0}
    assert shown["next_firing"]["due_at"] == "2026-03-01T13:15:00.000000Z"
    assert shown["last_firing"]["run_id"] == (await kit.firings())[-1]["run_id"]


async def test_a_run_knows_when_it_was_due_in_the_zone_of_its_trigger(kit: TriggerKit, process: Process) -> None:
    trigger = cron("30 22 * * *", timezone="Asia/Tokyo") | {
        "input": {"day": "{{ trigger.due_date }}", "at": "{{ trigger.due_time }}", "region": "{{ variables.region }}"},
        "if": "{{ trigger.due_time == '22:30:00' && variables.region == 'jp' }}",
    }
    await process.deploy(definition(trigger, variables={"region": "jp"}))
    process.schedule()
    await kit.sleep_until("2026-03-01T13:30:01Z")
    ((run,),) = [await kit.rows("select trigger_type, trigger_id, triggered_by, trigger_data, input from runs")]
    shown = await kit.trigger()
    assert (run.trigger_type, run.trigger_id, run.triggered_by) == ("cron", shown["id"], None)
    assert orjson.loads(run.input) == {"day": "2026-03-01", "at": "22:30:00", "region": "jp"}
    told = orjson.loads(run.trigger_data)
    assert told.pop("time")[:19] == "2026-03-01T13:30:00"
    assert told == {
        "id": "clock",
        "type": "cron",
        "due_at": "2026-03-01T22:30:00+09:00",
        "due_date": "2026-03-01",
        "due_time": "22:30:00",
        "backfill": None,
    }
    assert shown["next_firing"] == {
        "due_at": "2026-03-02T13:30:00.000000Z",
        "local": "2026-03-02T22:30:00+09:00",
        "timezone": "Asia/Tokyo",
        "starts_at": "2026-03-02T13:30:00.000000Z",
    }


async def test_an_interval_fires_at_equal_steps_until_its_end(kit: TriggerKit, process: Process) -> None:
    config = {"every": "20m", "anchor": "2026-03-01T00:05:00Z", "end": "2026-03-01T13:05:00Z"}
    await process.deploy(definition({"id": "clock", "type": "interval", "config": config}))
    process.schedule()
    await kit.sleep_until("2026-03-01T15:00:00Z")
    assert await kit.started() == [f"2026-03-01T{time}:00+00:00" for time in ("12:05", "12:25", "12:45", "13:05")]
    shown = await kit.trigger()
    assert (shown["next_firing"], shown["silent_because"]) == (None, "no_next_time")


async def test_one_moment_fires_once(kit: TriggerKit, process: Process) -> None:
    trigger = {"id": "clock", "type": "once", "config": {"at": "2026-03-01T22:00", "timezone": "Asia/Tokyo"}}
    over = {"id": "over", "type": "once", "config": {"at": "2026-03-01T14:00", "timezone": "Asia/Tokyo"}}
    await process.deploy(definition(trigger, over))
    process.schedule()
    await kit.sleep_until("2026-03-02T13:00:00Z")
    assert await kit.told() == [("started", "2026-03-01T13:00:00")], "what was over at the deploy never fires"
    for name in ("clock", "over"):
        assert (await kit.trigger(name))["silent_because"] == "no_next_time"


async def test_jitter_delays_the_start_and_not_the_due_time(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("0 * * * *", jitter="10m")))
    process.schedule()
    planned = (await kit.trigger())["next_firing"]
    assert planned["due_at"] == "2026-03-01T13:00:00.000000Z"
    assert planned["due_at"] < planned["starts_at"] < "2026-03-01T13:10:00"
    await kit.sleep_until("2026-03-01T15:30:00Z")
    assert await kit.started() == [f"2026-03-01T{hour}:00:00+00:00" for hour in (13, 14, 15)]
    offsets = {firing["at"][14:21] for firing in await kit.firings()}
    assert offsets == {planned["starts_at"][14:21]}, "the delay is the same each time"


async def test_a_jitter_longer_than_the_period_still_fires_every_due_time_in_order(
    kit: TriggerKit, process: Process
) -> None:
    await process.deploy(definition(cron("* * * * *", jitter="1h")))
    process.schedule()
    first = (await kit.trigger())["next_firing"]["starts_at"]
    assert first > "2026-03-01T12:02:00", "an hour of jitter gives this trigger more than a minute"
    await kit.sleep_until("2026-03-01T13:10:00Z")
    started = await kit.started()
    assert started == [f"2026-03-01T12:{minute:02}:00+00:00" for minute in range(1, len(started) + 1)]
    assert len(started) > 5


async def test_an_if_that_is_false_is_a_firing_without_a_run(kit: TriggerKit, process: Process) -> None:
    trigger = cron("* * * * *") | {"if": "{{ trigger.due_time != '12:02:00' }}"}
    await process.deploy(definition(trigger))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:03:30Z")
    assert await kit.told() == [
        ("started", "2026-03-01T12:01:00"), ("skipped", "2026-03-01T12:02:00"), ("started", "2026-03-01T12:03:00"),
    ]  # fmt: skip
    (skipped,) = [firing for firing in await kit.firings() if firing["decision"] == "skipped"]
    assert skipped["reason"] == "its `if` is false"
    assert skipped["run_id"] is None
    assert (await kit.trigger())["counts"] == {"fired": 3, "started": 2, "failed": 0, "missed": 0}


async def test_a_trigger_that_fails_says_why_and_does_not_stop_the_others(kit: TriggerKit, process: Process) -> None:
    broken = cron("* * * * *") | {"id": "broken", "input": {"day": "{{ variables.days[3] }}"}}
    no_bool = cron("* * * * *") | {"id": "no_bool", "if": "{{ trigger.due_time }}"}
    await process.deploy(definition(broken, no_bool, cron("* * * * *"), variables={"days": []}))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:02:30Z")
    assert await kit.started() == ["2026-03-01T12:01:00+00:00", "2026-03-01T12:02:00+00:00"]
    for name, words in (
        ("broken", ("triggers.broken.input", "variables.days[3]")),
        ("no_bool", ("if", "true or false")),
    ):
        shown = await kit.trigger(name)
        assert all(word in shown["last_error"] for word in words), shown["last_error"]
        assert shown["counts"] == {"fired": 2, "started": 0, "failed": 2, "missed": 0}
        assert shown["last_firing"]["run_id"] is None
        firings = await kit.firings(shown["id"])
        assert [firing["decision"] for firing in firings] == ["failed", "failed"]
        assert firings[-1]["reason"] == shown["last_error"]


class SlowEvaluator(CelEvaluator):
    """The real one; it takes a minute for the input of the trigger `slow`."""

    async def render(self, template: JsonValue, scope: Scope, *, place: str) -> JsonValue:
        if place == "triggers.slow.input":
            await asyncio.sleep(60)
        return await super().render(template, scope, place=place)


async def test_a_trigger_that_is_slow_to_decide_does_not_hold_up_the_others(kit: TriggerKit) -> None:
    process = await kit.process(evaluator=SlowEvaluator())
    await process.deploy(definition(cron("*/20 * * * * *") | {"id": "slow"}, cron("* * * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:01:15.5Z")
    fast = await kit.firings((await kit.trigger())["id"])
    assert len(fast) == 75
    assert all(firing["at"][:21] <= f"{firing['due_at'][:19]}.1" for firing in fast), "within a tenth of a second"
    assert (await kit.trigger("slow"))["counts"]["fired"] == 0
    await kit.sleep_until("2026-03-01T12:01:20.5Z")
    slow = await kit.firings((await kit.trigger("slow"))["id"])
    assert (slow[0]["decision"], slow[0]["due_at"][:19]) == ("started", "2026-03-01T12:00:20")


class SlowStore(OverStore):
    """The real store; it takes longer for a commit than the scheduler waits for the starts of a round."""

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        await asyncio.sleep(3 * PATIENCE)
        return await self.real.commit(changes, claim)


async def test_starts_that_take_a_while_do_not_make_the_next_ones_late(kit: TriggerKit) -> None:
    process = await kit.process(store=SlowStore(kit.store()))
    for number in range(20):
        await process.deploy(definition(cron("* * * * * *"), name=f"w{number}"))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:00:10.9Z")
    firings = [firing for firing in await kit.firings() if firing["due_at"][:19] >= "2026-03-01T12:00:03"]
    assert len(firings) == 8 * 20
    assert all(firing["at"][:19] == firing["due_at"][:19] for firing in firings), "within their second"


async def test_a_start_that_the_workflow_refuses_is_a_firing_with_the_reason(kit: TriggerKit, process: Process) -> None:
    needs_day = {"type": "object", "required": ["day"], "properties": {"day": {"type": "string"}}}
    await process.deploy(definition(cron("* * * * *"), input=needs_day))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:01:30Z")
    assert await kit.told() == [("refused", "2026-03-01T12:01:00")]
    shown = await kit.trigger()
    assert "day" in shown["last_error"]
    await process.deploy(definition(cron("* * * * *") | {"input": {"day": "x"}}, input=needs_day))
    await kit.sleep_until("2026-03-01T12:02:30Z")
    shown = await kit.trigger()
    assert shown["last_error"] is None
    assert shown["counts"] == {"fired": 2, "started": 1, "failed": 1, "missed": 0}


async def test_a_full_limit_that_says_skip_is_a_firing_without_a_run(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("* * * * *"), concurrency={"limit": 1, "when_full": "skip"}))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:02:30Z")
    assert await kit.told() == [("started", "2026-03-01T12:01:00"), ("skipped", "2026-03-01T12:02:00")]


async def test_a_schedule_that_nobody_can_read_any_more_is_told_and_left_alone(
    kit: TriggerKit, process: Process
) -> None:
    await process.deploy(definition(cron("* * * * *") | {"id": "old"}, cron("* * * * *")))
    await kit.execute("update triggers set config = '{\"expression\": \"61 * * * *\"}' where name = 'old'")
    process.schedule()
    await kit.sleep_until("2026-03-01T12:02:30Z")
    shown = await kit.trigger("old")
    assert "config.expression" in shown["last_error"]
    assert (shown["silent_because"], shown["next_firing"]) == ("no_next_time", None)
    assert len(await kit.started()) == 2


async def test_schedules_of_seconds_keep_their_rhythm(kit: TriggerKit, process: Process) -> None:
    await process.deploy(definition(cron("* * * * * *")))
    process.schedule()
    await kit.sleep_until("2026-03-01T12:00:30.5Z")
    assert await kit.started() == [f"2026-03-01T12:00:{second:02}+00:00" for second in range(1, 31)]
    for firing in await kit.firings():
        assert firing["at"][:21] == f"{firing['due_at'][:19]}.0", "within a tenth of a second"


async def test_a_deploy_wakes_the_scheduler(kit: TriggerKit, process: Process) -> None:
    """It sleeps until what it knows of is due, and what it does not know of must not wait for that."""
    process.schedule()
    await process.deploy({**definition(cron("0 0 1 1 *")), "name": "yearly"})
    await asyncio.sleep(1)
    workflow = await process.deploy({**definition(cron("* * * * *")), "name": "each minute"})
    await kit.sleep_until("2026-03-01T12:01:00.5Z")
    assert len(await kit.started()) == 1
    assert [run.workflow_id for run in await kit.rows("select workflow_id from runs")] == [workflow]


async def test_a_trigger_of_a_type_that_only_a_newer_release_knows_stays_due_for_it(
    kit: TriggerKit, process: Process
) -> None:
    await process.deploy(definition(cron("0 * * * *")))
    await kit.execute("update triggers set type = 'tide'")
    before = await kit.rows("select * from triggers")
    await kit.sleep_until("2026-03-01T13:00:01Z")
    await process.fire()
    assert await kit.rows("select * from triggers") == before
    assert await kit.firings() == []
    await kit.execute("update triggers set type = 'cron'")
    await (await kit.process()).fire()
    assert await kit.started() == ["2026-03-01T13:00:00+00:00"]
