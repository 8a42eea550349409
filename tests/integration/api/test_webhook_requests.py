"""S4: what a run is told of a request, what is answered, and what is refused. Over the whole of Millrace."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from millrace.app.artifacts.sweeping import OrphanedObjects
from millrace.core.values import SECOND
from tests.support.api import create, problem
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.webhooks import ECHO, finished, hooked, runs_of, stranger, trigger_of, with_hook

BODY = {"day": "2026-11-21", "lines": [{"id": 1}]}


async def told(millrace: Installation, api: httpx2.AsyncClient, path: str, **request: Any) -> dict[str, Any]:
    """What the run of a request sees as `trigger`."""
    async with stranger(millrace) as client:
        response = await client.request(request.pop("method", "POST"), path, **request)
    run = await finished(millrace, api, response)
    assert run["trigger_type"] == "webhook"
    trigger: dict[str, Any] = run["output"]
    return trigger


async def test_a_request_starts_a_run_that_sees_all_of_it(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api, event_type="order.made", input={"day": "{{ trigger.body.day }}"})
    assert path.startswith("/webhook/")
    assert len(path) > len("/webhook/") + 30, "nobody guesses this"
    headers = {"X-Shop": "berlin", "Cookie": "session=1", "Authorization": "Bearer x", "X-API-Key": "k"}
    trigger = await told(millrace, api, f"{path}?a=1&b=2&b=3&c=", json=BODY, headers=headers)
    assert trigger["time"].endswith("Z")
    assert {key: trigger[key] for key in ("id", "type", "method", "path", "query", "body", "event_type", "files")} == {
        "id": "hook",
        "type": "webhook",
        "method": "POST",
        "path": path,
        "query": {"a": "1", "b": ["2", "3"], "c": ""},
        "body": BODY,
        "event_type": "order.made",
        "files": [],
    }
    assert trigger["headers"]["x-shop"] == "berlin"
    assert not {"cookie", "authorization", "x-api-key"} & set(trigger["headers"])
    (run,) = await runs_of(api)
    assert run["input"] == {"day": "2026-11-21"}
    shown = await trigger_of(api)
    assert shown["counts"] == {"fired": 1, "started": 1, "failed": 0, "missed": 0}
    assert run["trigger_id"] == shown["id"]


@pytest.mark.parametrize(
    ("content", "media_type", "seen"),
    [
        (b'{"a": [1, 2.5, null]}', "application/json", {"a": [1, 2.5, None]}),
        (b'\xef\xbb\xbf{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b'{"a": 1}', "application/vnd.github+json", {"a": 1}),
        (b"7", "application/json", 7),
        (b"a=1&b=%C3%A4&b=&c+d=x+y", "application/x-www-form-urlencoded", {"a": "1", "b": ["ä", ""], "c d": "x y"}),
        ("grüße".encode(), "text/plain", "grüße"),
        (b"<a/>", "application/xml", "<a/>"),
        (b'{"a": 1}', None, {"a": 1}),
        (b"no json", None, "no json"),
        (b"", "application/json", None),
    ],
)
async def test_bodies(
    millrace: Installation, api: httpx2.AsyncClient, content: bytes, media_type: str | None, seen: Any
) -> None:
    path = await hooked(api, raw=True)
    headers = {} if media_type is None else {"Content-Type": media_type}
    trigger = await told(millrace, api, path, content=content, headers=headers)
    assert (trigger["body"], trigger["raw"]) == (seen, content.decode())


async def test_the_raw_text_of_what_is_no_text_is_null(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api, raw=True)
    headers = {"Content-Type": "application/octet-stream"}
    trigger = await told(millrace, api, path, content=b"\xff\xfe", headers=headers)
    assert (trigger["body"], trigger["raw"], len(trigger["files"])) == (None, None, 1)


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "unreadable"),
        (b"\xff", "application/json", 400, "unreadable"),
        (b"NaN", "application/json", 400, "unreadable"),
        (b"[" * 100_000, "application/json", 400, "unreadable"),
        (b'{"a": "\\u0000"}', "application/json", 422, "invalid_input"),
        (b'{"a": "\\ud800"}', "application/json", 422, "invalid_input"),
        (b'{"a": 18446744073709551616}', "application/json", 422, "invalid_input"),
        (b"a=%ff", "application/x-www-form-urlencoded", 400, "unreadable"),
        (b"&".join(b"a=1" for _ in range(1001)), "application/x-www-form-urlencoded", 400, "unreadable"),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400, "unreadable"),
        (b"x", "multipart/form-data", 400, "unreadable"),
        (b"--x\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x", 400, "unreadable"),
    ],
)
async def test_bodies_that_are_not_what_they_say(
    millrace: Installation, api: httpx2.AsyncClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    path = await hooked(api)
    async with stranger(millrace) as client:
        response = await client.post(path, content=content, headers={"Content-Type": media_type})
        problem(response, status, code)
    assert await runs_of(api) == []


async def test_files_become_files_of_the_run(millrace: Installation, api: httpx2.AsyncClient) -> None:
    binary = bytes(range(256)) * 40 + b"\r\n--not the boundary\r\n"
    reading = {"id": "b", "type": "read", "config": {"value": "{{ trigger.files[0] }}"}}
    path = await hooked(api, tasks=[ECHO, reading])
    async with stranger(millrace) as client:
        files = [
            ("orders", ("orders.csv", b"id,total\n1,2\n", "text/csv")),
            ("photo", ("../a\\b.png", binary, "image/png")),
        ]
        response = await client.post(path, data={"shop": "berlin", "tag": ["x", "y"]}, files=files)
    run = await finished(millrace, api, response)
    assert (run["status"], run["output"]["body"]) == ("completed", {"shop": "berlin", "tag": ["x", "y"]})
    first, second = run["output"]["files"]
    assert (first["field"], first["name"], first["media_type"], first["size"]) == (
        "orders",
        "orders.csv",
        "text/csv",
        13,
    )
    assert (second["name"], second["size"]) == (".._a_b.png".strip(" ."), len(binary))
    _, task = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    assert task["output"] == "id,total\n1,2\n"
    listed = (await api.get(f"/api/v1/runs/{run['id']}/artifacts")).json()["items"]
    assert {item["id"] for item in listed} == {first["artifact"], second["artifact"]}
    content = await api.get(f"/api/v1/artifacts/{second['artifact']}/content")
    assert content.content == binary
    assert (await api.get("/api/v1/doctor")).json()["problems"] == []


async def test_files_of_a_run_are_left_alone_by_the_sweep(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """Also where tasks of the run have written files, among which it looks for those of failed attempts."""
    path = await hooked(api, tasks=[ECHO, {"id": "b", "type": "write", "config": {"value": {"own.txt": "1"}}}])
    async with stranger(millrace) as client:
        response = await client.post(path, files={"f": ("a.txt", b"sent", "text/plain")})
    run = await finished(millrace, api, response)
    in_two_days = FakeClock(time.time_ns() // 1000 + 2 * 86_400 * SECOND)
    await OrphanedObjects(millrace.database, millrace.objects, in_two_days).run_once()
    names = [item["name"] for item in (await api.get(f"/api/v1/runs/{run['id']}/artifacts")).json()["items"]]
    assert sorted(names) == ["a.txt", "own.txt"]
    (file,) = run["output"]["files"]
    assert (await api.get(f"/api/v1/artifacts/{file['artifact']}/content")).content == b"sent"


async def test_a_body_that_is_no_text_is_a_file(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api)
    trigger = await told(millrace, api, path, content=b"\x89PNG\x00", headers={"Content-Type": "image/png"})
    (file,) = trigger["files"]
    assert (trigger["body"], file["media_type"], file["size"], file["field"]) == (None, "image/png", 5, None)


async def test_files_of_a_request_that_starts_nothing_are_taken_away(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    path = await hooked(api, **{"if": "{{ trigger.body.wanted == 'yes' }}"})
    async with stranger(millrace) as client:
        response = await client.post(path, data={"wanted": "no"}, files={"f": ("a.txt", b"x", "text/plain")})
    assert (response.status_code, response.json()) == (200, {"decision": "skipped"})
    assert (await api.get("/api/v1/artifacts")).json()["items"] == []
    assert [one.key async for one in millrace.objects.list("uploads")] == []
    (firing,) = (await api.get("/api/v1/workflows/hooked/firings")).json()["items"]
    assert (firing["decision"], firing["reason"]) == ("skipped", "its `if` is false")


async def test_why_a_workflow_does_not_take_a_request_is_told_to_its_owner_and_not_to_the_caller(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    body = with_hook(input={"day": "{{ variables.week[trigger.body.day] }}"})
    schema = {"type": "object", "properties": {"day": {"type": "integer"}}}
    await create(api, {**body, "input": schema, "variables": {"week": {"a": "INTERNAL-42"}}})
    path = (await trigger_of(api))["webhook"]["paths"][0]
    async with stranger(millrace) as client:
        refused = problem(await client.post(path, json={"day": "a"}), 422, "not_started")
        failed = problem(await client.post(path, json={"day": "b"}), 422, "not_started")
    assert refused["detail"] == failed["detail"], "nothing of variables and expressions"
    firings = (await api.get("/api/v1/workflows/hooked/firings")).json()["items"]
    assert [firing["decision"] for firing in firings] == ["failed", "refused"]
    assert "variables.week" in firings[0]["reason"]
    assert 'input.day: "INTERNAL-42" is not of type "integer"' in firings[1]["reason"]
    assert (await trigger_of(api))["last_error"] == firings[0]["reason"]


async def test_methods_are_those_of_the_config(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api, methods=["get", "PUT", "PATCH", "DELETE"])
    async with stranger(millrace) as client:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            assert (await client.request(method, path)).status_code == 202, method
        problem(await client.post(path), 404, "not_found")
    trigger = await told(millrace, api, f"{path}?x=1", method="GET")
    assert (trigger["method"], trigger["query"], trigger["body"]) == ("GET", {"x": "1"}, None)


async def test_a_get_is_not_taken_unless_it_is_wished(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api)
    async with stranger(millrace) as client:
        problem(await client.get(path), 404, "not_found")
    assert await runs_of(api) == []


async def test_whoever_asks_is_told_the_same_wherever_nothing_is(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    """Unknown, disabled, undeployed, of a paused workflow, by another method: nothing tells them apart."""
    path = await hooked(api, path="orders")
    trigger = await trigger_of(api)
    async with stranger(millrace) as client:

        async def told_of(address: str, method: str = "POST") -> dict[str, Any]:
            response = await client.request(method, address, content=b"x" * 2_000_000)
            document = problem(response, 404, "not_found")
            names = sorted(name for name in response.headers if name != "content-length")
            return {**document, "detail": document["detail"].replace(address, "PATH"), "names": names}

        unknown = await told_of("/webhook/nothing")
        assert await told_of(path, "GET") == unknown
        await api.post(f"/api/v1/triggers/{trigger['id']}/disable")
        assert await told_of(path) == unknown
        await api.post(f"/api/v1/triggers/{trigger['id']}/enable")
        assert (await client.post(path)).status_code == 202, "each change holds at once"
        await api.patch("/api/v1/workflows/hooked", json={"status": "paused"})
        assert await told_of(path) == unknown
        await api.patch("/api/v1/workflows/hooked", json={"status": "active"})
        assert (await client.post(path)).status_code == 202
        assert (await api.delete("/api/v1/workflows/hooked/deploy")).status_code in (200, 204)
        assert await told_of(path) == unknown
        assert (await api.delete("/api/v1/workflows/hooked")).status_code in (200, 204)
        assert await told_of(path) == unknown
        assert await told_of("/webhook/") == unknown
        assert await told_of("/webhook/a/b/c") == unknown


async def test_the_id_of_a_workflow_stands_for_its_only_webhook(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    made = await create(api, with_hook(path="orders"))
    async with stranger(millrace) as client:
        assert (await client.post(f"/webhook/{made['id']}")).status_code == 202
        assert (await client.post("/webhook/orders/")).status_code == 202
        assert (await api.post("/api/v1/webhooks", json={"workflow_id": "hooked"})).status_code == 201
        problem(await client.post(f"/webhook/{made['id']}"), 404, "not_found")
        assert (await client.post("/webhook/orders")).status_code == 202


async def test_a_body_may_be_as_large_as_the_config_says(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api, max_body=3_000_000)
    async with stranger(millrace) as client:
        assert (await client.post(path, content=b"x" * 3_000_000)).status_code == 202, "more than the API itself takes"
        refused = problem(await client.post(path, content=b"x" * 3_000_001), 413, "too_large")
        assert "3000000" in refused["detail"]

        async def parts() -> Any:
            for _ in range(31):
                yield b"x" * 100_000

        problem(await client.post(path, content=parts()), 413, "too_large")


async def test_a_caller_may_wait_for_the_output(millrace: Installation, api: httpx2.AsyncClient) -> None:
    body = with_hook(tasks=[{"id": "a", "type": "echo", "config": {"value": "{{ trigger.body.n }}"}}])
    body["triggers"][0]["config"] = {"respond": "output", "path": "sum"}
    await create(api, {**body, "output": {"n": "{{ tasks.a.output }}"}})
    async with stranger(millrace) as client:
        response = await client.post("/webhook/sum", json={"n": 5})
        assert (response.status_code, response.json()) == (200, {"n": 5})


async def test_a_run_that_fails_is_told_and_one_that_takes_long_goes_on(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await create(api, with_hook("failing", tasks=[{"id": "a", "type": "fail"}], respond="output", path="f"))
    await create(
        api, with_hook("holding", tasks=[{"id": "a", "type": "hold"}], respond="output", path="h", wait="100ms")
    )
    async with stranger(millrace) as client:
        failed = problem(await client.post("/webhook/f"), 502, "run_failed")
        assert "asked to fail" not in json.dumps(failed), "what a run says is not for everybody"
        late = await client.post("/webhook/h")
        assert (late.status_code, late.json()["duplicate"]) == (202, False)


async def test_deliveries_are_told_apart_by_a_header_or_by_the_body(
    millrace: Installation, api: httpx2.AsyncClient
) -> None:
    await create(api, with_hook("one", path="one", dedupe={"header": "X-Delivery"}))
    await create(api, with_hook("two", path="two", dedupe={"body": "event.id"}))
    async with stranger(millrace) as client:
        first = await client.post("/webhook/one", headers={"x-delivery": "1"})
        again = await client.post("/webhook/one", headers={"X-Delivery": "1"}, json={"other": 1})
        assert (again.status_code, again.json()) == (200, {"run_id": first.json()["run_id"], "duplicate": True})
        assert (await client.post("/webhook/one", headers={"X-Delivery": "2"})).status_code == 202
        missing = problem(await client.post("/webhook/one"), 422, "invalid_request")
        assert missing["faults"][0]["path"] == "header.X-Delivery"
        for number, status in ((1, 202), (1, 200), (2, 202), ("1", 200)):
            assert (await client.post("/webhook/two", json={"event": {"id": number}})).status_code == status
        assert problem(await client.post("/webhook/two", json={}), 422, "invalid_request")
    assert (len(await runs_of(api, "one")), len(await runs_of(api, "two"))) == (2, 2)


async def test_fifty_deliveries_at_once_start_one_run(millrace: Installation, api: httpx2.AsyncClient) -> None:
    path = await hooked(api, dedupe={"body": "id"})
    async with stranger(millrace) as client:
        responses = await asyncio.gather(*(client.post(path, json={"id": "evt_1"}) for _ in range(50)))
    assert sorted(response.status_code for response in responses) == [200] * 49 + [202]
    assert len({response.json()["run_id"] for response in responses}) == 1
    assert len(await runs_of(api)) == 1
    assert (await trigger_of(api))["counts"]["started"] == 1
