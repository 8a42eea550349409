"""X5, X6: records and log lines by page and as a stream, and their filters."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx2
import pytest
from sqlalchemy import select

from millrace.app.histories import queries
from millrace.app.histories.repository import Position, delete_old_changes, ends_of_changes, last_old_change
from millrace.storage.tables import changes
from tests.support.api import create, definition, problem, start
from tests.support.databases import ON_POSTGRES
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

URL = "/api/v1"
WHEN = ("status", "created_at", "started_at", "finished_at")


def echo(name: str, value: Any, *needs: str) -> dict[str, Any]:
    return {"id": name, "type": "echo", "depends_on": list(needs), "config": {"value": value}}


@pytest.fixture
async def chain(api: httpx2.AsyncClient) -> str:
    """A finished run of five tasks, one log line each."""
    names = ["a", "b", "c", "d", "e"]
    tasks = [echo(name, name, *names[max(0, place - 1) : place]) for place, name in enumerate(names)]
    await create(api, definition("chain", *tasks))
    return str((await start(api, "chain", wait=True))["id"])


async def seqs(api: httpx2.AsyncClient, run: str, what: str, query: str) -> list[int]:
    response = await api.get(f"{URL}/runs/{run}/{what}?{query}")
    assert response.status_code == 200, response.text
    return [item["seq"] for item in response.json()["items"]]


def events(text: str) -> list[dict[str, str]]:
    """The blocks of an event stream as mappings of their fields."""
    blocks = [block for block in text.split("\n\n") if block]
    return [dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":")) for block in blocks]


async def test_log_lines_are_paged_in_both_directions(api: httpx2.AsyncClient, chain: str) -> None:
    assert await seqs(api, chain, "logs", "limit=2") == [1, 2]
    assert await seqs(api, chain, "logs", "after=2&limit=2") == [3, 4]
    assert await seqs(api, chain, "logs", "before=5&limit=2") == [3, 4], "the last ones below 5"
    assert await seqs(api, chain, "logs", "before=3&after=1") == [2]
    assert await seqs(api, chain, "logs", "tail=2") == [4, 5]
    assert await seqs(api, chain, "logs", "tail=0") == []
    assert await seqs(api, chain, "logs", "tail=1&task=b") == [2]
    back = (await api.get(f"{URL}/runs/{chain}/logs?before=4&limit=1")).json()
    assert await seqs(api, chain, "logs", f"cursor={back['next_cursor']}") == [4, 5], "and forwards again from there"
    assert (await api.get(f"{URL}/runs/{chain}/logs?tail=2")).json()["next_cursor"] is None


async def test_records_are_paged_in_both_directions(api: httpx2.AsyncClient, chain: str) -> None:
    every = await seqs(api, chain, "events", "")
    assert await seqs(api, chain, "events", "tail=3") == every[-3:]
    assert await seqs(api, chain, "events", f"before={every[-1]}&limit=2") == every[-3:-1]


async def test_a_level_means_it_and_what_is_more_severe(api: httpx2.AsyncClient, chain: str) -> None:
    assert await seqs(api, chain, "logs", "level=debug") == [1, 2, 3, 4, 5]
    assert await seqs(api, chain, "logs", "level=info") == [1, 2, 3, 4, 5]
    assert await seqs(api, chain, "logs", "level=warning") == []
    assert await seqs(api, chain, "logs", "level=debug,error") == [], "several levels mean exactly these"
    assert await seqs(api, chain, "logs", "attempt=1") == [1, 2, 3, 4, 5]
    assert await seqs(api, chain, "logs", "attempt=2") == []
    problem(await api.get(f"{URL}/runs/{chain}/logs?level=loud"), 422, "invalid_request")


@pytest.mark.parametrize("follow", ["", "&follow=true"])
async def test_lines_of_a_task_that_the_run_does_not_have_are_refused(
    api: httpx2.AsyncClient, chain: str, follow: str
) -> None:
    refused = problem(await api.get(f"{URL}/runs/{chain}/logs?task=nope{follow}"), 422, "unknown_task")
    (fault,) = refused["faults"]
    assert (fault["path"], "'nope'" in fault["message"], fault["remedy"]) == (
        "query.task",
        True,
        "write one of a, b, c, d, e",
    )
    problem(await api.get(f"{URL}/runs/nobody/logs?task=a{follow}"), 404, "run_not_found")


async def test_lines_of_a_task_that_has_none_yet_are_an_empty_page(api: httpx2.AsyncClient) -> None:
    later = {"id": "later", "type": "echo", "depends_on": ["fetch_orders"]}
    handler = {"id": "told", "type": "echo"}
    tasks = definition("waits", {"id": "fetch_orders", "type": "hold"}, later)
    await create(api, {**tasks, "on_failure": [handler], "finally": [{**handler, "id": "closed"}]})
    run = (await start(api, "waits"))["id"]
    for task in ("fetch_orders", "later", "told", "closed"):
        assert (await api.get(f"{URL}/runs/{run}/logs?task={task}")).json()["items"] == [], task
    refused = problem(await api.get(f"{URL}/runs/{run}/logs?task=fetch_order"), 422, "unknown_task")
    assert "did you mean 'fetch_orders'?" in refused["faults"][0]["message"]


async def test_the_stream_of_a_deleted_workflow_is_refused(api: httpx2.AsyncClient) -> None:
    made = await create(api, definition("former"))
    await api.delete(f"{URL}/workflows/former")
    async with asyncio.timeout(20):
        for name in (made["id"], "former", "nobody"):
            problem(await api.get(f"{URL}/workflows/{name}/stream"), 404, "workflow_not_found")


async def test_an_event_is_one_line_for_those_who_break_lines_at_more(api: httpx2.AsyncClient) -> None:
    text = "one\u2028two\u2029three\x85four"
    await create(api, definition("lines", {"id": "a", "type": "echo", "config": {"value": text}}))
    run = await start(api, "lines", wait=True)
    async with api.stream("GET", f"{URL}/runs/{run['id']}/logs?follow=true") as response:
        lines = [line async for line in response.aiter_lines()]
    (data,) = (line.removeprefix("data: ") for line in lines if line.startswith("data: ") and "echo of" in line)
    assert json.loads(data)["text"] == f"echo of {text}"


@pytest.mark.parametrize("ask", ["query", "header"])
async def test_a_finished_run_is_streamed_whole_and_ended(api: httpx2.AsyncClient, chain: str, ask: str) -> None:
    query, headers = ("?follow=true", {}) if ask == "query" else ("", {"Accept": "text/event-stream"})
    records = (await api.get(f"{URL}/runs/{chain}/events")).json()["items"]
    response = await api.get(f"{URL}/runs/{chain}/events{query}", headers=headers)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *_, last = found = events(response.text)
    assert [json.loads(event["data"]) for event in found if event.get("event") == "record"] == records
    assert [int(event["id"]) for event in found if event.get("event") == "record"] == [one["seq"] for one in records]
    assert (last["event"], json.loads(last["data"])) == ("end", {"status": "completed"})


@pytest.mark.parametrize("query", ["tail=3", "after=2", "after=0&tail=2"])
async def test_the_last_id_received_wins_over_where_the_stream_began(
    api: httpx2.AsyncClient, chain: str, query: str
) -> None:
    response = await api.get(f"{URL}/runs/{chain}/logs?follow=true&{query}", headers={"Last-Event-ID": "4"})
    assert [event["id"] for event in events(response.text) if event.get("event") == "log"] == ["5"]


async def test_a_filtered_stream_tells_where_to_resume_beyond_its_last_line(
    api: httpx2.AsyncClient, chain: str
) -> None:
    response = await api.get(f"{URL}/runs/{chain}/logs?follow=true&task=b")
    found = [event for event in events(response.text) if "id" in event]
    assert [event.get("event") for event in found] == ["log", None]
    assert found[-1]["id"] == "5", "lines 3 to 5 were looked at and need not be looked at again"


async def test_a_long_timeline_goes_on_where_the_one_before_ended(
    api: httpx2.AsyncClient, chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await api.get(f"{URL}/runs/{chain}/timeline")).json()
    assert (whole["complete"], whole["next_after"]) == (True, None)
    monkeypatch.setattr(queries, "MOST_RECORDS", 5)
    after, told, attempts = 0, [], []
    while after is not None:
        part = (await api.get(f"{URL}/runs/{chain}/timeline?after={after}")).json()
        assert [part[name] for name in WHEN] == [whole[name] for name in WHEN], "the run is known in each part"
        assert part["complete"] == (part["next_after"] is None)
        assert part["last_seq"] == (whole["last_seq"] if part["complete"] else after + 5)
        told += part["notes"]
        attempts += [task["path"] for task in part["tasks"] for attempt in task["attempts"] if attempt["finished_at"]]
        after = part["next_after"]
    assert told == whole["notes"]
    assert attempts == ["a", "b", "c", "d", "e"]
    behind = (await api.get(f"{URL}/runs/{chain}/timeline?after=999")).json()
    assert (behind["complete"], behind["tasks"], behind["last_seq"]) == (True, [], 999)
    problem(await api.get(f"{URL}/runs/{chain}/timeline?after=-1"), 422, "invalid_request")


async def test_what_cannot_be_streamed_is_refused_with_a_problem(api: httpx2.AsyncClient, chain: str) -> None:
    for what in ("events", "logs", "timeline"):
        follow = "" if what == "timeline" else "?follow=true"
        problem(await api.get(f"{URL}/runs/nobody/{what}{follow}"), 404, "run_not_found")
    wrong = {"Last-Event-ID": "x"}
    problem(await api.get(f"{URL}/runs/{chain}/events?follow=true", headers=wrong), 422, "invalid_request")
    problem(await api.get(f"{URL}/stream", headers=wrong), 422, "invalid_position")
    problem(await api.get(f"{URL}/stream?after=9999999"), 409, "position_expired")
    problem(await api.get(f"{URL}/workflows/nobody/stream"), 404, "workflow_not_found")


async def test_many_followers_of_one_run_share_their_reads(millrace: Installation, api: httpx2.AsyncClient) -> None:
    await create(api, definition("watched", {"id": "held", "type": "hold"}))
    run = (await start(api, "watched"))["id"]
    before = millrace.database.reads

    async def follow() -> tuple[list[int], str | None]:
        seen: list[int] = []
        async for batch in millrace.container.followers.records(run, after=0):
            seen += [int(number) for number, _ in batch.items]
            status = batch.status
        return seen, status

    async with asyncio.timeout(20):
        followers = [asyncio.create_task(follow()) for _ in range(100)]
        await asyncio.sleep(0)
        await api.post(f"{URL}/runs/{run}/cancel")
        found = await asyncio.gather(*followers)
    every = await seqs(api, run, "events", "")
    assert all(one == (every, "cancelled") for one in found)
    assert millrace.database.reads - before < 100, "fewer reads than followers"


async def test_old_changes_are_deleted_and_whoever_wants_them_is_told(
    millrace: Installation, api: httpx2.AsyncClient, chain: str
) -> None:
    every = await positions(millrace)
    await told_up_to(millrace, str(every[-1]))
    ends = await millrace.database.read(ends_of_changes)
    assert ((ends.oldest, ends.newest), len(every) > 4) == ((every[0], every[-1]), True), "the chain made a few"
    until = await millrace.database.read(lambda connection: last_old_change(connection, 2))
    assert until == every[-3]
    assert await millrace.database.write(lambda connection: delete_old_changes(connection, until, 3)) == 3
    assert (
        await millrace.database.write(lambda connection: delete_old_changes(connection, until, 999)) == len(every) - 5
    )
    assert await positions(millrace) == every[-2:]
    assert await millrace.database.read(lambda connection: last_old_change(connection, 2)) is None
    expired = problem(await api.get(f"{URL}/stream?after={every[0]}"), 409, "position_expired")
    assert str(every[-2]) in expired["detail"]
    await start(api, "chain", wait=True)
    assert (await millrace.database.read(ends_of_changes)).newest > every[-1], "positions are never given twice"


@ON_POSTGRES
async def test_what_could_still_get_neighbours_below_is_told_later_and_nothing_is_missed(
    millrace: Installation, database_url: str, chain: str, api: httpx2.AsyncClient
) -> None:
    here = str((await positions(millrace))[-1])
    await told_up_to(millrace, here)
    slow = await asyncpg.connect(database_url)
    try:
        async with slow.transaction():
            # Its place in the line is before all that follows, and nobody has seen it yet.
            await slow.execute("update runs set last_seq = last_seq where id = $1", chain)
            await start(api, "chain", wait=True)
            assert await millrace.container.followers.here() == here
            assert (await positions(millrace))[-1] > int(here)
            await slow.execute("update runs set last_seq = last_seq + 1 where id = $1", chain)
            note = "insert into records (run_id, seq, type, at) select id, last_seq, 'noted', 1 from runs where id = $1"
            await slow.execute(note, chain)
    finally:
        await slow.close()
    every = (await positions(millrace))[-1]
    followers, told = millrace.container.followers, []
    async with asyncio.timeout(20):
        async for batch in followers.changes(None, position=await followers.place(here)):
            told += [(int(name.partition(".")[0]), item["type"]) for name, item in batch.items]
            if told and told[-1][0] == every:
                break
    assert told[0][1] == "noted", "the slow one comes first"
    assert [position for position, _ in told] == sorted(position for position, _ in told)
    assert told[-1][1] == "run.completed"


async def told_up_to(millrace: Installation, position: str) -> None:
    """Wait until a change is told: whatever else is under way on this server holds it up."""
    followers = millrace.container.followers
    async with asyncio.timeout(20):
        async for batch in followers.changes(None, position=Position(0, 0)):
            if batch.position == position:
                return


async def positions(millrace: Installation) -> list[int]:
    """All that is in the line of changes."""
    query = select(changes.c.position).order_by(changes.c.position)
    return list(await millrace.database.read(lambda connection: connection.execute(query).scalars().all()))
