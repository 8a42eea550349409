"""Meets `ports.connections.Connections`: rows of the database, opened at each use and never kept.

A row's `config` is what may be shown: the complete config with `***` in place of what is secret. The complete one is
sealed. Every secret text in it is made known to the masker before anybody gets it.
"""

from collections.abc import Iterator

import orjson

from millrace.auth.masking import MASK, SecretMasker
from millrace.auth.scopes import connection_fault, names_in
from millrace.auth.vault import repository
from millrace.auth.vault.envelope import CannotOpen
from millrace.auth.vault.repository import ConnectionRow
from millrace.auth.vault.vault import Vault
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.connections import Connection, ConnectionUnavailable
from millrace.ports.database import Database
from millrace.ports.secrets import OF_NOBODY, SecretUse


class StoredConnections:
    def __init__(self, database: Database, vault: Vault, masker: SecretMasker) -> None:
        self._database = database
        self._vault = vault
        self._masker = masker

    async def resolve(self, name: str, *, types: frozenset[str], use: SecretUse = OF_NOBODY) -> Connection:
        row = await self._database.read_for_engine(lambda connection: repository.find_connection(connection, name))
        if row is None:
            raise ConnectionUnavailable(
                f"there is no connection {name!r}; make one with `millrace connections set {name}`"
            )
        if row.type not in types:
            raise ConnectionUnavailable(
                f"the connection {name!r} has the type {row.type}; here it must be {' or '.join(sorted(types))}"
            )
        fault = connection_fault(name, names_in(row.workflows), use)
        if fault is not None:
            raise ConnectionUnavailable(fault)
        try:
            config = complete_config(self._vault, row)
        except CannotOpen as error:
            raise ConnectionUnavailable(str(error)) from None
        self._masker.learn(secret_texts(orjson.loads(row.config), config))
        if "webhook_url" in config:
            config["url"] = config["webhook_url"]
        return Connection(name, row.type, config)

    async def learn_all(self) -> None:
        """Let the masker know the secrets of every connection."""
        for row in await self._database.read(repository.all_connections):
            try:
                self._masker.learn(secret_texts(orjson.loads(row.config), complete_config(self._vault, row)))
            except CannotOpen:
                continue


def complete_config(vault: Vault, row: ConnectionRow) -> JsonObject:
    """The config with its secrets. Raises `CannotOpen`."""
    text = row.config if row.sealed is None else vault.open(row.subject, row.sealed)
    config: JsonObject = orjson.loads(text)
    return config


def secret_texts(shown: JsonValue, complete: JsonValue) -> Iterator[str]:
    """The texts of `complete` in whose place `shown` has a mask."""
    if shown == MASK and isinstance(complete, str) and complete != MASK:
        yield complete
    elif isinstance(shown, dict) and isinstance(complete, dict):
        for key, value in shown.items():
            yield from secret_texts(value, complete.get(key))
    elif isinstance(shown, list) and isinstance(complete, list):
        for one, other in zip(shown, complete, strict=False):
            yield from secret_texts(one, other)
