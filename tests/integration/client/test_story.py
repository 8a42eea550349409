"""What a caller does with Millrace, with both clients against a real server."""

import asyncio
import os
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from millrace.client import (
    Conflict,
    InvalidArgument,
    InvalidRequest,
    NotFound,
    RunFailed,
    Unauthenticated,
    WaitTimeout,
)
from tests.support.awaited import client_of
from tests.support.server import MillraceProcess


def named(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": f"w-{uuid.uuid4().hex[:12]}", "tasks": list(tasks), **fields}


def says(text: str, task: str = "say") -> dict[str, Any]:
    return {"id": task, "type": "transform", "config": {"output": text}}


def shell(command: str, task: str = "work") -> dict[str, Any]:
    return {"id": task, "type": "shell", "config": {"command": command}}


HELD = "sleep 60"


async def heard(client: Any, run_id: str, record_type: str) -> None:
    """Wait until the run has such a record."""
    async with client.runs.follow(run_id) as records:
        async for record in records:
            if record["type"] == record_type:
                return
    raise AssertionError(f"the run ended without {record_type}")


async def test_run_answers_the_output(client: Any) -> None:
    greet = named(says("Hello, {{ input.name }}!"), output={"greeting": "{{ tasks.say.output }}"})
    await client.workflows.create(greet)
    assert await client.run(greet["name"], {"name": "Ada"}) == {"greeting": "Hello, Ada!"}


async def test_run_tells_a_failure_and_a_timeout(client: Any) -> None:
    fails, holds = named(shell("exit 3")), named(shell(HELD))
    await client.workflows.create(fails)
    with pytest.raises(RunFailed, match="exit code 3") as failed:
        await client.run(fails["name"])
    assert failed.value.run["status"] == "failed"
    assert failed.value.failure is not None
    await client.workflows.create(holds)
    with pytest.raises(TimeoutError) as late:
        await client.run(holds["name"], timeout=0.5)
    assert isinstance(late.value, WaitTimeout)
    assert (await client.runs.get(late.value.run_id))["status"] == "running"
    await client.runs.cancel(late.value.run_id, reason="seen enough")
    assert (await client.runs.wait(late.value.run_id, 30))["status"] == "cancelled"


async def test_a_workflow_lives(client: Any) -> None:
    first = named(says("one"))
    made = await client.workflows.create(first)
    name = first["name"]
    tagged = await client.workflows.get_tagged(name)
    assert tagged.value["id"] == made["id"]
    assert await client.workflows.get_tagged(name, tagged) is tagged
    second = await client.workflows.update(name, {"tasks": [says("two")]}, if_match=tagged)
    assert second["version"] == 2
    for stale in (tagged, tagged.etag, 1):
        with pytest.raises(Conflict):
            await client.workflows.update(name, {"tasks": [says("three")]}, if_match=stale)
    assert [version["number"] async for version in client.versions.iterate(name)] == [2, 1]
    await client.versions.change(name, 1, tag="first/one", comment="as it was")
    assert (await client.versions.get(name, "first/one"))["comment"] == "as it was"
    await client.versions.change(name, 1, comment=None)
    found = await client.versions.get(name, 1)
    assert (found["tag"], found["comment"]) == ("first/one", None)
    assert not (await client.versions.compare(name, 1, 2))["identical"]
    assert (await client.versions.rollback(name, "first/one"))["version"] == 3
    tagged_one = await client.runs.start(name, version="first/one", wait_seconds=30)
    assert (tagged_one["workflow"]["version"], tagged_one["status"]) == (1, "completed")
    await client.deployments.deploy(name, 2)
    assert await client.run(name) is None
    assert (await client.deployments.get(name))["version"]["number"] == 2
    tried = await client.canaries.set(name, 1, 12.5)
    assert (tried["version"], tried["stable"], tried["share"]) == (1, 2, 12.5)
    assert (await client.canaries.get(name)) == tried
    assert (await client.canaries.stop(name))["outcome"] == "stopped"
    with pytest.raises(NotFound):
        await client.canaries.get(name)
    tagged = await client.workflows.get_tagged(name)
    await client.canaries.set(name, "first/one", 50, if_match=tagged)
    with pytest.raises(Conflict):
        await client.canaries.promote(name, if_match=tagged)
    assert (await client.canaries.promote(name, comment="it did well"))["version"]["number"] == 1
    assert [one["outcome"] async for one in client.canaries.iterate(name)] == ["promoted", "stopped"]
    assert (await client.canaries.get_by_id(name, tried["id"]))["outcomes"]["stable"]["total"] == 0
    assert (await client.workflows.disable(name))["status"] == "paused"
    assert (await client.workflows.enable(name))["status"] == "active"
    assert len([one async for one in client.deployments.iterate(workflow=name)]) >= 4
    await client.workflows.delete(name)
    with pytest.raises(NotFound) as gone:
        await client.workflows.get(name)
    assert gone.value.code == "workflow_not_found"


async def test_what_is_exported_can_be_applied_and_changes_nothing(client: Any) -> None:
    text = f"name: w-{uuid.uuid4().hex[:12]}/with a slash\ntasks:\n  - {{id: a, type: noop}}\n"
    created = await client.workflows.apply(text, source="tests")
    assert created["outcome"] == "created"
    exported = await client.workflows.export(created["name"])
    assert (await client.workflows.apply(exported))["outcome"] == "unchanged"
    exported["tasks"].append({"id": "b", "type": "noop"})
    assert (await client.workflows.apply(exported, dry_run=True))["outcome"] == "updated"
    assert (await client.workflows.get(created["name"]))["version"] == 1
    found = [one["name"] async for one in client.workflows.iterate(source="tests", name=created["name"])]
    assert found == [created["name"]]


async def test_the_faults_of_a_definition_are_told(client: Any) -> None:
    wrong = named({"id": "a", "type": "shel"}, {"id": "b", "type": "noop", "depends_on": ["c"]})
    for call in (client.workflows.validate, client.workflows.create):
        with pytest.raises(InvalidRequest) as refused:
            await call(wrong)
        assert refused.value.status == 422
        assert {fault["path"] for fault in refused.value.faults} == {"tasks[0].type", "tasks[1].depends_on[0]"}
        assert "shel" in str(refused.value)
    assert (await client.workflows.validate(named(says("a"))))["valid"]


async def test_single_tasks_are_added_changed_and_removed(client: Any) -> None:
    made = await client.workflows.create(named(says("a", "a")))
    added = await client.tasks.add(made["name"], {**says("b", "b"), "comment": "more"}, if_match=1)
    assert added["workflow"]["version"] == 2
    changed = await client.tasks.update(made["name"], added["uid"], {"config": {"output": "c"}})
    assert changed["task"]["config"] == {"output": "c"}
    tagged = await client.tasks.list_tagged(made["name"])
    assert await client.tasks.list_tagged(made["name"], tagged) is tagged
    await client.tasks.remove(made["name"], "b", if_match=tagged)
    assert [task["id"] for task in (await client.tasks.list(made["name"]))["items"]] == ["a"]


async def test_runs_are_listed_page_by_page(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.client.aio.transport.PAGE", 3)
    monkeypatch.setattr("millrace.client.sync.transport.PAGE", 3)
    made = await client.workflows.create(named(says("a"), labels={"batch": uuid.uuid4().hex}))
    started = [(await client.runs.start(made["name"], wait_seconds=30))["id"] for _ in range(7)]
    assert [run["id"] async for run in client.runs.iterate(workflow=made["name"])] == started[::-1]
    assert [run["id"] async for run in client.runs.iterate(labels=made["labels"])] == started[::-1]
    page = await client.runs.list(workflow=made["name"], limit=5)
    rest = await client.runs.list(workflow=made["name"], limit=5, cursor=page["next_cursor"])
    assert [run["id"] for run in page["items"] + rest["items"]] == started[::-1]
    assert rest["next_cursor"] is None
    before = datetime.now(UTC) - timedelta(hours=1)
    assert [run async for run in client.runs.iterate(workflow=made["name"], created_before=before)] == []
    assert [run async for run in client.runs.iterate(workflow=made["name"], status=["failed", "paused"])] == []


async def test_a_run_is_followed_to_its_end(client: Any) -> None:
    made = await client.workflows.create(named(shell("echo one; sleep 0.2; echo two"), says("done")))
    run = await client.runs.start(made["name"])
    records = client.runs.follow(run["id"])
    seen = [record async for record in records]
    assert records.status == "completed"
    assert [record["seq"] for record in seen] == list(range(1, len(seen) + 1))
    assert seen == [record async for record in client.runs.iterate_records(run["id"])]
    lines = [line["text"] async for line in client.runs.follow_logs(run["id"], task="work")]
    assert lines == ["one", "two"]
    assert [line["text"] async for line in client.runs.iterate_logs(run["id"])] == ["one", "two"]
    assert [task["path"] async for task in client.runs.iterate_tasks(run["id"])] == ["work", "say"]
    assert (await client.runs.task(run["id"], "say"))["output"] == "done"
    assert (await client.runs.timeline(run["id"]))["complete"]
    tail = await client.runs.records(run["id"], tail=1)
    assert tail["items"][0]["type"] == "run.completed"


async def test_all_runs_are_followed_until_that_is_enough(client: Any) -> None:
    made = await client.workflows.create(named(says("a")))
    async with client.workflows.stream(made["id"], after="0") as stream:
        run = await client.runs.start(made["name"])
        async for record in stream:
            assert record["run_id"] == run["id"]
            if record["type"] == "run.completed":
                break
    assert stream.position is not None
    async with client.runs.stream(after=stream.position) as everything:
        again = await client.runs.start(made["name"])
        first = await anext(everything)
    assert first["run_id"] == again["id"]


async def test_the_course_of_runs_is_changed(client: Any) -> None:
    made = await client.workflows.create(named(shell("exit 1"), says("late"), input={"type": "object"}))
    failed = await client.runs.start(made["name"], wait_seconds=30, correlation_id="c-1", priority=5)
    assert (failed["status"], failed["correlation_id"], failed["priority"]) == ("failed", "c-1", 5)
    retried = await client.runs.retry(failed["id"], wait_seconds=30)
    assert (retried["retry_of"], retried["status"]) == (failed["id"], "failed")
    rerun = await client.runs.rerun(failed["id"], from_task="work", input={"a": 1}, wait_seconds=30)
    assert rerun["input"] == {"a": 1}
    meant = {"workflow": made["name"], "status": ["failed"]}
    counted = await client.runs.bulk("retry", meant, dry_run=True)
    assert (counted["total"], counted["already_retried"]) == (2, 1)
    assert (await client.runs.bulk("retry", meant, dry_run=True, again=True))["total"] == 3
    later = await client.runs.start(made["name"], run_at=datetime.now(UTC) + timedelta(hours=1))
    assert later["waiting_for"][0]["reason"] == "delayed"
    operation = await client.runs.bulk("cancel", {"workflow": made["name"], "status": ["pending"]})
    assert (await client.runs.wait(later["id"], 30))["status"] == "cancelled"
    assert (await client.runs.operation(operation["id"]))["action"] == "cancel"


async def test_a_run_is_paused_and_resumed_and_a_workflow_stopped(client: Any) -> None:
    made = await client.workflows.create(named(shell(HELD)))
    run = await client.runs.start(made["name"])
    assert (await client.runs.pause(run["id"]))["id"] == run["id"]
    await heard(client, run["id"], "run.paused")
    assert (await client.runs.get(run["id"]))["status"] == "paused"
    await client.runs.resume(run["id"])
    await heard(client, run["id"], "run.resumed")
    assert (await client.workflows.stop(made["name"], reason="over"))["stopped"] == 1
    ended = await client.runs.wait(run["id"])
    assert ended["status"] == "cancelled"


async def test_the_same_key_gives_the_same_run(client: Any) -> None:
    made = await client.workflows.create(named(says("a")))
    runs = [await client.runs.start(made["name"], {"n": 1}, idempotency_key="k") for _ in range(2)]
    assert runs[0]["id"] == runs[1]["id"]
    with pytest.raises(Conflict):
        await client.runs.start(made["name"], {"n": 2}, idempotency_key="k")
    others = [await client.runs.start(made["name"]) for _ in range(2)]
    assert len({run["id"] for run in runs + others}) == 3
    finished = await client.runs.wait(runs[0]["id"], 30)
    again = [await client.runs.rerun(finished["id"], idempotency_key="k") for _ in range(2)]
    assert again[0]["id"] == again[1]["id"] != finished["id"]
    with pytest.raises(Conflict):
        await client.runs.rerun(finished["id"], input={"n": 2}, idempotency_key="k")
    others = [await client.runs.rerun(finished["id"]) for _ in range(2)]
    assert len({run["id"] for run in again + others}) == 3
    meant: Any = {"workflow": made["name"], "status": ["failed"]}
    key = uuid.uuid4().hex
    operations = [await client.runs.bulk("retry", meant, idempotency_key=key) for _ in range(2)]
    assert operations[0]["id"] == operations[1]["id"]


async def test_secrets_and_connections_keep_what_is_secret(client: Any) -> None:
    name = f"s_{uuid.uuid4().hex[:8]}"
    await client.secrets.set(name, "a secret value", description="of tests")
    assert (await client.secrets.get(name))["description"] == "of tests"
    assert name in [secret["name"] async for secret in client.secrets.iterate()]
    assert (await client.secrets.scope(name, workflows=["orders"], hosts=["api.example.com"]))["hosts"] is not None
    assert (await client.secrets.scope(name, workflows=None))["workflows"] is None
    config = {"path": "/nowhere/at/all.db"}
    await client.connections.set(name, "sqlite", config)
    assert not (await client.connections.test(name))["ok"]
    assert [one["name"] async for one in client.connections.iterate(type="sqlite") if one["name"] == name] == [name]
    assert (await client.connections.delete(name))["used_by"] == []
    assert (await client.secrets.delete(name))["name"] == name
    with pytest.raises(NotFound):
        await client.secrets.get(name)


async def test_files_go_in_and_out(client: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    given = tmp_path / "orders.csv"
    given.write_bytes(content)
    folder = tmp_path / "folder"
    folder.mkdir()
    sent = await client.artifacts.upload(given, expires_in="1d")
    assert (sent["name"], sent["media_type"], sent["size"]) == ("orders.csv", "text/csv", len(content))
    with given.open("rb") as file:
        again = await client.artifacts.upload(file, name="again.bin")
    short = await client.artifacts.upload(b"short", name="short.txt")
    assert again["sha256"] == sent["sha256"]
    place = await client.artifacts.download(sent["id"], tmp_path / "copy.csv")
    assert place.read_bytes() == content
    with pytest.raises(FileExistsError):
        await client.artifacts.download(sent["id"], place)
    named_by_itself = await client.artifacts.download(short["id"], folder)
    assert (named_by_itself.name, named_by_itself.read_bytes()) == ("short.txt", b"short")
    async with client.artifacts.open(sent["id"], first=10, last=12) as parts:
        assert b"".join([part async for part in parts]) == content[10:13]
    assert await client.artifacts.read(short["id"]) == b"short"
    assert short["id"] in [one["id"] async for one in client.artifacts.iterate(origin="upload")]
    await client.artifacts.delete(short["id"])
    with pytest.raises(NotFound):
        await client.artifacts.read(short["id"])
    assert sorted(os.listdir(tmp_path)) == ["copy.csv", "folder", "orders.csv"]


async def test_triggers_and_events_are_there(client: Any) -> None:
    told = {"id": "tell", "type": "publish_event", "config": {"type": "tests.done", "data": {"n": 1}}}
    cron = {"id": "nightly", "type": "cron", "config": {"expression": "0 2 * * *", "timezone": "UTC"}}
    made = await client.workflows.create(named(told, triggers=[cron]))
    (trigger,) = [one async for one in client.triggers.iterate(workflow=made["name"], type="cron")]
    assert not (await client.triggers.disable(trigger["id"]))["enabled"]
    assert (await client.triggers.enable(trigger["id"]))["enabled"]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    planned = await client.triggers.preview(made["name"], "nightly", count=2, start=start)
    assert [one["due_at"][:13] for one in planned["items"]] == ["2026-01-01T02", "2026-01-02T02"]
    thought = await client.triggers.preview_schedule("0 2 * * *", timezone="UTC", count=2, start=start)
    assert [one["due_at"] for one in thought["items"]] == [one["due_at"] for one in planned["items"]]
    steps = await client.triggers.preview_interval("1d", anchor="2025-12-24T02:00:00Z", count=2, start=start)
    assert [one["due_at"] for one in steps["items"]] == [one["due_at"] for one in planned["items"]]
    after_end = await client.triggers.preview_interval("1d", counted_from="last_end", not_before="2026-02-01")
    assert (len(after_end["items"]), after_end["note"] is None) == (1, False)
    once = await client.triggers.preview_once(start + timedelta(hours=3), timezone="Europe/Berlin", start=start)
    assert [one["local"] for one in once["items"]] == ["2026-01-01T04:00:00+01:00"]
    assert [one async for one in client.triggers.iterate_firings(trigger["id"])] == []
    assert (await client.triggers.firings_of_workflow(made["name"]))["items"] == []
    run = await client.runs.start(made["name"], wait_seconds=30)
    (event,) = [one async for one in client.events.iterate(run=run["id"])]
    assert (await client.events.get(event["id"]))["data"] == {"n": 1}


async def test_a_batch_of_events_is_published_whole_and_each_is_told_of(client: Any) -> None:
    type_ = f"batch.{uuid.uuid4().hex}"
    waits = {"id": "told", "type": "event", "config": {"event_type": type_}, "input": {"n": "{{ trigger.event.data }}"}}
    made = await client.workflows.create(named(says("a"), triggers=[waits]))
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    full = {
        "type": type_,
        "source": "shops/rome",
        "id": type_,
        "subject": "day/7",
        "time": at,
        "data": 1,
        "tenant": "it",
    }
    first = (await client.events.publish_batch([full, {"type": type_, "data": 2}]))["items"]
    assert [(one["source"], one["subject"], one["data"], one["repeated"]) for one in first] == [
        ("shops/rome", "day/7", 1, False),
        ("api", None, 2, False),
    ]
    assert (first[0]["occurred_at"], first[0]["extensions"]) == ("2026-03-29T01:00:00.000000Z", {"tenant": "it"})
    assert first[1]["external_id"], "it has an id, so that sending it again is safe"
    again = (await client.events.publish_batch([full, {"type": type_, "data": 3}]))["items"]
    assert [(one["id"] == first[0]["id"], one["repeated"]) for one in again] == [(True, True), (False, False)]
    assert [one["data"] async for one in client.events.iterate(type=type_)] == [3, 2, 1]
    async with asyncio.timeout(30):
        while len((await client.runs.list(workflow=made["name"]))["items"]) < 3:  # noqa: ASYNC110  nobody tells of them
            await asyncio.sleep(0.05)
    with pytest.raises(InvalidRequest) as refused:
        await client.events.publish_batch([{"type": type_}, {"type": ""}, {"type": type_, "id": 7}])
    assert [fault["path"] for fault in refused.value.faults] == ["[1].type", "[2].id"]
    assert len([one async for one in client.events.iterate(type=type_)]) == 3, "all or none"
    with pytest.raises(InvalidArgument) as unsent:
        await client.events.publish_batch([{"type": type_, "data": {"n": float("inf")}}])
    assert unsent.value.place == "[0].data.n"
    assert (await client.events.publish_batch([]))["items"] == []


async def test_a_run_is_read_in_the_archive_when_it_is_deleted(client: Any) -> None:
    brief = named(says("archived"), retention={"runs": "1ms", "archive": True})
    await client.workflows.create(brief)
    run = await client.runs.wait((await client.runs.start(brief["name"]))["id"], 30)
    await client.retention.run()
    async with asyncio.timeout(30):
        while (await client.retention.show())["current_round"] is not None:  # noqa: ASYNC110  nobody tells of its end
            await asyncio.sleep(0.05)
    with pytest.raises(NotFound, match="millrace archive show"):
        await client.runs.get(run["id"])
    assert (await client.archive.get(run["id"]))["status"] == "completed"
    kept = [line async for line in client.archive.lines(run["id"])]
    assert next(line["output"] for line in kept if line["kind"] == "task_run") == "archived"
    assert [line["kind"] for line in kept[:2]] == ["family", "run"]
    assert sum([archive["runs"] async for archive in client.archive.iterate()]) >= 1
    assert (await client.archive.list(limit=1))["items"][0]["families"] >= 1
    with pytest.raises(NotFound):
        await client.archive.get("none")


async def test_the_installation_tells_about_itself(client: Any, kind: str, tmp_path: Path) -> None:
    assert (await client.system.health())["status"] == "ok"
    assert (await client.system.ready())["status"] == "ready"
    assert "transform" in [one["type"] for one in (await client.system.task_types())["items"]]
    assert "cron" in [one["type"] for one in (await client.triggers.types())["items"]]
    assert (await client.system.definition_schema())["properties"]["name"]
    assert len((await client.system.workers())["items"]) == 1
    assert (await client.system.doctor())["problems"] == []
    assert (await client.system.settings())["items"]
    assert (await client.retention.preview())["dry_run"]
    assert not (await client.retention.run())["dry_run"]
    assert (await client.retention.show())["runs"]
    run = await client.workflows.create(named(says("a")))
    copy = await client.database.backup(tmp_path / f"{kind}.db")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("select count(*) from workflows where name = ?", [run["name"]]).fetchone() == (1,)


async def test_a_wrong_key_is_refused(kind: str, server: MillraceProcess) -> None:
    async with client_of(kind, server.url, "mr_wrong") as stranger:
        with pytest.raises(Unauthenticated) as refused:
            await stranger.runs.list()
    assert "mr_wrong" not in repr(refused.value) + str(vars(refused.value))
