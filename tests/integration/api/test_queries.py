"""R1: names in a query that a route does not know are refused, with the one that was probably meant."""

from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem
from tests.support.installation import Installation

pytestmark = pytest.mark.both_databases

URL = "/api/v1"


@pytest.mark.parametrize(
    ("path", "given", "meant"),
    [
        ("/runs", "statu", "status"),
        ("/runs", "workflows", "workflow"),
        ("/runs", "created-after", "created_after"),
        ("/workflows", "Label", "label"),
        ("/workflows", "limits", "limit"),
        ("/workflows/listed/diff", "form", "from"),
        ("/workflows/listed/runs", "corelation_id", "correlation_id"),
    ],
)
async def test_a_misspelt_name_is_refused_with_what_was_meant(
    api: httpx2.AsyncClient, path: str, given: str, meant: str
) -> None:
    await create(api, definition("listed"))
    refused = await api.get(f"{URL}{path}", params={given: "x", meant: "1"})
    (fault,) = problem(refused, 422, "invalid_request")["faults"]
    assert (fault["path"], fault["code"]) == (f"query.{given}", "unknown_parameter")
    assert f"did you mean {meant!r}?" in fault["message"]
    assert meant in fault["remedy"]


async def test_every_unknown_name_is_told_once_and_no_value_is(api: httpx2.AsyncClient) -> None:
    refused = problem(await api.get(f"{URL}/runs?api_key=hidden&a=1&a=2&=3&b"), 422, "invalid_request")
    assert [fault["path"] for fault in refused["faults"]] == ["query.api_key", "query.a", "query.", "query.b"]
    assert "hidden" not in str(refused)
    none = problem(await api.get(f"{URL}/task-types?limit=3"), 422, "invalid_request")
    assert none["faults"][0]["remedy"] == "leave it out: none is taken here"


async def test_nothing_is_done_for_a_misspelt_query(api: httpx2.AsyncClient) -> None:
    await create(api, definition("kept"))
    problem(await api.delete(f"{URL}/workflows/kept?sorce=elsewhere"), 422, "invalid_request")
    problem(await api.post(f"{URL}/workflows/apply?dryrun=true", json=definition("new")), 422, "invalid_request")
    assert [item["name"] for item in (await api.get(f"{URL}/workflows")).json()["items"]] == ["kept"]


async def test_a_stranger_learns_no_names(millrace: Installation) -> None:
    async with millrace.client("") as stranger:
        problem(await stranger.get(f"{URL}/runs?statu=x"), 401, "unauthenticated")


async def test_many_and_long_names_are_answered_in_short(api: httpx2.AsyncClient) -> None:
    many = "&".join(f"name{number}=1" for number in range(1000))
    assert len(problem(await api.get(f"{URL}/runs?{many}"), 422, "invalid_request")["faults"]) == 200
    long = problem(await api.get(f"{URL}/runs?{'n' * 10_000}=1"), 422, "invalid_request")
    assert len(str(long)) < 1000


async def test_runs_of_several_workflows_can_be_asked_for_at_once(api: httpx2.AsyncClient) -> None:
    for name in ("one", "two", "three"):
        await create(api, {**definition(name), "labels": {"odd": str(name != "two").lower()}})
        assert (await api.post(f"{URL}/workflows/{name}/execute", json={"input": {}})).status_code == 202

    async def names(**narrow: Any) -> list[str]:
        items = (await api.get(f"{URL}/runs", params=narrow)).json()["items"]
        return [item["workflow"]["name"] for item in items]

    assert await names(workflow=["one", "two", "one"]) == ["two", "one"]
    assert await names(workflow=["one", "two"], label="odd:true") == ["one"]
    assert await names() == ["three", "two", "one"]
    problem(await api.get(f"{URL}/runs", params={"workflow": ["one", "nowhere"]}), 404, "workflow_not_found")
    problem(await api.get(f"{URL}/runs", params={"workflow": ["one"] * 51}), 422, "invalid_request")
