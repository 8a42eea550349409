"""I8: what a workflow redacts is stored nowhere: not of a start, of what its tasks answer, of what they fail with."""

from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import Connection, select

from millrace.core.redaction import REDACTED
from millrace.storage.tables import metadata
from tests.support.api import create, problem, start
from tests.support.installation import Installation
from tests.support.webhooks import ECHO, finished, stranger, trigger_of, with_hook

CARD = "4111222233334444"


def echo(name: str, value: Any, *needs: str) -> dict[str, Any]:
    return {"id": name, "type": "echo", "depends_on": list(needs), "config": {"value": value}}


def everything(connection: Connection) -> str:
    """All rows of all tables."""
    return "\n".join(
        repr(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table)).all()
    )


async def assert_nowhere(millrace: Installation, *values: str) -> None:
    stored = await millrace.database.read(everything)
    assert REDACTED in stored
    for value in values:
        assert value not in stored
        assert orjson.dumps(value).decode().strip('"') not in stored


async def test_of_a_start_and_of_what_a_task_answers(millrace: Installation, api: httpx2.AsyncClient) -> None:
    body = {
        "name": "shop",
        "variables": {"mail": "nobody@example.com"},
        "redact": ["$.input.card", "$.input.lines[*].note", "$.variables.mail", "$.tasks.charge.output['the number']"],
        "tasks": [
            echo("charge", {"the number": "{{ '99' + '88' + '77' + '66' }}", "ok": True}),
            echo("after", "{{ tasks.charge.output }} {{ input }} {{ variables }}", "charge"),
        ],
        "output": "{{ tasks.charge.output }}",
    }
    await create(api, body)
    given = {"card": CARD, "lines": [{"note": "call 555-0199", "n": 1}, {"n": 2}]}
    run = await start(api, "shop", input=given, variables={"mail": "ada@example.com"}, wait=True)
    assert run["status"] == "completed"
    assert run["input"] == {"card": REDACTED, "lines": [{"note": REDACTED, "n": 1}, {"n": 2}]}
    assert run["variables"] == {"mail": REDACTED}
    assert run["output"] == {"the number": REDACTED, "ok": True}
    await assert_nowhere(millrace, CARD, "555-0199", "ada@example.com")


async def test_of_what_a_sender_sends(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """What the input takes of it is computed before, so a part of a value may be kept."""
    hook = with_hook(tasks=[ECHO], input={"digits": "{{ size(trigger.body.card) }}"})
    await create(api, {**hook, "redact": ["$.trigger.body.card", "$.trigger.headers.x-token"]})
    path = (await trigger_of(api))["webhook"]["paths"][0]
    async with stranger(millrace) as client:
        answer = await client.post(path, json={"card": CARD, "n": 1}, headers={"X-Token": "quiet-canary-token"})
    run = await finished(millrace, api, answer)
    assert run["input"] == {"digits": 16}
    assert run["output"]["body"] == {"card": REDACTED, "n": 1}
    await assert_nowhere(millrace, CARD, "quiet-canary-token")


@pytest.mark.parametrize("path", ["$.trigger.body.card", "$.trigger.body", "$.trigger.*"])
async def test_of_the_text_that_a_sender_sent(millrace: Installation, api: httpx2.AsyncClient, path: str) -> None:
    """`raw: true` keeps it for runs that check a signature; what is redacted would stand in it."""
    await create(api, {**with_hook(tasks=[ECHO], raw=True), "redact": [path]})
    hook = (await trigger_of(api))["webhook"]["paths"][0]
    async with stranger(millrace) as client:
        answer = await client.post(hook, json={"card": CARD, "n": 1})
    run = await finished(millrace, api, answer)
    assert run["output"]["raw"] == REDACTED
    await assert_nowhere(millrace, CARD)


@pytest.mark.parametrize("computed", ["{{ int(trigger.body.card) }}", "{{ trigger.body.of[trigger.body.card] }}"])
async def test_an_expression_that_fails_quotes_nothing_of_it(
    millrace: Installation, api: httpx2.AsyncClient, computed: str
) -> None:
    """A firing keeps why nothing was started."""
    hook = with_hook(tasks=[ECHO], input={"number": computed})
    await create(api, {**hook, "redact": ["$.trigger.body.card"]})
    path = (await trigger_of(api))["webhook"]["paths"][0]
    async with stranger(millrace) as client:
        answer = await client.post(path, json={"card": "quiet-canary", "of": {}})
    assert answer.status_code == 422, answer.text
    assert "quiet-canary" not in await millrace.database.read(everything)


async def test_of_what_a_task_fails_with(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """The details of a failure are what it would have answered, such as the body of a response."""
    value = {"body": {"card": "{{ '411122' + '2233334444' }}", "n": 1}}
    tasks = [{"id": "charge", "type": "fail", "config": {"value": value}}]
    await create(api, {"name": "shop", "tasks": tasks, "redact": ["$.tasks.charge.output.body.card"]})
    run = await start(api, "shop", wait=True)
    task = (await api.get(f"/api/v1/runs/{run['id']}/tasks/charge")).json()
    assert task["error"]["details"] == {"body": {"card": REDACTED, "n": 1}}


async def test_a_retry_takes_the_input_as_it_is_kept(api: httpx2.AsyncClient) -> None:
    """The schema would not take it: it has been checked, and of another version it is refused without being shown."""
    schema = {"type": "object", "properties": {"card": {"type": "string", "pattern": "^[0-9]{16}$"}}}
    tasks = [echo("a", 1), {"id": "b", "type": "fail"}]
    body = {"name": "shop", "input": schema, "redact": ["$.input.card"], "tasks": tasks}
    await create(api, body)
    run = await start(api, "shop", input={"card": CARD}, wait=True)
    again = await api.post(f"/api/v1/runs/{run['id']}/retry", json={"wait": True})
    assert again.status_code == 200, again.text
    assert again.json()["input"] == {"card": REDACTED}
    changed = await api.put("/api/v1/workflows/shop", json={**body, "variables": {"x": 1}})
    assert changed.json()["version"] == 2, changed.text
    newest = await api.post(f"/api/v1/runs/{run['id']}/retry", json={"version": "newest"})
    (fault,) = problem(newest, 422, "invalid_input")["faults"]
    assert fault["path"] == "input.card"


async def test_a_refused_value_is_quoted_nowhere(millrace: Installation, api: httpx2.AsyncClient) -> None:
    """A firing keeps why it was refused."""
    schema = {"type": "object", "properties": {"card": {"maxLength": 4}, "day": {"type": "string", "maxLength": 3}}}
    hook = with_hook(tasks=[ECHO], input={"card": "{{ trigger.body.card }}", "day": "{{ trigger.body.day }}"})
    await create(api, {**hook, "input": schema, "redact": ["$.input.card", "$.trigger.body.*"]})
    path = (await trigger_of(api))["webhook"]["paths"][0]
    async with stranger(millrace) as client:
        answer = await client.post(path, json={"card": CARD, "day": "monday"})
    assert answer.status_code == 422, answer.text
    refused = await api.post("/api/v1/workflows/hooked/execute", json={"input": {"card": CARD, "day": "monday"}})
    told = {fault["path"]: fault["message"] for fault in problem(refused, 422, "invalid_input")["faults"]}
    assert told["input.card"] == "the value, which the workflow redacts, does not fit"
    assert "monday" in told["input.day"]
    stored = await millrace.database.read(everything)
    assert CARD not in stored


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("input.card", "begins with $"),
        ("$", "this is everything"),
        ("$.input", "all of it"),
        ("$.output.x", "about input, variables, trigger or tasks"),
        ("$.tasks.a.input", "is in its output"),
        ("$.tasks.b.output", "there is no task 'b'"),
        ("$.tasks.loop.output", "done by the engine"),
        ("$.input..card", "stands at character 8"),
        ("$.input[-1]", "stands at character 8"),
        ("$.input[?(@.x)]", "stands at character 8"),
        ("$" + ".x" * 33, "at most 32 steps"),
    ],
)
async def test_a_path_that_is_none_is_refused(api: httpx2.AsyncClient, path: str, says: str) -> None:
    loop = {"id": "loop", "type": "foreach", "config": {"items": [1]}, "tasks": [echo("within", "{{ item }}")]}
    answer = await api.post("/api/v1/workflows", json={"name": "w", "tasks": [echo("a", 1), loop], "redact": [path]})
    (fault,) = problem(answer, 422, "invalid_definition")["faults"]
    assert fault["path"] == "redact[0]"
    assert says in fault["message"]
    assert fault["remedy"]
