"""Previews over HTTP: when a schedule is due next, what changes of clocks do to it, and what cannot be asked."""

from typing import Any

import httpx2
import pytest

from millrace.app.triggers.preview_bodies import BODIES
from millrace.triggers.configs import SCHEDULES
from tests.support.api import create, definition, problem

PREVIEW = "/api/v1/triggers/preview"
SPRING = "2026-03-28T00:00:00Z"


async def preview(api: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await api.post(PREVIEW, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_the_next_firings_of_an_expression(api: httpx2.AsyncClient) -> None:
    found = await preview(api, expression="30 2 * * *", timezone="Europe/Berlin", count=2, **{"from": SPRING})
    assert (found["expression"], found["timezone"]) == ("30 2 * * *", "Europe/Berlin")
    assert found["items"] == [
        {
            "due_at": "2026-03-28T01:30:00.000000Z",
            "local": "2026-03-28T02:30:00+01:00",
            "offset": "+01:00",
            "shift": None,
            "note": None,
            "starts_at": "2026-03-28T01:30:00.000000Z",
            "starts_before": None,
        },
        {
            "due_at": "2026-03-29T01:00:00.000000Z",
            "local": "2026-03-29T03:00:00+02:00",
            "offset": "+02:00",
            "shift": "gap",
            "note": "clocks skip the time that is named; this is the first moment after the gap",
            "starts_at": "2026-03-29T01:00:00.000000Z",
            "starts_before": None,
        },
    ]
    assert found["clock_changes"] == [
        {
            "at": "2026-03-29T01:00:00.000000Z",
            "before": "2026-03-29T02:00:00+01:00",
            "after": "2026-03-29T03:00:00+02:00",
        }
    ]


@pytest.mark.parametrize(
    ("dst", "expression", "says"),
    [
        ({"overlap": "first"}, "30 2 * * *", "it fires the first time only"),
        ({"overlap": "last"}, "30 2 * * *", "it fires the second time only"),
        ({"overlap": "both"}, "30 2 * * *", "it fires both times"),
        ({}, "30 * * * *", "it fires both times"),
    ],
)
async def test_a_time_that_is_shown_twice_is_marked(
    api: httpx2.AsyncClient, dst: dict[str, str], expression: str, says: str
) -> None:
    found = await preview(
        api, expression=expression, timezone="Europe/Berlin", dst=dst, count=3, **{"from": "2026-10-24T23:45:00Z"}
    )
    marked = [item for item in found["items"] if item["shift"] == "overlap"]
    assert len(marked) == (2 if "both" in says else 1)
    assert all(says in item["note"] for item in marked)


async def test_a_jitter_is_not_known_before_there_is_a_trigger(api: httpx2.AsyncClient) -> None:
    (item,) = (await preview(api, expression="@daily", jitter="10m", count=1, **{"from": SPRING}))["items"]
    assert (item["starts_at"], item["starts_before"]) == (None, "2026-03-29T00:10:00.000000Z")


async def test_without_a_moment_it_begins_now_and_shows_ten(api: httpx2.AsyncClient) -> None:
    found = await preview(api, expression="* * * * *")
    assert len(found["items"]) == 10
    assert found["timezone"] == "UTC"
    assert found["items"][0]["due_at"] > found["from"]


async def test_the_config_of_a_trigger_can_be_sent_as_it_is(api: httpx2.AsyncClient) -> None:
    assert (await preview(api, expression="@yearly", catch_up={"policy": "all", "limit": 3}, count=100))["items"]


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        ({"expression": "61 * * * *"}, "expression", "minute: 61 is not between 0 and 59"),
        ({"expression": "0 0 30 2 *"}, "expression", "it never fires"),
        ({}, "expression", "is missing"),
        ({"expression": "@daily", "timezone": "Mars"}, "timezone", "no time zone 'Mars'"),
        ({"expression": "@daily", "dst": {"gap": "x"}}, "dst.gap", "none of those there are"),
        ({"expression": "@daily", "count": 101}, "count", "100"),
        ({"expression": "@daily", "count": 0}, "count", "1"),
        ({"expression": "@daily", "from": "2026-01-01T00:00:00"}, "from", "a time without a zone"),
        ({"expression": "@daily", "from": "1969-12-31T00:00:00Z"}, "from", "1970"),
        ({"expression": "@daily", "from": "9999-12-31T00:00:00Z"}, "from", "2100"),
        ({"expression": "@daily", "colour": 1}, "colour", "no field 'colour'"),
        ({"type": "interval"}, "every", "is missing"),
        ({"type": "interval", "every": "1ms"}, "every", "an interval is 1s at least"),
        ({"type": "interval", "every": "1h", "counted_from": "start"}, "counted_from", "none of those there are"),
        (
            {"type": "interval", "every": "1h", "counted_from": "last_end", "anchor": "2026-01-01"},
            "anchor",
            "no anchor",
        ),
        ({"type": "interval", "every": "1h", "start": "2026-02-01", "end": "2026-01-01"}, "end", "before `start`"),
        ({"type": "interval", "every": "1h", "dst": {"gap": "skip"}}, "dst", "no field 'dst'"),
        ({"type": "interval", "every": "1h", "count": "3"}, "count", "a whole number, not text"),
        ({"type": "once"}, "at", "is missing"),
        ({"type": "once", "at": "24.12.2026"}, "at", "is not a moment"),
        ({"type": "once", "at": "2026-12-24", "start": "2026-12-24"}, "start", "no field 'start'"),
        ({"type": "intervall", "every": "1h"}, "type", "did you mean 'interval'?"),
        ({"type": "webhook", "path": "x"}, "type", "a trigger of the type webhook has no schedule"),
        ({"type": ["once"], "at": "2026-12-24"}, "type", "a type is text"),
        ({"every": "1h"}, "type", "`every` is a field of another type of schedule"),
        ({"at": "2026-12-24"}, "type", "`at` is a field of another type of schedule"),
    ],
)
async def test_what_cannot_be_previewed(api: httpx2.AsyncClient, body: Any, path: str, says: str) -> None:
    found = problem(await api.post(PREVIEW, json=body), 422, "invalid_request")
    (fault,) = found["faults"]
    assert fault["path"] == path
    assert says in fault["message"]
    assert fault["remedy"]
    assert "nput should" not in fault["message"]


async def test_a_type_that_was_forgotten_is_named(api: httpx2.AsyncClient) -> None:
    for body, meant in (({"every": "1h"}, "interval"), ({"at": "2026-12-24"}, "once"), ({"type": "cro"}, "cron")):
        (fault,) = problem(await api.post(PREVIEW, json=body), 422, "invalid_request")["faults"]
        assert meant in fault["remedy"]


async def test_an_interval_that_nobody_has_saved(api: httpx2.AsyncClient) -> None:
    found = await preview(
        api, type="interval", every="6h", timezone="Europe/Berlin", count=2, **{"from": "2026-10-24T20:00:00Z"}
    )
    assert (found["expression"], found["timezone"], found["note"]) == ("every 6h", "Europe/Berlin", None)
    assert [item["local"] for item in found["items"]] == ["2026-10-25T02:00:00+02:00", "2026-10-25T07:00:00+01:00"]
    assert [change["before"] for change in found["clock_changes"]] == ["2026-10-25T03:00:00+02:00"]
    bounded = await preview(
        api, type="interval", every=3600, anchor="2026-03-28T00:30:00Z", start="2026-03-28T02:00:00Z",
        end="2026-03-28T04:00:00Z", catch_up={"policy": "all", "limit": 3}, jitter="5m", **{"from": SPRING},
    )  # fmt: skip
    assert [item["due_at"][11:16] for item in bounded["items"]] == ["02:30", "03:30"]
    assert [item["starts_before"][11:16] for item in bounded["items"]] == ["02:35", "03:35"]


async def test_one_moment_that_nobody_has_saved(api: httpx2.AsyncClient) -> None:
    found = await preview(api, type="once", at="2099-12-24T18:00", timezone="Europe/Berlin")
    assert (found["expression"], found["note"]) == ("once at 2099-12-24T18:00", None)
    assert [item["local"] for item in found["items"]] == ["2099-12-24T18:00:00+01:00"]
    assert found["clock_changes"] == [], "not those of all years before"
    over = await preview(api, type="once", at="2020-12-24T18:00")
    assert (over["items"], over["clock_changes"]) == ([], [])


async def test_of_what_counts_from_the_last_end_the_first_time_is_known(api: httpx2.AsyncClient) -> None:
    schedule = {"type": "interval", "every": "10m", "counted_from": "last_end", "timezone": "Europe/Berlin"}
    at_once = await preview(api, **schedule, **{"from": SPRING})
    assert [item["due_at"] for item in at_once["items"]] == ["2026-03-28T00:00:00.000000Z"]
    assert "end of the run before" in at_once["note"]
    later = await preview(api, **schedule, start="2026-04-01", **{"from": SPRING})
    assert [item["local"] for item in later["items"]] == ["2026-04-01T00:00:00+02:00"]
    over = await preview(api, **schedule, end="2026-03-27", **{"from": SPRING})
    assert (over["items"], over["note"]) == ([], None)


async def test_every_schedule_is_previewed_alike_before_and_after_it_is_saved(api: httpx2.AsyncClient) -> None:
    configs = {
        "cron": {"expression": "*/7 3 * * *", "timezone": "Europe/Berlin", "start": "2026-03-29"},
        "interval": {"every": "1d", "anchor": "2026-03-20T02:30", "timezone": "Europe/Berlin"},
        "once": {"at": "2026-03-29T02:30", "timezone": "Europe/Berlin"},
    }
    assert configs.keys() == SCHEDULES.keys() == BODIES.keys()
    triggers = [{"id": f"t_{kind}", "type": kind, "config": config} for kind, config in configs.items()]
    await create(api, {**definition("all"), "triggers": triggers})
    for kind, config in configs.items():
        unsaved = await preview(api, **config, type=kind, count=5, **{"from": SPRING})
        path = f"/api/v1/workflows/all/triggers/t_{kind}/preview"
        assert (await api.get(path, params={"count": 5, "from": SPRING})).json() == unsaved
        assert unsaved["items"]


def scheduled(name: str, **fields: Any) -> dict[str, Any]:
    triggers = [
        {"id": "nightly", "type": "cron", "config": {"expression": "0 2 * * *", "jitter": "10m"}},
        {"id": "by hand", "type": "manual"},
    ]
    triggers[1]["id"] = "by_hand"
    return {**definition(name), "triggers": triggers, **fields}


async def test_a_trigger_of_a_workflow_with_the_jitter_it_has(api: httpx2.AsyncClient) -> None:
    await create(api, scheduled("orders"))
    path = "/api/v1/workflows/orders/triggers/nightly/preview"
    found = (await api.get(path, params={"count": 2, "from": SPRING})).json()
    starts = [item["starts_at"] for item in found["items"]]
    assert [item["due_at"][:16] for item in found["items"]] == ["2026-03-28T02:00", "2026-03-29T02:00"]
    assert all(item["starts_before"] is None for item in found["items"])
    assert starts[0][10:] == starts[1][10:], "the delay is the same each time"
    assert "T02:00:00" <= starts[0][10:19] < "T02:10:00"
    rows = (await api.get("/api/v1/workflows/orders/triggers")).json()["items"]
    upcoming = next(row for row in rows if row["name"] == "nightly")["next_firing"]
    assert upcoming["starts_at"][10:] == starts[0][10:], "it is what the scheduler does"


async def test_a_trigger_that_is_not_deployed_can_be_previewed(api: httpx2.AsyncClient) -> None:
    await create(api, scheduled("orders", status="draft"))
    found = await api.get("/api/v1/workflows/orders/triggers/nightly/preview", params={"count": 1})
    assert found.status_code == 200, found.text
    assert len(found.json()["items"]) == 1


async def test_what_has_no_schedule(api: httpx2.AsyncClient) -> None:
    await create(api, scheduled("orders"))
    problem(await api.get("/api/v1/workflows/nothing/triggers/nightly/preview"), 404, "workflow_not_found")
    problem(await api.get("/api/v1/workflows/orders/triggers/nothing/preview"), 404, "trigger_not_found")
    refused = problem(await api.get("/api/v1/workflows/orders/triggers/by_hand/preview"), 422, "no_schedule")
    assert "manual" in refused["faults"][0]["message"]
    path = "/api/v1/workflows/orders/triggers/nightly/preview"
    problem(await api.get(path, params={"count": 101}), 422, "invalid_request")
    problem(await api.get(path, params={"from": "yesterday"}), 422, "invalid_request")


async def test_a_definition_with_a_faulty_schedule_is_refused(api: httpx2.AsyncClient) -> None:
    faulty = {**definition("orders"), "triggers": [{"type": "cron", "config": {"expression": "0 25 * * *"}}]}
    found = problem(await api.post("/api/v1/workflows", json=faulty), 422, "invalid_definition")
    (fault,) = found["faults"]
    assert fault["path"] == "triggers[0].config.expression"
    assert fault["message"] == "hour: 25 is not between 0 and 23"


async def test_schedules_without_an_expression_are_previewed_too(api: httpx2.AsyncClient) -> None:
    every = {"id": "often", "type": "interval", "config": {"every": "6h", "timezone": "Europe/Berlin"}}
    once = {"id": "then", "type": "once", "config": {"at": "2099-12-24T18:00", "timezone": "Europe/Berlin"}}
    await create(api, {**definition("steps"), "triggers": [every, once]})
    path = "/api/v1/workflows/steps/triggers/{}/preview?from=2026-10-24T20:00:00Z&count=2"
    found = (await api.get(path.format("often"))).json()
    assert (found["expression"], found["timezone"]) == ("every 6h", "Europe/Berlin")
    assert [item["local"] for item in found["items"]] == ["2026-10-25T02:00:00+02:00", "2026-10-25T07:00:00+01:00"]
    assert [change["before"] for change in found["clock_changes"]] == ["2026-10-25T03:00:00+02:00"]
    found = (await api.get(path.format("then"))).json()
    assert (found["expression"], [item["local"] for item in found["items"]]) == (
        "once at 2099-12-24T18:00",
        ["2099-12-24T18:00:00+01:00"],
    )


async def test_trigger_types(api: httpx2.AsyncClient) -> None:
    found = (await api.get("/api/v1/trigger-types")).json()
    assert [item["type"] for item in found["items"]] == ["cron", "event", "interval", "manual", "once", "webhook"]
    assert "expression" in found["items"][0]["config_schema"]["properties"]


async def test_the_published_schema_knows_them(api: httpx2.AsyncClient) -> None:
    schema = (await api.get("/api/v1/definition-schema")).json()
    assert "timezone" in schema["$defs"]["CronTriggerConfig"]["properties"]
    openapi = (await api.get("/openapi.json")).json()
    body = openapi["paths"][PREVIEW]["post"]["requestBody"]["content"]["application/json"]["schema"]
    types = {one["properties"]["type"]["const"]: one for one in body["oneOf"]}
    assert types.keys() == SCHEDULES.keys()
    assert [kind for kind, one in types.items() if "type" not in one["required"]] == ["cron"]
    reference = types["cron"]["properties"]["dst"]["$ref"]
    assert reference.removeprefix("#/components/schemas/") in openapi["components"]["schemas"]
