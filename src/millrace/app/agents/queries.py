"""Reading agents, and what came of looking at their health."""

from millrace.app.agents import repository
from millrace.app.agents.repository import AgentRow
from millrace.app.agents.views import agent_view, check_view, circuit_view, health_view, unknown_agent
from millrace.app.cursors import Page, decode_text, encode_cursor
from millrace.app.usage.queries import users_of_agent
from millrace.auth.sight import Sight
from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database

BETWEEN = "\n"
"""Stands between name and id in a cursor; no name has one in it."""


class AgentQueries:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self, *, status: str | None, cursor: str | None, limit: int) -> Page[JsonObject]:
        """Agents by name; those that are deleted only where `status` asks for them."""
        key = decode_text(cursor)
        name, _, agent_id = (key or "").partition(BETWEEN)
        after = None if key is None else (name, agent_id)
        rows = await self._database.read(
            lambda connection: repository.listed(connection, status=status, after=after, limit=limit + 1)
        )
        shown, now = rows[:limit], self._clock.now()
        more = encode_cursor(f"{shown[-1].name}{BETWEEN}{shown[-1].id}") if len(rows) > limit else None
        return Page([agent_view(row, now) for row in shown], more)

    async def get(self, reference: str, sight: Sight | None = None) -> JsonObject:
        """One agent by id or name, with the deployed workflows that name it. Raises `NotFound`."""
        row = await self.row(reference)
        users = (
            []
            if row.status == repository.DELETED
            else await self._database.read(lambda connection: users_of_agent(connection, row.name, sight))
        )
        return {**agent_view(row, self._clock.now()), "used_by": users}

    async def row(self, reference: str) -> AgentRow:
        """Raises `NotFound`."""
        row = await self._database.read(lambda connection: repository.find(connection, reference))
        if row is None:
            raise unknown_agent(reference)
        return row

    async def health(self, reference: str, *, cursor: str | None, limit: int) -> tuple[JsonObject, Page[JsonObject]]:
        """How the agent is, and a page of what came of looking at it, the newest first. Raises `NotFound`."""
        before = decode_text(cursor)
        row = await self.row(reference)
        rows = await self._database.read(
            lambda connection: repository.checks(connection, row.id, before=before, limit=limit + 1)
        )
        shown = rows[:limit]
        more = encode_cursor(shown[-1].id) if len(rows) > limit else None
        head: JsonObject = {
            "agent": {"id": row.id, "name": row.name},
            "health": health_view(row),
            "circuit": circuit_view(row, self._clock.now()),
        }
        return head, Page([check_view(check) for check in shown], more)
