"""S9: while test mode is on, what fires sends a mail and starts no run, unless it is said to do both."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from millrace.app.firing.occasions import Occasion
from millrace.app.mails.content import Content
from millrace.app.runs.starting import Fired, FiringOutcome
from millrace.app.test_mode.instructions import Instance, OwnMode
from millrace.app.triggers import repository as triggers
from millrace.app.triggers.repository import TriggerRow
from millrace.ports.store import ClaimRequest, CommitReply, RunChange, StartKey
from tests.support.stores import GatedStore, OverStore
from tests.support.trigger_kit import USER, Process, TriggerKit, cron, definition

OPS = "ops@example.com"
TOLD = f"test mode: {OPS} is told instead"
EVENT = {"id": "orders", "type": "event", "config": {"event_type": "orders.placed"}}


class SlowStore(OverStore):
    """The real store, slow by chance."""

    def __init__(self, kit: TriggerKit, chance: random.Random) -> None:
        super().__init__(kit.store())
        self._chance = chance

    async def commit(self, changes: Sequence[RunChange], claim: ClaimRequest | None = None) -> CommitReply:
        await asyncio.sleep(self._chance.choice((0, 0.01, 0.3, 1.5)))
        return await self.real.commit(changes, claim)


def on(kit: TriggerKit, **said: Any) -> Instance:
    """The settings have it on, for processes that are made from now on."""
    kit.instance = replace(kit.instance, on=True, recipient=OPS, **said)
    return kit.instance


async def mails(kit: TriggerKit) -> list[Content]:
    rows = await kit.rows("select content from mails order by created_at, id")
    return [Content.read(row.content) for row in rows]


async def event_row(kit: TriggerKit) -> TriggerRow:
    workflow_id = (await kit.trigger("orders"))["workflow"]["id"]
    (row,) = await kit.database.read(lambda connection: triggers.of_type(connection, workflow_id, "event"))
    return row


async def fired(process: Process, kit: TriggerKit, number: int) -> Fired:
    """The event of this number, delivered to the trigger `orders`."""
    row = await event_row(kit)
    key = f"event:{number}"
    trigger = {"id": "orders", "type": "event", "time": "2026-03-01T12:00:00Z", "event": {"data": {"total": number}}}
    start_key = StartKey("trigger", row.id, key, key, kit.clock.now() + 10**12)
    return await process.firer.fire(row, Occasion(trigger, f"{key}:{kit.ids.new()}", start_key))


async def test_a_mail_is_sent_and_no_run_starts(kit: TriggerKit) -> None:
    on(kit)
    process = await kit.process()
    trigger = cron("0 * * * *", timezone="Asia/Tokyo") | {"input": {"day": "{{ trigger.due_date }}"}}
    await process.deploy(definition(trigger, name="nightly <b>orders</b>"))
    await kit.sleep_until("2026-03-01T13:00:01Z")
    await process.fire()
    assert await kit.started() == []
    assert [(firing["decision"], firing["reason"]) for firing in await kit.firings()] == [("skipped", TOLD)]
    ((row,), (content,)) = await kit.rows("select recipient, due_at from mails"), await mails(kit)
    assert (row.recipient, row.due_at is not None) == (OPS, True)
    assert content.subject == "[Millrace test mode] clock of nightly <b>orders</b> fired"
    for said in (
        "clock",
        "cron",
        "No run starts.",
        '"due_at": "2026-03-01T22:00:00+09:00"',
        '"expression": "0 * * * *"',
    ):
        assert said in content.text, said
    assert '"day": "2026-03-01"' in content.text
    assert "nightly &lt;b&gt;orders&lt;/b&gt;" in content.html
    shown = await kit.trigger()
    assert (shown["counts"]["fired"], shown["last_error"]) == (1, None)
    assert shown["next_firing"]["due_at"] == "2026-03-01T14:00:00.000000Z", "it goes on"


async def test_both_happen_where_execution_is_not_skipped(kit: TriggerKit) -> None:
    on(kit, skip_execution=False)
    process = await kit.process()
    await process.deploy(definition(cron("0 * * * *"), EVENT))
    await kit.sleep_until("2026-03-01T13:00:01Z")
    await process.fire()
    assert await kit.started() == ["2026-03-01T13:00:00+00:00"]
    answers = [await fired(process, kit, 1) for _ in range(2)]
    assert [answer.outcome for answer in answers] == [FiringOutcome.STARTED, FiringOutcome.EXISTED]
    assert ["A run starts as well." in content.text for content in await mails(kit)] == [True, True]


@pytest.mark.parametrize("skip", [True, False])
async def test_many_schedulers_send_one_mail_for_each_due_time(kit: TriggerKit, skip: bool) -> None:
    on(kit, skip_execution=skip)
    chance = random.Random(7)
    processes = [await kit.process(SlowStore(kit, chance)) for _ in range(3)]
    await processes[0].deploy(definition(cron("* * * * * *")))
    for process in processes:
        process.scheduler.interval = 1.0
        process.schedule()
    await kit.sleep_until("2026-03-01T12:00:20.5Z")
    await processes[0].triggers.disable((await kit.trigger())["id"])
    await asyncio.sleep(10)
    due = [orjson.loads(_data(content))["due_at"] for content in await mails(kit)]
    decided = [firing["decision"] for firing in await kit.firings()]
    assert len(due) == len(set(due)) >= 19
    assert set(decided) == {"skipped" if skip else "started"}
    assert len(due) >= len(decided), "none of them was untold"


@pytest.mark.parametrize("skip", [True, False])
async def test_what_is_delivered_many_times_is_told_once(kit: TriggerKit, skip: bool) -> None:
    on(kit, skip_execution=skip)
    processes = [await kit.process() for _ in range(3)]
    await processes[0].deploy(definition(EVENT))
    answers = await asyncio.gather(*(fired(process, kit, 1) for process in processes for _ in range(15)))
    await fired(processes[0], kit, 2)
    assert [('"total": 1' in content.text, '"total": 2' in content.text) for content in await mails(kit)] == [
        (True, False), (False, True),
    ]  # fmt: skip
    assert len(await kit.firings()) == 2
    if skip:
        assert {answer.outcome for answer in answers} == {FiringOutcome.SKIPPED}
        assert await kit.rows("select 1 from runs") == []


async def test_it_holds_from_its_commit_on(kit: TriggerKit) -> None:
    """A start that was decided on before is refused, in this process or another; and so it is the other way round."""
    store = GatedStore(kit.store())
    slow, other = await kit.process(store), await kit.process()
    workflow = await slow.deploy(definition(cron("0 * * * *")))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    store.gate.clear()
    await slow.scheduler.run_once()
    await other.test_modes.set(workflow, OwnMode(on=True, recipient=OPS), by=USER)
    store.gate.set()
    await slow.fire()
    assert await kit.started() == []
    await slow.fire()  # decided anew
    assert len(await mails(kit)) == 1
    await other.test_modes.clear(workflow, by=USER)
    await kit.sleep_until("2026-03-01T14:00:00Z")
    await slow.fire()
    assert await kit.started() == ["2026-03-01T14:00:00+00:00"]
    assert len(await mails(kit)) == 1


async def test_a_delivery_that_was_read_before_is_refused(kit: TriggerKit, process: Process) -> None:
    workflow = await process.deploy(definition(EVENT))
    row = await event_row(kit)
    await process.test_modes.set(workflow, OwnMode(on=True, recipient=OPS), by=USER)
    answer = await process.firer.fire(row, Occasion({"id": "orders", "type": "event", "time": "now"}, "event:1", None))
    assert answer.outcome is FiringOutcome.CHANGED
    assert await kit.rows("select 1 from runs") == []


async def test_a_workflow_may_be_otherwise(kit: TriggerKit) -> None:
    on(kit)
    process = await kit.process()
    workflow = await process.deploy(definition(cron("0 * * * *")))
    await process.test_modes.set(workflow, OwnMode(on=False), by=USER)
    await kit.sleep_until("2026-03-01T13:00:00Z")
    await process.fire()
    assert await kit.started() == ["2026-03-01T13:00:00+00:00"]
    assert await mails(kit) == []
    await process.test_modes.set(workflow, OwnMode(on=True, recipient="me@example.com", skip_execution=False), by=USER)
    await kit.sleep_until("2026-03-01T14:00:00Z")
    await process.fire()
    assert len(await kit.started()) == 2
    assert [row.recipient for row in await kit.rows("select recipient from mails")] == ["me@example.com"]


async def test_with_nobody_to_tell_nothing_starts(kit: TriggerKit, process: Process) -> None:
    """As after a change of the settings."""
    workflow = await process.deploy(definition(cron("0 * * * *"), EVENT))
    said = OwnMode(on=True).stored()
    await kit.execute("update workflows set test_mode = :said where id = :id", said=said, id=workflow)
    await kit.sleep_until("2026-03-01T13:00:00Z")
    await process.fire()
    assert (await fired(process, kit, 1)).outcome is FiringOutcome.FAILED
    assert [firing["decision"] for firing in await kit.firings()] == ["failed", "failed"]
    assert "MILLRACE_TEST_MODE_RECIPIENT" in (await kit.trigger())["last_error"]
    assert await kit.started() == []


async def test_what_does_not_fire_is_not_told(kit: TriggerKit) -> None:
    on(kit)
    process = await kit.process()
    await process.deploy(definition(cron("0 * * * *") | {"if": "{{ trigger.due_time != '13:00:00' }}"}))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    await process.fire()
    assert [firing["reason"] for firing in await kit.firings()] == ["its `if` is false"]
    assert await mails(kit) == []


@pytest.mark.parametrize("given", [{"nul": "{{ '\\u0000' }}"}, {"n": "{{ 'no number' }}"}])
async def test_what_no_run_could_be_started_with_is_refused_as_ever(kit: TriggerKit, given: dict[str, str]) -> None:
    on(kit)
    process = await kit.process()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await process.deploy(definition(cron("0 * * * *") | {"input": given}, input=schema))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    await process.fire()
    (firing,) = await kit.firings()
    assert firing["decision"] == "refused"
    assert f"input.{next(iter(given))}" in firing["reason"]
    assert await mails(kit) == []


async def test_no_secret_is_in_the_mail(kit: TriggerKit) -> None:
    on(kit)
    kit.masker.learn(["hunter2hunter2"])
    process = await kit.process()
    trigger = cron("0 * * * *") | {"input": {"at": "https://me:pass@db.example.com", "key": "{{ variables.key }}"}}
    await process.deploy(definition(trigger, name="of hunter2hunter2", variables={"key": "hunter2hunter2"}))
    await kit.sleep_until("2026-03-01T13:00:00Z")
    await process.fire()
    (content,) = await mails(kit)
    for part in (content.subject, content.text, content.html):
        assert "hunter2" not in part
        assert "me:pass" not in part
        assert "***" in part


def _data(content: Content) -> str:
    return content.text.partition("Data:\n")[2].partition("\n\nConfiguration:")[0]
