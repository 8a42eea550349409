"""What is done with agents: a part of the container, put together by itself, and what others need of it before."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.agents.calling import StoredAgents
from millrace.app.agents.checking import HealthChecker, HealthChecks
from millrace.app.agents.circuit import CircuitRule
from millrace.app.agents.commands import AgentCommands
from millrace.app.agents.limits import AgentLimits
from millrace.app.agents.queries import AgentQueries
from millrace.auth.masking import SecretMasker
from millrace.auth.vault.vault import Vault
from millrace.config import Settings
from millrace.core.values import SECOND
from millrace.engine.service import Service
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.dispatch import Hint, Hints


@dataclass(frozen=True, slots=True)
class AgentUseCases:
    commands: AgentCommands
    queries: AgentQueries
    checker: HealthChecker
    checks: HealthChecks | None
    """`None` where nobody looks at agents without being asked."""
    limits: AgentLimits

    def services(self, hints: Hints, *, schedules: bool) -> list[Service]:
        """What runs in every process, and what in those that schedule, with word of changes to and from others."""
        hints.on(Hint.AGENTS, lambda _: self.limits.wake())
        checks = self.checks if schedules else None

        def changed() -> None:
            hints.tell(Hint.AGENTS)
            if checks is not None:
                checks.wake()

        self.commands.after_change = changed
        return [self.limits] if checks is None else [self.limits, checks]


async def open_agents(
    settings: Settings, database: Database, vault: Vault, masker: SecretMasker, clock: Clock
) -> StoredAgents:
    """What calls stand on, with all credentials known to the masker and the limits as they are."""
    rule = CircuitRule(settings.agent_circuit_failures, settings.agent_circuit_seconds * SECOND)
    limits = AgentLimits(database, settings.task_limits)
    await limits.run_once()
    agents = StoredAgents(database, vault, masker, clock, rule, limits)
    await agents.learn_all()
    return agents


def build_agent_use_cases(a: Adapters) -> AgentUseCases:
    settings, database, clock, ids = a.settings, a.database, a.agents.clock, a.ids
    queries = AgentQueries(database, clock)
    commands = AgentCommands(database, clock, ids, a.vault, a.masker, a.agents, a.outside.addresses)
    checker = HealthChecker(database, queries, a.agents, a.outside.http, a.masker, clock, ids)
    interval = settings.agent_health_seconds
    checks = HealthChecks(database, checker, clock, interval=interval) if interval else None
    return AgentUseCases(commands, queries, checker, checks, a.agents.limits)
