"""Which deployed workflows name a secret, a connection or an agent, so that whoever changes one is told whom that
concerns, as far as he sees them."""

from collections.abc import Callable, Iterator, Sequence

import orjson
from sqlalchemy import Connection

from millrace.app.usage import repository
from millrace.app.usage.naming import named_agents
from millrace.auth.sight import Sight
from millrace.core.values import JsonObject, JsonValue
from millrace.definition.compiling import secrets_in


def users_of_secret(connection: Connection, name: str, sight: Sight | None = None) -> list[JsonValue]:
    """Deployed workflows whose definition reads the secret, or a trigger that stands beside it."""
    rows = [*repository.deployed_with(connection, name, sight), *repository.triggers_with(connection, name, sight)]
    return _users(rows, lambda said: name in secrets_in(said))


def users_of_connection(connection: Connection, name: str, sight: Sight | None = None) -> list[JsonValue]:
    """Deployed workflows with a task whose config names the connection. One that is computed cannot be told."""
    return _users(repository.deployed_with(connection, name, sight), lambda said: name in _named_connections(said))


def users_of_agent(connection: Connection, name: str, sight: Sight | None = None) -> list[JsonValue]:
    """Deployed workflows with a task that calls the agent."""
    rows = repository.deployed_with(connection, name, sight)
    return _users(rows, lambda said: any(called == name for _, called in named_agents(said)))


def _users(rows: Sequence[repository.DeployedRow], uses: Callable[[JsonObject], bool]) -> list[JsonValue]:
    found = {row.workflow_id: row for row in rows if uses(orjson.loads(row.said))}
    return [
        {"id": row.workflow_id, "name": row.name, "version": row.version}
        for row in sorted(found.values(), key=lambda row: row.name)
    ]


def _named_connections(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict):
        config = value.get("config")
        if isinstance(config, dict):
            yield config.get("connection")
        for item in value.values():
            yield from _named_connections(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named_connections(item)
