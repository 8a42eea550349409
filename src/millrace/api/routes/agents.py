"""Routes about agents: HTTP services that tasks call, under a name. What is secret is shown as `***`."""

from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response

from millrace.api.bodies import answer, checked_in_private, page_answer, request_body
from millrace.api.deps import Containers, SightBeside, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.presence import while_present
from millrace.api.queries import Cursor, Limit, known_word
from millrace.api.schemas.agents import (
    AGENT_EXAMPLE,
    CHANGE_EXAMPLE,
    AgentCheck,
    AgentDeleted,
    AgentDetail,
    AgentHealthPage,
    AgentPage,
)
from millrace.app.agents.bodies import AgentBody, AgentChange, AgentFields
from millrace.app.agents.commands import IfMatch
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.core.values import JsonObject

router = api_router("agents")

READ = [requires(Permission.AGENT_READ)]
Writer = Annotated[Principal, requires(Permission.AGENT_WRITE)]
STATUSES = ("active", "inactive", "deleted")


async def _if_match(
    if_match: Annotated[
        str | None, Header(description="The ETag or the version of the agent: refused if it has changed since.")
    ] = None,
) -> IfMatch:
    if if_match is None:
        return None
    known = {part.strip().removeprefix("W/").strip('"') for part in if_match.split(",")}
    return lambda version: "*" in known or str(version) in known


Matcher = Annotated[IfMatch, Depends(_if_match)]


def _schema(model: type[AgentFields]) -> dict[str, Any]:
    return model.model_json_schema(ref_template="#/components/schemas/{model}")


@router.get("/agents", dependencies=READ, responses={200: {"model": AgentPage}})
async def list_agents(
    container: Containers,
    status: Annotated[str | None, Query(description="active, inactive or deleted; without it all but deleted.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The agents by name."""
    wanted = known_word("query.status", status, STATUSES)
    page = await container.agents.queries.list(status=wanted, cursor=cursor, limit=limit)
    return page_answer(await named_page(container, page))


@router.post(
    "/agents",
    status_code=201,
    responses={201: {"model": AgentDetail}},
    openapi_extra=request_body(_schema(AgentBody), AGENT_EXAMPLE),
)
async def create_agent(request: Request, container: Containers, caller: Writer) -> Response:
    """Register an agent. A private address is refused unless the settings of Millrace allow it."""
    body = await checked_in_private(request, AgentBody)
    shown = await container.agents.commands.create(body, by=caller.user_id)
    return _told(await named(container, shown), 201, {"Location": f"/api/v1/agents/{shown['id']}"})


@router.get("/agents/{agent}", dependencies=READ, responses={200: {"model": AgentDetail}})
async def get_agent(agent: str, container: Containers, sight: SightBeside) -> Response:
    """An agent by id or name, with its health, its circuit and the deployed workflows that call it."""
    return _told(await named(container, await container.agents.queries.get(agent, sight)))


@router.put(
    "/agents/{agent}",
    responses={200: {"model": AgentDetail}},
    openapi_extra=request_body(_schema(AgentChange), CHANGE_EXAMPLE),
)
async def update_agent(
    agent: str, request: Request, container: Containers, caller: Writer, if_match: Matcher
) -> Response:
    """Change the fields that are given; its name stays. Credentials that are kept go to no other server."""
    return await _change(agent, request, container, caller, if_match)


@router.patch(
    "/agents/{agent}",
    responses={200: {"model": AgentDetail}},
    openapi_extra=request_body(_schema(AgentChange), CHANGE_EXAMPLE),
)
async def change_agent(
    agent: str, request: Request, container: Containers, caller: Writer, if_match: Matcher
) -> Response:
    """The same."""
    return await _change(agent, request, container, caller, if_match)


@router.delete("/agents/{agent}", responses={200: {"model": AgentDeleted}})
async def delete_agent(
    agent: str,
    container: Containers,
    caller: Writer,
    if_match: Matcher,
    force: Annotated[bool, Query(description="Also where deployed workflows call it, which will fail.")] = False,
) -> Response:
    """Delete an agent and its credentials; its name is free from then on. Its health is still told, by its id."""
    return answer(await container.agents.commands.delete(agent, by=caller.user_id, force=force, if_match=if_match))


@router.post(
    "/agents/{agent}/health",
    dependencies=[requires(Permission.AGENT_CHECK)],
    responses={200: {"model": AgentCheck}},
)
async def check_agent(agent: str, request: Request, container: Containers) -> Response:
    """Look at the health of an agent now. It ends when the client goes."""
    return answer(await while_present(request, container.agents.checker.check_now(agent)))


@router.get("/agents/{agent}/health", dependencies=READ, responses={200: {"model": AgentHealthPage}})
async def get_agent_health(agent: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """How an agent is, and what came of looking at it, the newest first."""
    head, page = await container.agents.queries.health(agent, cursor=cursor, limit=limit)
    return answer({**head, "items": page.items, "next_cursor": page.next_cursor})


async def _change(
    agent: str, request: Request, container: Containers, caller: Principal, if_match: IfMatch
) -> Response:
    body = await checked_in_private(request, AgentChange)
    shown = await container.agents.commands.change(agent, body, by=caller.user_id, if_match=if_match)
    return _told(await named(container, shown))


def _told(shown: JsonObject, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return answer(shown, status, {"ETag": f'"{shown["version"]}"', **(headers or {})})
