"""Variables that a run is given: only those that the workflow declares."""

import httpx2
import pytest

from tests.support.api import create, definition, problem, start

URL = "/api/v1"
FAIL = {"id": "no", "type": "fail"}


async def test_a_misspelt_variable_is_refused_with_what_was_meant(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("spelt"), "variables": {"region": "eu"}})
    refused = await api.post(f"{URL}/workflows/spelt/execute", json={"variables": {"regio": "us", "region": "us"}})
    (fault,) = problem(refused, 422, "invalid_input")["faults"]
    assert (fault["path"], fault["code"]) == ("variables.regio", "unknown_field")
    assert "did you mean 'region'" in fault["message"]
    assert "region" in fault["remedy"]
    assert (await api.get(f"{URL}/runs")).json()["items"] == [], "nothing was started"


async def test_a_workflow_without_variables_takes_none(api: httpx2.AsyncClient) -> None:
    await create(api, definition("plain"))
    refused = await api.post(f"{URL}/workflows/plain/execute", json={"variables": {"a": 1, "b c": 2}})
    faults = problem(refused, 422, "invalid_input")["faults"]
    assert [fault["path"] for fault in faults] == ["variables.a", "variables['b c']"]


@pytest.mark.parametrize("how", ["retry", "rerun"])
async def test_what_is_done_again_is_given_known_variables_only(api: httpx2.AsyncClient, how: str) -> None:
    await create(api, {**definition("again", FAIL), "variables": {"region": "eu"}})
    failed = await start(api, "again", wait=True, variables={"region": "us"})
    assert failed["status"] == "failed"
    refused = await api.post(f"{URL}/runs/{failed['id']}/{how}", json={"variables": {"regio": "jp"}})
    (fault,) = problem(refused, 422, "invalid_input")["faults"]
    assert fault["path"] == "variables.regio"
    taken = await api.post(f"{URL}/runs/{failed['id']}/{how}", json={"variables": {"region": "jp"}})
    assert taken.json()["variables"] == {"region": "jp"}, taken.text


async def test_variables_are_those_of_the_version_that_is_run(api: httpx2.AsyncClient) -> None:
    await create(api, {**definition("moved", FAIL), "variables": {"region": "eu"}})
    failed = await start(api, "moved", wait=True)
    await api.patch(f"{URL}/workflows/moved", json={"variables": {"area": "eu"}})
    path = f"{URL}/runs/{failed['id']}/rerun"
    problem(await api.post(path, json={"variables": {"area": "us"}}), 422, "invalid_input")
    taken = await api.post(path, json={"variables": {"area": "us"}, "version": "newest"})
    assert taken.status_code == 202, taken.text
    assert taken.json()["variables"]["area"] == "us"
