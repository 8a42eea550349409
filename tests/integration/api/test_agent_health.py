"""A1: whether agents are well: when somebody asks, now and then by whichever process is first, and as a history."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from millrace.app.agents import repository
from millrace.app.agents.checking import HealthChecks
from millrace.core.values import SECOND
from tests.support.agent_server import AgentServer, agent_server
from tests.support.clock import FakeClock
from tests.support.installation import Installation, installation

INTERVAL = 60


@pytest.fixture
def agent() -> Iterator[AgentServer]:
    with agent_server() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def millrace(tmp_path: Path, database_url: str | None) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "home", database_url, allowed=("127.0.0.1",)) as running:
        yield running


@pytest.fixture
async def registered(api: httpx2.AsyncClient, agent: AgentServer) -> dict[str, Any]:
    response = await api.post("/api/v1/agents", json={"name": "auditor", "url": agent.url})
    made: dict[str, Any] = response.json()
    return made


def checks(millrace: Installation, clock: FakeClock) -> HealthChecks:
    return HealthChecks(millrace.database, millrace.container.agents.checker, clock, interval=INTERVAL)


async def health(api: httpx2.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await api.get("/api/v1/agents/auditor/health", params=query)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


@pytest.mark.usefixtures("registered")
async def test_somebody_may_ask_at_any_time(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    agent.pause = 0.05
    first = (await api.post("/api/v1/agents/auditor/health")).json()
    assert (first["healthy"], first["asked"], first["http_status"], first["message"]) == (True, True, 200, None)
    assert first["latency_ms"] >= 50
    agent.health = 503
    second = (await api.post("/api/v1/agents/auditor/health")).json()
    assert (second["healthy"], second["message"]) == (False, "the answer has the status 503")
    shown = await health(api)
    assert shown["items"] == [second, first]
    assert (shown["health"]["status"], shown["health"]["latency_ms"]) == ("unhealthy", second["latency_ms"])
    assert (await api.get("/api/v1/agents/auditor")).json()["health"] == shown["health"]
    page = await health(api, limit=1)
    assert page["items"] == [second]
    assert (await health(api, limit=1, cursor=page["next_cursor"]))["items"] == [first]


@pytest.mark.usefixtures("registered")
async def test_what_is_not_there_is_not_well(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    agent.http.stop()
    found = (await api.post("/api/v1/agents/auditor/health")).json()
    assert (found["healthy"], found["http_status"]) == (False, None)
    assert found["message"]


async def test_another_path_may_tell_the_health(api: httpx2.AsyncClient, agent: AgentServer) -> None:
    body = {"name": "auditor", "url": agent.url, "health_path": "/deep/health?full=1"}
    await api.post("/api/v1/agents", json=body)
    assert (await api.post("/api/v1/agents/auditor/health")).json()["healthy"]
    await api.patch("/api/v1/agents/auditor", json={"health_path": ""})
    agent.http.clear()
    assert not (await api.post("/api/v1/agents/auditor/health")).json()["healthy"]


@pytest.mark.usefixtures("registered")
async def test_each_agent_is_looked_at_once_in_a_while_by_whoever_is_first(
    millrace: Installation, api: httpx2.AsyncClient, agent: AgentServer, clock: FakeClock
) -> None:
    both = [checks(millrace, clock) for _ in range(2)]
    await asyncio.gather(*(service.run_once() for service in both))
    assert agent.looks == 1
    clock.advance(INTERVAL * SECOND - 1)
    pauses = [await service.run_once() for service in both]
    assert agent.looks == 1
    assert all(pause is not None and pause <= 0.1 for pause in pauses)
    clock.advance(1)
    await asyncio.gather(*(service.run_once() for service in both))
    assert agent.looks == 2
    shown = await health(api)
    assert [item["asked"] for item in shown["items"]] == [False, False]
    assert shown["health"]["status"] == "healthy"


@pytest.mark.usefixtures("registered")
async def test_agents_that_are_not_active_are_left_alone(
    millrace: Installation, api: httpx2.AsyncClient, agent: AgentServer, clock: FakeClock
) -> None:
    await api.patch("/api/v1/agents/auditor", json={"status": "inactive"})
    assert await checks(millrace, clock).run_once() is None
    assert agent.looks == 0
    assert (await api.post("/api/v1/agents/auditor/health")).json()["healthy"], "but somebody may ask"


async def test_the_history_is_bounded(
    millrace: Installation,
    api: httpx2.AsyncClient,
    registered: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repository, "CHECKS_KEPT", 3)
    seen = [(await api.post("/api/v1/agents/auditor/health")).json()["id"] for _ in range(5)]
    await api.delete("/api/v1/agents/auditor")
    kept = await api.get(f"/api/v1/agents/{registered['id']}/health")
    assert [item["id"] for item in kept.json()["items"]] == seen[:1:-1]
