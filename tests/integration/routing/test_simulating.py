"""S8: which triggers an event would make fire, and which filters of each other one refuse it. Nothing happens."""

from typing import Any

import pytest

from tests.support.api import problem
from tests.support.databases import MOSTLY_ON_SQLITE
from tests.support.routing_kit import Millrace, waiting_for

pytestmark = MOSTLY_ON_SQLITE

EVENT = {"type": "orders.imported", "source": "shop", "subject": "order/1", "data": {"n": 2}}
URL = "/api/v1/triggers/simulate"


async def simulated(millrace: Millrace, event: dict[str, Any] | None = None, **more: Any) -> dict[str, dict[str, Any]]:
    """What each trigger makes of the event, by its workflow."""
    page = await millrace.post("/triggers/simulate", event=event or EVENT, **more)
    assert page["next_cursor"] is None
    return {item["trigger"]["workflow"]["name"]: item for item in page["items"]}


def filters(item: dict[str, Any]) -> list[str]:
    return [refused["filter"] for refused in item["refused"]]


async def test_every_filter_that_refuses_is_named(millrace: Millrace) -> None:
    for name, trigger in {
        "wanted": waiting_for("orders.*", input={"n": "{{ trigger.event.data.n }}"}),
        "type": waiting_for("orders"),
        "all": waiting_for("*", source="a", subject="b*") | {"if": "{{ trigger.event.data.n > 2 }}"},
        "broken": waiting_for("orders.imported") | {"if": "{{ trigger.event.data.m > 2 }}"},
        "disabled": waiting_for("orders.imported", enabled=False),
    }.items():
        await millrace.deploy(name, trigger)
    await millrace.deploy("paused", waiting_for("*"))
    assert (await millrace.api.post("/api/v1/workflows/paused/disable")).status_code == 200
    await millrace.deploy("undeployed", waiting_for("orders.*"))
    assert (await millrace.api.delete("/api/v1/workflows/undeployed/deploy")).status_code == 200
    found = await simulated(millrace)
    assert {name: filters(item) for name, item in found.items() if not item["matches"]} == {
        "type": ["event_type"],
        "all": ["source", "subject", "if"],
        "disabled": ["enabled"],
        "paused": ["workflow.status"],
        "undeployed": ["workflow.deployed"],
    }
    assert (found["wanted"]["matches"], found["wanted"]["input"], found["wanted"]["error"]) == (True, {"n": 2}, None)
    assert found["broken"]["matches"]
    assert "m" in found["broken"]["error"]
    assert found["type"]["refused"] == [
        {
            "filter": "event_type",
            "wanted": "orders",
            "got": "orders.imported",
            "message": "the type must be 'orders'; that of the event is 'orders.imported'",
        }
    ]
    assert list(found)[-1] == "type", "what waits for another type comes last"
    assert (await millrace.get("/events"))["items"] == []
    assert (await millrace.get("/runs"))["items"] == []


async def test_what_is_simulated_is_what_happens(millrace: Millrace) -> None:
    for number, (type_, more) in enumerate(
        [("orders.*", {}), ("orders.imported", {"source": "s*"}), ("*", {"subject": "x"}), ("orders.lost", {})]
    ):
        await millrace.deploy(f"w{number}", waiting_for(type_, **more))
    would = {name for name, item in (await simulated(millrace)).items() if item["matches"]}
    await millrace.publish(EVENT["type"], **{name: value for name, value in EVENT.items() if name != "type"})
    await millrace.until_routed()
    assert {run["workflow"]["name"] for run in (await millrace.get("/runs"))["items"]} == would == {"w0", "w1"}


async def test_the_answer_comes_page_by_page_each_trigger_once(millrace: Millrace) -> None:
    types = [["a.b", "a.*", "*"], "a.*", "*", "c", "a.b", "d"]
    for number, type_ in enumerate(types):
        await millrace.deploy(f"w{number}", waiting_for(type_))
    seen: list[str] = []
    cursor = None
    while True:
        asked = {"event": {"type": "a.b"}, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await millrace.post("/triggers/simulate", **asked)
        assert len(page["items"]) <= 2
        seen += [item["trigger"]["workflow"]["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == [f"w{number}" for number in range(len(types))]
    assert set(seen[:4]) == {"w0", "w1", "w2", "w4"}


async def test_the_question_may_be_about_one_workflow(millrace: Millrace) -> None:
    for name in ("one", "two"):
        await millrace.deploy(name, waiting_for("orders.*"), waiting_for("stock.*", id="other"))
    page = await millrace.post("/triggers/simulate", event=EVENT, workflow="two")
    told = [(item["trigger"]["workflow"]["name"], item["trigger"]["name"], item["matches"]) for item in page["items"]]
    assert told == [("two", "told", True), ("two", "other", False)]


async def test_ends_of_runs_can_be_simulated_though_nobody_may_publish_them(millrace: Millrace) -> None:
    await millrace.deploy("after", waiting_for("millrace.run.*"))
    await millrace.deploy("everything", waiting_for("*"))
    found = await simulated(millrace, {"type": "millrace.run.failed", "source": "workflows/load"})
    assert (found["after"]["matches"], found["everything"]["matches"]) == (True, False)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ""),
        ({"event": {}}, "event.type"),
        ({"event": {"type": "a", "data": 2**70}}, "event.data"),
        ({"event": {"type": "a"}, "limit": 0}, "limit"),
        ({"event": {"type": "a"}, "other": 1}, "other"),
    ],
)
async def test_what_is_no_question(millrace: Millrace, body: dict[str, Any], path: str) -> None:
    response = await millrace.api.post(URL, json=body)
    assert response.status_code == 422, response.text
    assert [fault["path"] for fault in response.json()["faults"]] == [path]


async def test_unknown_places(millrace: Millrace) -> None:
    asked = {"event": {"type": "a"}}
    problem(await millrace.api.post(URL, json={**asked, "workflow": "none"}), 404, "workflow_not_found")
    for cursor in ("x", "IjoxIg", "IjEyMzQ1OmEi"):
        problem(await millrace.api.post(URL, json={**asked, "cursor": cursor}), 422, "invalid_cursor")
