"""How many attempts may call an agent at the same time, in the whole installation.

The engine counts under them as under the limits of task types, by the keys `agent:NAME`: it is given one mapping of
both, which this service keeps up to date.
"""

from collections import ChainMap
from collections.abc import Mapping

from millrace.app.agents import repository
from millrace.engine.service import Service
from millrace.ports.agents import LIMIT_KEY
from millrace.ports.database import Database


class AgentLimits(Service):
    interval = 5.0

    def __init__(self, database: Database, of_types: Mapping[str, int]) -> None:
        super().__init__()
        self._database = database
        self._written: int | None = None
        self._of_agents: dict[str, int] = {}
        self.all: Mapping[str, int] = ChainMap(self._of_agents, dict(of_types))
        """Limits of agents and of task types, as they are now."""

    async def run_once(self) -> float | None:
        """Read them. Where nobody else writes, only after something was written."""
        written = self._database.written
        if written is not None and written == self._written:
            return None
        found = await self._database.read_for_engine(repository.limits)
        self._of_agents.clear()
        self._of_agents.update({f"{LIMIT_KEY}{name}": most for name, most in found.items()})
        self._written = written
        return None
