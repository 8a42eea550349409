"""Agents: HTTP services that tasks call, under names. What is secret in one is shown as `***`."""

from collections.abc import AsyncIterator, Mapping
from typing import Literal, TypeAlias, cast

from millrace.client.aio.resource import AsyncResource
from millrace.client.requests import (
    UNSET,
    Body,
    IfMatch,
    Unset,
    given,
    if_match_header,
    path_of,
)
from millrace.client.types import AgentCheck, AgentDeleted, AgentDetail, AgentHealthPage, AgentPage, AgentView

AuthType: TypeAlias = Literal["none", "bearer", "apikey"]
Status: TypeAlias = Literal["active", "inactive", "deleted"]


class AsyncAgents(AsyncResource):
    """`client.agents`."""

    async def list(self, *, status: Status | None = None, cursor: str | None = None, limit: int = 50) -> AgentPage:
        """A page of the agents by name; those that are deleted only with `status="deleted"`."""
        query = {"status": status, "cursor": cursor, "limit": limit}
        return cast(AgentPage, await self._transport.get("/agents", query))

    def iterate(self, *, status: Status | None = None) -> AsyncIterator[AgentView]:
        """All agents by name."""
        return self._transport.pages("/agents", {"status": status})

    async def get(self, agent: str) -> AgentDetail:
        """One agent by id or name, with its health, its circuit and the deployed workflows that call it."""
        return cast(AgentDetail, await self._transport.get(path_of("agents", agent)))

    async def create(
        self,
        name: str,
        url: str,
        *,
        description: str | None = None,
        auth_type: AuthType | None = None,
        auth_config: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        retry_config: Mapping[str, float] | None = None,
        max_concurrent: int | None = None,
        health_path: str | None = None,
        status: Literal["active", "inactive"] | None = None,
    ) -> AgentDetail:
        """Register an agent. `auth_config` is `{"token"}` for bearer, `{"key", "header"}` for apikey.

        Raises `Conflict` for a name that is taken, `InvalidRequest` also for a private address that is not allowed.
        """
        signed = {"auth_type": auth_type, "auth_config": auth_config}
        called = {"timeout_ms": timeout_ms, "retry_config": retry_config, "max_concurrent": max_concurrent}
        about = {"name": name, "url": url, "description": description, "health_path": health_path, "status": status}
        body = Body(given({**about, **signed, **called}))
        return cast(AgentDetail, await self._transport.send("POST", "/agents", body))

    async def update(
        self,
        agent: str,
        *,
        url: str | None = None,
        description: str | Unset | None = UNSET,
        auth_type: AuthType | None = None,
        auth_config: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        retry_config: Mapping[str, float] | None = None,
        max_concurrent: int | Unset | None = UNSET,
        health_path: str | None = None,
        status: Literal["active", "inactive"] | None = None,
        version: int | None = None,
        if_match: IfMatch = None,
    ) -> AgentDetail:
        """Change what is given; `None` takes away a description or a limit. `version`: only if it is this one.

        Credentials that are kept go to no other server. Raises `Conflict` if the agent has changed since.
        """
        signed = {"auth_type": auth_type, "auth_config": auth_config}
        called = {"url": url, "timeout_ms": timeout_ms, "retry_config": retry_config, "health_path": health_path}
        removable = {"description": description, "max_concurrent": max_concurrent}
        changed = {field: value for field, value in removable.items() if value is not UNSET}
        body = Body({**given({**signed, **called, "status": status, "version": version}), **changed})
        answer = await self._transport.send("PATCH", path_of("agents", agent), body, headers=if_match_header(if_match))
        return cast(AgentDetail, answer)

    async def delete(self, agent: str, *, force: bool = False, if_match: IfMatch = None) -> AgentDeleted:
        """Delete an agent. Raises `Conflict` while deployed workflows call it, unless `force`."""
        query = {"force": True} if force else {}
        answer = await self._transport.send(
            "DELETE", path_of("agents", agent), query=query, headers=if_match_header(if_match)
        )
        return cast(AgentDeleted, answer)

    async def check(self, agent: str) -> AgentCheck:
        """Look at the health of an agent now."""
        return cast(AgentCheck, await self._transport.send("POST", path_of("agents", agent, "health")))

    async def health(self, agent: str, *, cursor: str | None = None, limit: int = 50) -> AgentHealthPage:
        """How an agent is, and a page of what came of looking at it, the newest first."""
        query = {"cursor": cursor, "limit": limit}
        return cast(AgentHealthPage, await self._transport.get(path_of("agents", agent, "health"), query))
