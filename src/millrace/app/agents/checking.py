"""Whether agents are well: a GET behind their url that is answered with 2xx, when somebody asks and now and then.

Any number of processes may look now and then; which of them looks at an agent is settled in its row.
"""

import asyncio
import logging
import time

from sqlalchemy import Connection

from millrace.app.agents import repository
from millrace.app.agents.calling import StoredAgents
from millrace.app.agents.queries import AgentQueries
from millrace.app.agents.repository import DELETED, AgentRow, CheckRow
from millrace.app.agents.views import check_view, unknown_agent
from millrace.auth.vault.envelope import CannotOpen
from millrace.core.values import SECOND, JsonObject
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.http import HttpClient, HttpFailed, HttpRequest
from millrace.ports.ids import Ids
from millrace.ports.network import AddressRefused
from millrace.ports.secrets import Masker

logger = logging.getLogger(__name__)

WITHIN = 10.0
"""Seconds for an answer; fewer for an agent whose calls may take fewer."""
AT_ONCE = 8
LONGEST_MESSAGE = 500


class HealthChecker:
    def __init__(
        self,
        database: Database,
        queries: AgentQueries,
        agents: StoredAgents,
        http: HttpClient,
        masker: Masker,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._queries = queries
        self._agents = agents
        self._http = http
        self._masker = masker
        self._clock = clock
        self._ids = ids

    async def check_now(self, reference: str) -> JsonObject:
        """Look at an agent, active or not, and write down what was found. Raises `NotFound`."""
        row = await self._queries.row(reference)
        if row.status == DELETED:
            raise unknown_agent(reference)
        return check_view(await self.check(row, asked=True))

    async def check(self, row: AgentRow, *, asked: bool = False) -> CheckRow:
        began = time.monotonic()
        status, message = await self._asked(row)
        took = round((time.monotonic() - began) * 1_000)
        found = CheckRow(
            id=self._ids.new(),
            agent_id=row.id,
            asked=asked,
            healthy=message is None,
            http_status=status,
            latency_ms=took,
            message=None if message is None else self._masker.text(message)[:LONGEST_MESSAGE],
            at=self._clock.now(),
        )
        await self._database.write(lambda connection: repository.add_check(connection, found))
        return found

    async def _asked(self, row: AgentRow) -> tuple[int | None, str | None]:
        """The status of the answer, and what is wrong, if anything is."""
        within = min(WITHIN, row.timeout_ms / 1_000)
        try:
            headers = self._agents.credentials(row)
            address = row.url.rstrip("/") + row.health_path
            async with asyncio.timeout(within), self._http.send(HttpRequest("GET", address, headers)) as answer:
                status = answer.status
        except TimeoutError:
            return None, f"no answer within {within:g} s"
        except (AddressRefused, CannotOpen, HttpFailed) as error:
            return None, str(error)
        return status, None if 200 <= status <= 299 else f"the answer has the status {status}"


class HealthChecks(Service):
    """Looks at every active agent once in `interval` seconds, whichever process gets to it first."""

    def __init__(self, database: Database, checker: HealthChecker, clock: Clock, *, interval: float) -> None:
        super().__init__()
        self.interval = interval
        self._database = database
        self._checker = checker
        self._clock = clock

    async def run_once(self) -> float | None:
        before = self._clock.now() - round(self.interval * SECOND)
        due = await self._database.read(lambda connection: repository.due(connection, before, AT_ONCE))
        async with asyncio.TaskGroup() as tasks:
            for agent_id in due:
                tasks.create_task(self._check(agent_id, before), name="agent health")
        longest = await self._database.read(repository.longest_ago)
        if longest is None:
            return None
        return max(0.1, longest / SECOND + self.interval - self._clock.now() / SECOND)

    async def _check(self, agent_id: str, before: int) -> None:
        now = self._clock.now()

        def claim(connection: Connection) -> AgentRow | None:
            return (
                repository.find(connection, agent_id)
                if repository.claim_check(connection, agent_id, before, now)
                else None
            )

        row = await self._database.write(claim)
        if row is None:
            return
        found = await self._checker.check(row)
        if not found.healthy and row.health != "unhealthy":
            logger.warning("the agent %r is not well: %s", row.name, found.message)
