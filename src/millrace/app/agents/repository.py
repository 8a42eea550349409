"""The rows of agents and of the looks at their health. SQL only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, tuple_, update

from millrace.app.agents.circuit import Circuit
from millrace.auth.vault.envelope import Sealed, Subject
from millrace.core.values import Instant
from millrace.storage.tables import agent_checks, agents

TABLE = agents.name
CHECKS_KEPT = 1_000
"""Looks at the health of an agent that are kept, the newest ones."""
DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class AgentRow:
    id: str
    name: str
    url: str
    description: str | None
    auth_type: str
    auth_config: str
    sealed: str | None
    key_id: str | None
    timeout_ms: int
    retry_config: str
    max_concurrent: int | None
    health_path: str
    status: str
    version: int
    created_by: str | None
    updated_by: str | None
    created_at: Instant
    updated_at: Instant
    health: str = "unknown"
    health_message: str | None = None
    health_latency_ms: int | None = None
    health_checked_at: Instant | None = None
    health_claimed_at: Instant | None = None
    circuit_failures: int = 0
    circuit_open_until: Instant | None = None
    circuit_trial_until: Instant | None = None

    @property
    def circuit(self) -> Circuit:
        return Circuit(self.circuit_failures, self.circuit_open_until, self.circuit_trial_until)

    @property
    def subject(self) -> Subject:
        return Subject(TABLE, self.name, self.version)

    @property
    def seal(self) -> Sealed | None:
        return None if self.sealed is None or self.key_id is None else Sealed(self.sealed, self.key_id)


@dataclass(frozen=True, slots=True)
class CheckRow:
    id: str
    agent_id: str
    asked: bool
    healthy: bool
    http_status: int | None
    latency_ms: int
    message: str | None
    at: Instant


_AGENT = [agents.c[name] for name in AgentRow.__dataclass_fields__]
_CHECK = [agent_checks.c[name] for name in CheckRow.__dataclass_fields__]
_LIVING = agents.c.status != DELETED


def find(connection: Connection, reference: str) -> AgentRow | None:
    """The agent with this id, deleted or not, or else the one that has this name now."""
    row = connection.execute(select(*_AGENT).where(agents.c.id == reference)).first()
    return named(connection, reference) if row is None else AgentRow(*row)


def named(connection: Connection, name: str) -> AgentRow | None:
    row = connection.execute(select(*_AGENT).where(agents.c.name == name, _LIVING)).first()
    return None if row is None else AgentRow(*row)


def statuses(connection: Connection, names: Collection[str]) -> Mapping[str, str]:
    """The statuses of those of the names that are agents."""
    query = select(agents.c.name, agents.c.status).where(agents.c.name.in_(names), _LIVING)
    return {name: status for name, status in connection.execute(query)} if names else {}


def listed(
    connection: Connection, *, status: str | None, after: tuple[str, str] | None, limit: int
) -> Sequence[AgentRow]:
    """By name; those that are deleted only where that is what is asked for."""
    query = select(*_AGENT).order_by(agents.c.name, agents.c.id).limit(limit)
    query = query.where(_LIVING if status is None else agents.c.status == status)
    if after is not None:
        query = query.where(tuple_(agents.c.name, agents.c.id) > after)
    return [AgentRow(*row) for row in connection.execute(query)]


def all_sealed(connection: Connection) -> Sequence[AgentRow]:
    return [AgentRow(*row) for row in connection.execute(select(*_AGENT).where(agents.c.sealed.is_not(None)))]


def add(connection: Connection, row: AgentRow) -> None:
    connection.execute(insert(agents).values(_values(row)))


def save(connection: Connection, row: AgentRow) -> None:
    connection.execute(update(agents).where(agents.c.id == row.id).values(_values(row)))


def _values(row: AgentRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def limits(connection: Connection) -> Mapping[str, int]:
    """How many attempts may call an agent at the same time, for those that have a limit."""
    query = select(agents.c.name, agents.c.max_concurrent).where(agents.c.max_concurrent.is_not(None), _LIVING)
    return {name: most for name, most in connection.execute(query)}


# --- circuit ----------------------------------------------------------------------------------------------------------


def circuit_of(connection: Connection, agent_id: str) -> Circuit | None:
    """To be changed in the same transaction."""
    columns = (agents.c.circuit_failures, agents.c.circuit_open_until, agents.c.circuit_trial_until)
    row = connection.execute(select(*columns).where(agents.c.id == agent_id).with_for_update()).first()
    return None if row is None else Circuit(*row)


def set_circuit(connection: Connection, agent_id: str, circuit: Circuit) -> None:
    values = {
        "circuit_failures": circuit.failures,
        "circuit_open_until": circuit.open_until,
        "circuit_trial_until": circuit.trial_until,
    }
    connection.execute(update(agents).where(agents.c.id == agent_id).values(values))


# --- health -----------------------------------------------------------------------------------------------------------


def due(connection: Connection, before: Instant, limit: int) -> Sequence[str]:
    """Ids of active agents that nobody has looked at since `before`."""
    query = select(agents.c.id).where(agents.c.status == "active", _not_looked_at_since(before)).limit(limit)
    return list(connection.execute(query).scalars())


def longest_ago(connection: Connection) -> Instant | None:
    """When the active agent was looked at that was looked at longest ago; `None` without any."""
    query = select(func.min(func.coalesce(agents.c.health_claimed_at, 0))).where(agents.c.status == "active")
    found: Instant | None = connection.execute(query).scalar()
    return found


def claim_check(connection: Connection, agent_id: str, before: Instant, now: Instant) -> bool:
    """Whether it is for this caller to look at the agent: of several that would, one is."""
    query = update(agents).where(agents.c.id == agent_id, agents.c.status == "active", _not_looked_at_since(before))
    return connection.execute(query.values(health_claimed_at=now)).rowcount > 0


def _not_looked_at_since(before: Instant) -> ColumnElement[bool]:
    return or_(agents.c.health_claimed_at.is_(None), agents.c.health_claimed_at <= before)


def add_check(connection: Connection, row: CheckRow) -> None:
    """Write what a look has found, and forget those of long ago."""
    connection.execute(insert(agent_checks).values({name: getattr(row, name) for name in row.__dataclass_fields__}))
    found = {
        "health": "healthy" if row.healthy else "unhealthy",
        "health_message": row.message,
        "health_latency_ms": row.latency_ms,
        "health_checked_at": row.at,
    }
    newer = or_(agents.c.health_checked_at.is_(None), agents.c.health_checked_at <= row.at)
    connection.execute(update(agents).where(agents.c.id == row.agent_id, newer).values(found))
    of_agent = agent_checks.c.agent_id == row.agent_id
    newest = select(agent_checks.c.id).where(of_agent).order_by(agent_checks.c.id.desc())
    last = newest.offset(CHECKS_KEPT).limit(1).scalar_subquery()
    connection.execute(delete(agent_checks).where(of_agent, agent_checks.c.id <= last))


def checks(connection: Connection, agent_id: str, *, before: str | None, limit: int) -> Sequence[CheckRow]:
    """The newest first."""
    query = select(*_CHECK).where(agent_checks.c.agent_id == agent_id).order_by(agent_checks.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(agent_checks.c.id < before)
    return [CheckRow(*row) for row in connection.execute(query)]
