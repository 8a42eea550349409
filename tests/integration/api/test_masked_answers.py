"""D6: the value of a known secret leaves in no answer, however it came in, and the runs that have it go on with it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.routing import Route

from millrace.api.progress import ProgressAnswer, Say
from millrace.api.stream import EventStream, streams_of
from millrace.app.histories.following import Batch
from millrace.core.errors import Conflict
from millrace.core.values import JsonObject
from tests.support.api import create, definition, problem, start
from tests.support.installation import Installation

SECRET = 'sësame "open" / now'
NUMBER = "77350914426"
NAME = "https://hooks.example.com/services/T0CANARY/B0CANARY?key=abcdefghijklmnop"


@pytest.fixture
async def known(api: httpx2.AsyncClient) -> None:
    for name, value in (("door", SECRET), ("number", NUMBER), ("word", "completed"), ("hook", NAME)):
        response = await api.put(f"/api/v1/secrets/{name}", json={"value": value})
        assert response.status_code == 201, response.text


def echo(value: Any) -> dict[str, Any]:
    return {"id": "a", "type": "echo", "config": {"value": value}}


A_NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}}
ALL = {**definition("w", echo("{{ size(input.text) }}")), "output": {"read": "{{ input }}", "by": "{{ input.text }}"}}


async def test_what_a_run_was_given_is_masked_wherever_it_is_shown(known: None, api: httpx2.AsyncClient) -> None:
    await create(api, ALL)
    given = {"text": SECRET, SECRET: [int(NUMBER)], "deep": {"x": f"before {SECRET} behind"}}
    run = await start(api, "w", wait=True, input=given, correlation_id=f"of {SECRET}")
    masked = {"text": "***", "***": ["***"], "deep": {"x": "before *** behind"}}
    assert (run["input"], run["correlation_id"], run["status"]) == (masked, "of ***", "completed")
    assert run["output"] == {"read": masked, "by": "***"}
    assert (await api.get(f"/api/v1/runs/{run['id']}/tasks/a")).json()["output"] == len(SECRET)
    for path in ("/runs", f"/runs/{run['id']}", f"/runs/{run['id']}/events", "/events", f"/runs/{run['id']}/tasks"):
        text = (await api.get(f"/api/v1{path}")).text
        assert "ësame" not in text, path
        assert NUMBER not in text, path
    found = (await api.get("/api/v1/runs", params={"correlation_id": f"of {SECRET}"})).json()["items"]
    assert [one["id"] for one in found] == [run["id"]]


async def test_a_run_that_is_done_again_has_the_real_value(known: None, api: httpx2.AsyncClient) -> None:
    await create(api, ALL)
    first = await start(api, "w", wait=True, input={"text": SECRET})
    again = (await api.post(f"/api/v1/runs/{first['id']}/rerun", json={"wait": True})).json()
    assert again["input"] == {"text": "***"}
    assert (await api.get(f"/api/v1/runs/{again['id']}/tasks/a")).json()["output"] == len(SECRET)


async def test_words_of_our_own_and_definitions_stay_as_they_are(known: None, api: httpx2.AsyncClient) -> None:
    """A secret may have the value of a status; nobody's programs stop understanding the answers for it."""
    made = await create(api, {**definition("completed", echo("completed")), "description": "is completed"})
    assert (made["name"], made["slug"]) == ("completed", "completed")
    assert made["definition"]["tasks"][0]["config"] == {"value": "completed"}
    run = await start(api, made["id"], wait=True, correlation_id="completed")
    assert (run["status"], run["workflow"]["name"], run["correlation_id"]) == ("completed", "completed", "***")


@pytest.mark.parametrize(
    "value", [SECRET, {"deep": SECRET}, "x" * 990 + SECRET, NAME], ids=["raw", "deep", "cut", "url"]
)
async def test_an_error_that_quotes_the_request_is_masked(known: None, api: httpx2.AsyncClient, value: Any) -> None:
    await create(api, {**definition("w", echo(1)), "input": {**A_NUMBER, "additionalProperties": False}})
    for given in ({"n": value}, {"n": 1, str(value): 2}):
        response = await api.post("/api/v1/workflows/w/execute", json={"input": given})
        problem(response, 422, "invalid_input")
        assert "same" not in response.text.replace("the same", ""), response.text
        assert "CANARY" not in response.text
        assert any(told in response.text for told in ("***", "…", "too long to be shown"))
        assert int(response.headers["Content-Length"]) == len(response.content)


async def test_a_secret_that_is_longer_than_an_error_is_not_shown_by_half(api: httpx2.AsyncClient) -> None:
    value = "".join(f"line {number} of a long key\n" for number in range(100))
    await api.put("/api/v1/secrets/long", json={"value": value})
    await create(api, {**definition("w", echo(1)), "input": A_NUMBER})
    response = await api.post("/api/v1/workflows/w/execute", json={"input": {"n": value}})
    problem(response, 422, "invalid_input")
    assert "of a long key" not in response.text


async def test_a_stream_is_masked_too(known: None, api: httpx2.AsyncClient) -> None:
    await create(api, ALL)
    run = await start(api, "w", wait=True, input={"text": SECRET}, correlation_id=SECRET)
    async with api.stream("GET", f"/api/v1/runs/{run['id']}/events", params={"follow": "true"}) as response:
        text = (await response.aread()).decode()
    assert "event: end" in text
    assert "ësame" not in text


async def test_a_secret_set_later_is_masked_in_what_is_stored_already(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await create(api, ALL)
    run = await start(api, "w", wait=True, input={"text": "swordfish"})
    assert run["input"] == {"text": "swordfish"}
    await api.put("/api/v1/secrets/late", json={"value": "swordfish"})
    assert (await api.get(f"/api/v1/runs/{run['id']}")).json()["input"] == {"text": "***"}


async def test_the_lines_of_an_answer_with_progress_are_masked(known: None, millrace: Installation) -> None:
    async def work(say: Say) -> JsonObject:
        say({"check": f"of {SECRET}"})
        return {"problems": [f"about {SECRET}"]}

    async def told(request: Request) -> ProgressAnswer:
        return ProgressAnswer(work)

    millrace.app.router.routes.append(Route("/told", told))
    async with millrace.client() as client:
        lines = (await client.get("/told")).text.splitlines()
    assert lines == ['{"progress":{"check":"of ***"}}', '{"answer":{"problems":["about ***"]}}']


async def test_the_error_that_ends_a_stream_is_masked(known: None, millrace: Installation) -> None:
    async def batches() -> AsyncIterator[Batch]:
        raise Conflict("position_expired", f"it is {SECRET}")
        yield

    async def always() -> None:
        return None

    async def told(request: Request) -> EventStream:
        return streams_of(request).answer("record", batches(), still=always)

    millrace.app.router.routes.append(Route("/told", told))
    async with millrace.client() as client:
        text = (await client.get("/told")).text
    assert 'event: error\ndata: {"code":"position_expired","detail":"it is ***"}' in text
