"""A named connection as a connection string: the one form in which everything about a database is checked."""

from urllib.parse import quote

from millrace.core.values import JsonValue
from millrace.ports.connections import Connection

TYPES = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})


def connection_string_of(connection: Connection) -> str:
    config = connection.config
    if connection.type == "sqlite":
        return f"sqlite:///{quote(_text(config.get('path')))}"
    user, password = _quoted(config.get("user")), _quoted(config.get("password"))
    host = _text(config.get("host"))
    where = f"[{host}]" if ":" in host else host
    port = f":{config['port']}" if config.get("port") else ""
    login = f"{user}:{password}" if password else user
    tls = _quoted(config.get("tls")) or "prefer"
    return f"{connection.type}://{login}@{where}{port}/{_quoted(config.get('database'))}?sslmode={tls}"


def _quoted(value: JsonValue) -> str:
    return quote(_text(value), safe="")


def _text(value: JsonValue) -> str:
    return "" if value is None else str(value)
