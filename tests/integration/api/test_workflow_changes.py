"""W1, W7: a change that gives the short words of a task list alone, `cron_expression` and `max_concurrent_runs`."""

from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem

URL = "/api/v1/workflows"
LISTED = {"name": "listed", "tasks": [{"name": "a", "task_type": "echo", "config": {"value": 1}}]}
METHODS = pytest.mark.parametrize("method", ["PATCH", "PUT"])
OTHERS = [
    {"id": "hourly", "type": "cron", "config": {"expression": "0 * * * *"}},
    {"id": "often", "type": "interval", "config": {"every": "5m"}},
]


async def changed(api: httpx2.AsyncClient, method: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await api.request(method, f"{URL}/{name}", json=body)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()["definition"]
    return made


def crons(made: dict[str, Any]) -> dict[str, str]:
    return {trigger["id"]: trigger["config"].get("expression") for trigger in made.get("triggers", [])}


@METHODS
async def test_a_cron_expression_alone_makes_changes_and_removes_its_trigger(
    api: httpx2.AsyncClient, method: str
) -> None:
    await create(api, LISTED)
    made = await changed(api, method, "listed", {"cron_expression": "0 2 * * *"})
    assert crons(made) == {"cron": "0 2 * * *"}
    assert made["concurrency"] == {"limit": 1}, "what is not given stays"
    assert crons(await changed(api, method, "listed", {"cron_expression": "0 3 * * *"})) == {"cron": "0 3 * * *"}
    assert "triggers" not in await changed(api, method, "listed", {"cron_expression": None})
    rows = (await api.get(f"{URL}/listed/triggers")).json()["items"]
    assert [row["key"] for row in rows if row["type"] == "cron"] == []
    assert "triggers" not in await changed(api, method, "listed", {"cron_expression": None}), (
        "nothing is left to remove"
    )


@METHODS
async def test_other_triggers_and_what_else_the_trigger_says_stay(api: httpx2.AsyncClient, method: str) -> None:
    zoned = {"id": "cron", "type": "cron", "config": {"expression": "0 2 * * *", "timezone": "Europe/Berlin"}}
    await create(api, {**definition("many"), "triggers": [*OTHERS, {**zoned, "enabled": False}]})
    made = await changed(api, method, "many", {"cron_expression": "0 4 * * *"})
    assert crons(made) == {"hourly": "0 * * * *", "often": None, "cron": "0 4 * * *"}
    kept = made["triggers"][-1]
    assert (kept["config"]["timezone"], kept["enabled"]) == ("Europe/Berlin", False)
    assert list(crons(await changed(api, method, "many", {"cron_expression": None}))) == ["hourly", "often"]


async def test_null_removes_no_trigger_that_only_has_the_name(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("named"), "triggers": [{**OTHERS[1], "id": "cron"}]})
    assert list(crons(await changed(api, "PATCH", "named", {"cron_expression": None}))) == ["cron"]


@METHODS
async def test_null_in_a_whole_task_list_removes_the_trigger(api: httpx2.AsyncClient, method: str) -> None:
    await create(api, {**LISTED, "cron_expression": "0 2 * * *", "max_concurrent_runs": 4, "triggers": OTHERS})
    whole = {**LISTED, "cron_expression": None, "max_concurrent_runs": None}
    made = await changed(api, method, "listed", whole)
    assert (list(crons(made)), made["concurrency"]) == (["hourly", "often"], {"limit": 1})


@METHODS
async def test_max_concurrent_runs_alone_changes_the_limit(api: httpx2.AsyncClient, method: str) -> None:
    await create(api, {**definition("limited"), "concurrency": {"limit": 2, "when_full": "skip"}})
    for given, limit in ((7, 7), (None, 1)):
        made = await changed(api, method, "limited", {"max_concurrent_runs": given})
        assert made["concurrency"] == {"limit": limit, "when_full": "skip"}
    await create(api, LISTED)
    both = await changed(api, method, "listed", {"max_concurrent_runs": 3, "cron_expression": "@daily"})
    assert (both["concurrency"], list(crons(both))) == ({"limit": 3}, ["cron"])


@METHODS
async def test_null_makes_no_limit_where_there_is_none(api: httpx2.AsyncClient, method: str) -> None:
    body = {**definition("free"), "max_concurrent_runs": None}
    assert "concurrency" not in (await create(api, body))["definition"]
    assert "concurrency" not in await changed(api, method, "free", {"max_concurrent_runs": None})
    replaced = await api.put(f"{URL}/free?replace=true", json=body)
    assert "concurrency" not in replaced.json()["definition"]
    assert (await api.post(f"{URL}/apply", json=body)).json()["outcome"] == "unchanged"


async def test_a_version_that_is_changed_is_none_of_a_new_workflow(api: httpx2.AsyncClient) -> None:
    body = {**definition("new"), "version": 7}
    for path in ("", "/apply", "/apply?dry_run=true"):
        refused = problem(await api.post(f"{URL}{path}", json=body), 409, "stale_version")
        assert "'new'" in refused["detail"]
    assert (await api.get(URL)).json()["items"] == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cron_expression": "0 24 * * *"}, "not between 0 and 23"),
        ({"cron_expression": 5}, "text"),
        ({"max_concurrent_runs": 0}, "at least 1"),
        ({"max_concurrent_runs": "two"}, "whole number"),
    ],
)
async def test_faults_name_the_word_that_was_given(api: httpx2.AsyncClient, given: dict[str, Any], says: str) -> None:
    await create(api, definition("faulty"))
    (fault,) = problem(await api.patch(f"{URL}/faulty", json=given), 422, "invalid_definition")["faults"]
    assert (fault["path"], says in fault["message"]) == (next(iter(given)), True), fault


async def test_an_etag_refuses_what_a_version_number_lets_through(api: httpx2.AsyncClient) -> None:
    await create(api, definition("told"))
    url, tag = f"{URL}/told", (await api.get(f"{URL}/told")).headers["ETag"]
    assert (await api.patch(url, json={"description": "one"}, headers={"If-Match": '"1"'})).status_code == 200
    late = await api.patch(url, json={"description": "two"}, headers={"If-Match": tag})
    shown = (await api.get(url)).json()
    detail = problem(late, 409, "stale_version")["detail"]
    assert f"it was last changed at {shown['updated_at']} and is at version 1" in detail
    assert shown["description"] == "one"
    assert (await api.patch(url, json={"description": "two", "version": 1})).status_code == 200, "no newer version"


async def test_two_words_for_the_status_may_agree(api: httpx2.AsyncClient) -> None:
    await create(api, definition("agreed"))
    for status, active in (("archived", False), ("active", True)):
        body = {"status": status, "is_active": active}
        assert (await api.patch(f"{URL}/agreed", json=body)).json()["status"] == status
