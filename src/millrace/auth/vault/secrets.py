"""The secrets of the database as a source of the chain. Nothing is kept: a change holds from its commit on."""

from collections.abc import Collection, Mapping, Sequence

from millrace.auth.scopes import Found, names_in
from millrace.auth.vault import repository
from millrace.auth.vault.envelope import CannotOpen
from millrace.auth.vault.vault import Vault
from millrace.ports.database import Database
from millrace.ports.secrets import SecretUnavailable


class StoredSecrets:
    """Meets `auth.secrets.SecretSource`."""

    label = "database"

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def find(self, names: frozenset[str]) -> Mapping[str, Found]:
        rows = await self._database.read_for_engine(lambda connection: repository.find_secrets(connection, names))
        try:
            return {
                row.subject.name: Found(
                    self._vault.open(row.subject, row.sealed), names_in(row.workflows), names_in(row.hosts)
                )
                for row in rows
            }
        except CannotOpen as error:
            raise SecretUnavailable(str(error)) from None

    async def scopes(self, names: frozenset[str]) -> Mapping[str, Collection[str] | None]:
        rows = await self._database.read(lambda connection: repository.find_secrets(connection, names))
        return {row.subject.name: names_in(row.workflows) for row in rows}

    async def everything(self) -> Sequence[str]:
        """Values that secrets have and had; those of connections are known to `StoredConnections`."""
        values = []
        for row in await self._database.read(repository.sealed_rows):
            if row.subject.table == repository.SECRETS:
                try:
                    values.append(self._vault.open(row.subject, row.sealed))
                except CannotOpen:
                    continue
        return values

    def remedy(self, name: str) -> str:
        return f"run `millrace secrets set {name}`"
