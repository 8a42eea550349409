"""T4: the task type `agent` against a real HTTP server: what is sent, tried again, left in peace, and limited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.core.values import SECOND
from tests.support.agent_server import AgentServer, agent_server
from tests.support.api import create, definition, problem
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation

NO_RETRY = {"max_retries": 0}
QUICK = {"max_retries": 3, "delay": 0.1, "max_delay": 1, "multiplier": 1}
FAILURES = 5


@pytest.fixture
def agent() -> Iterator[AgentServer]:
    with agent_server() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None, clock: FakeClock) -> AsyncIterator[Installation]:
    running = installation(tmp_path / "home", database_url, allowed=("127.0.0.1",), agent_clock=clock)
    async with running as millrace:
        yield millrace


@pytest.fixture
async def registered(api: httpx2.AsyncClient, agent: AgentServer) -> dict[str, Any]:
    return await register(api, agent, retry_config=NO_RETRY)


async def register(api: httpx2.AsyncClient, agent: AgentServer, **more: Any) -> dict[str, Any]:
    response = await api.post("/api/v1/agents", json={"name": "auditor", "url": agent.url, **more})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def task(**more: Any) -> dict[str, Any]:
    config = {"agent": "auditor", **more.pop("config", {})}
    return {"id": "call", "type": "agent", "config": config, **more}


async def run_of(api: httpx2.AsyncClient, *tasks: dict[str, Any], input: Any = None) -> dict[str, Any]:
    name = f"calls {id(tasks)}"
    await create(api, {**definition(name, *tasks), "output": "{{ tasks.call.output }}"})
    body = {"wait": True, **({} if input is None else {"input": input})}
    response = await api.post(f"/api/v1/workflows/{name}/execute", json=body)
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    assert (await api.delete(f"/api/v1/workflows/{name}")).status_code in (200, 204)
    return run


async def eventually(there: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await there():  # noqa: ASYNC110 - it is another process' or thread's doing
            await asyncio.sleep(0.05)


async def has_status(api: httpx2.AsyncClient, run: dict[str, Any], status: str) -> bool:
    return bool((await api.get(f"/api/v1/runs/{run['id']}")).json()["status"] == status)


async def circuit(api: httpx2.AsyncClient) -> tuple[str, int]:
    shown = (await api.get("/api/v1/agents/auditor")).json()["circuit"]
    return shown["state"], shown["failures"]


async def lines(api: httpx2.AsyncClient, run: dict[str, Any]) -> list[str]:
    return [line["text"] for line in (await api.get(f"/api/v1/runs/{run['id']}/logs")).json()["items"]]


@pytest.mark.usefixtures("registered")
async def test_the_mapped_input_is_the_body_and_the_answer_is_the_output(
    api: httpx2.AsyncClient, agent: AgentServer
) -> None:
    config = {"input": {"n": "{{ input.n }}", "all": ["{{ input }}"]}, "path": "/reviews", "headers": {"X-Team": "a"}}
    run = await run_of(api, task(config=config), input={"n": 7})
    assert run["status"] == "completed", run
    assert run["output"]["body"] == {"said": {"n": 7, "all": [{"n": 7}]}}
    assert (run["output"]["status"], run["output"]["headers"]["content-type"]) == (200, "application/json")
    (request,) = agent.received
    assert (request.method, request.path, request.content_type) == ("POST", "/v1/reviews", "application/json")
    told = {name: request.headers[name] for name in ("X-Team", "X-Millrace-Run", "X-Millrace-Task", "Idempotency-Key")}
    assert told == {
        "X-Team": "a",
        "X-Millrace-Run": run["id"],
        "X-Millrace-Task": "call",
        "Idempotency-Key": f"{run['id']}/call",
    }


async def test_the_agent_says_how_it_is_tried_again(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    await register(api, agent, retry_config=QUICK)
    agent.answers = [503, 429]
    run = await run_of(api, task())
    assert run["status"] == "completed"
    assert len(agent.received) == 3
    assert len({request.headers["Idempotency-Key"] for request in agent.received}) == 1
    told = [line for line in await lines(api, run) if line.startswith("try ")]
    assert [line.partition(" failed")[0] for line in told] == ["try 1", "try 2"]
    agent.answers = [500] * 10
    failed = await run_of(api, task())
    assert len(agent.received) == 3 + 4, "one try, and three more"
    assert failed["error"]["message"].endswith('the answer has the status 500, which is not expected: {"said": null}')


async def test_what_the_agent_refuses_is_not_tried_again(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    await register(api, agent, retry_config=QUICK)
    agent.answers = [404]
    run = await run_of(api, task())
    assert (run["status"], len(agent.received)) == ("failed", 1)
    assert await circuit(api) == ("closed", 0)


async def test_a_task_that_says_how_it_is_tried_again_wins(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    await register(api, agent, retry_config=QUICK)
    for retry, calls in (({"max_attempts": 1}, 1), ({"max_attempts": 2, "delay": "0s"}, 2)):
        agent.received.clear()
        agent.answers = [500] * calls
        assert (await run_of(api, task(retry=retry)))["status"] == "failed"
        assert len(agent.received) == calls


async def test_a_call_has_the_limit_of_the_agent_or_of_the_task(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    await register(api, agent, retry_config=NO_RETRY, timeout_ms=1_000)
    agent.free.clear()
    for more, words in (({}, "did not answer within 1 s"), ({"timeout": "3s"}, "did not answer within 2.")):
        run = await run_of(api, task(**more))
        assert words in run["error"]["message"], run["error"]
        (found,) = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
        assert found["error"]["kind"] == "timeout"
    assert await circuit(api) == ("closed", 2)


@pytest.mark.usefixtures("registered")
async def test_an_agent_that_fails_again_and_again_is_left_in_peace(
    millrace: Installation, api: httpx2.AsyncClient, agent: AgentServer, clock: FakeClock
) -> None:
    agent.answers = [500] * FAILURES
    for number in range(1, FAILURES + 1):
        await run_of(api, task())
        assert await circuit(api) == ("open" if number == FAILURES else "closed", number)
    run = await run_of(api, task())
    assert len(agent.received) == FAILURES, "no connection is made"
    assert "the circuit of the agent 'auditor' is open: it failed 5 times in a row" in run["error"]["message"]
    (found,) = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    assert found["error"]["kind"] == "error", "a retry policy may try it later"
    clock.advance(30 * SECOND)
    assert (await circuit(api))[0] == "half_open"
    agent.answers = [500]
    await run_of(api, task())
    assert await circuit(api) == ("open", FAILURES + 1)
    assert len(agent.received) == FAILURES + 1
    clock.advance(30 * SECOND)
    assert (await run_of(api, task()))["status"] == "completed"
    assert await circuit(api) == ("closed", 0)


@pytest.mark.usefixtures("registered")
@pytest.mark.both_databases
async def test_only_one_call_is_tried_when_the_time_is_over(
    millrace: Installation, api: httpx2.AsyncClient, agent: AgentServer, clock: FakeClock
) -> None:
    agent.answers = [500] * FAILURES
    for _ in range(FAILURES):
        await run_of(api, task())
    clock.advance(31 * SECOND)
    agent.free.clear()
    await create(api, definition("many", *({**task(), "id": f"t{n}", "depends_on": []} for n in range(5))))
    run = (await api.post("/api/v1/workflows/many/execute", json={})).json()

    async def one_is_left() -> bool:
        items = (await api.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
        return sorted(item["status"] for item in items) == ["failed"] * 4 + ["running"]

    async def is_closed() -> bool:
        return await circuit(api) == ("closed", 0)

    await eventually(one_is_left)
    assert len(agent.received) == FAILURES + 1
    agent.free.set()
    await eventually(is_closed)


@pytest.mark.usefixtures("registered")
async def test_failures_that_are_not_in_a_row_open_nothing(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    agent.answers = [500, 500, 500, 500, 200, 500]
    for _ in range(6):
        await run_of(api, task())
    assert await circuit(api) == ("closed", 1)


async def test_a_call_that_works_writes_nothing_about_the_circuit(
    millrace: Installation, api: httpx2.AsyncClient, agent: AgentServer
) -> None:
    await register(api, agent)
    taken = await millrace.agents.take("auditor")
    written = millrace.database.written
    await millrace.agents.worked(taken)
    assert millrace.database.written == written


async def test_an_agent_that_is_not_there_counts_as_failed(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    await register(api, agent, retry_config=NO_RETRY)
    agent.http.stop()
    run = await run_of(api, task())
    assert run["status"] == "failed"
    assert await circuit(api) == ("closed", 1)
    changed = await api.patch("/api/v1/agents/auditor", json={"url": agent.url.replace("/v1", "/v2")})
    assert changed.json()["circuit"]["failures"] == 0, "another place starts anew"


@pytest.mark.both_databases
async def test_no_more_attempts_call_an_agent_than_its_limit_allows(
    millrace: Installation, api: httpx2.AsyncClient, agent: AgentServer
) -> None:
    await register(api, agent, max_concurrent=2)
    agent.free.clear()
    for name in ("one", "two"):
        await create(api, definition(name, *({**task(), "id": f"t{n}", "depends_on": []} for n in range(4))))
    runs = [(await api.post(f"/api/v1/workflows/{name}/execute", json={})).json() for name in ("one", "two")]

    async def are_called() -> bool:
        return len(agent.received) == 2

    await eventually(are_called)
    await asyncio.sleep(0.3)
    assert agent.at_work == 2
    waits = (await api.get(f"/api/v1/runs/{runs[1]['id']}")).json()["waiting_for"]
    assert ("task_limit", "agent:auditor") in {(wait["reason"], wait.get("key")) for wait in waits}
    await api.patch("/api/v1/agents/auditor", json={"max_concurrent": 3})
    agent.free.set()
    for run in runs:
        await eventually(partial(has_status, api, run, "completed"))
    assert len(agent.received) == 8
    assert agent.most_at_work <= 3


@pytest.mark.usefixtures("registered")
async def test_a_cancelled_call_ends(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    agent.free.clear()
    await create(api, definition("long", task()))
    run = (await api.post("/api/v1/workflows/long/execute", json={})).json()

    async def is_called() -> bool:
        return bool(agent.received)

    await eventually(is_called)
    assert (await api.post(f"/api/v1/runs/{run['id']}/cancel", json={})).status_code == 202
    await eventually(partial(has_status, api, run, "cancelled"))
    assert await circuit(api) == ("closed", 0)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"path": "https://elsewhere.example.com/"}, "path"),
        ({"path": "//elsewhere.example.com/"}, "path"),
        ({"method": "TRACE"}, "method"),
        ({"headers": {"a b": "c"}}, "headers['a b']"),
        ({"inputs": 1}, "inputs"),
        ({"method": "GET", "input": 1}, ""),
        ({"agent": ""}, "agent"),
    ],
)
@pytest.mark.usefixtures("registered")
async def test_a_config_is_checked_before_it_is_saved(
    api: httpx2.AsyncClient, config: dict[str, Any], path: str
) -> None:
    response = await api.post("/api/v1/workflows", json=definition("calls", task(config=config)))
    found = problem(response, 422, "invalid_definition")["faults"]
    place = f"tasks[0].config.{path}".rstrip(".")
    assert place in {fault["path"] for fault in found}, found


@pytest.mark.usefixtures("registered")
async def test_a_path_of_a_template_leads_to_no_other_server(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    for path in ("https://elsewhere.example.com/", "//elsewhere.example.com/"):
        run = await run_of(api, task(config={"path": "{{ input.path }}"}), input={"path": path})
        assert run["status"] == "failed"
        assert "path names a server" in run["error"]["message"]
    run = await run_of(api, task(config={"path": "{{ input.path }}"}), input={"path": "@elsewhere.example.com/"})
    assert run["status"] == "completed"
    assert [request.path for request in agent.received] == ["/v1/@elsewhere.example.com/"]
