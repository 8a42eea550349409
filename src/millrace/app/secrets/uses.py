"""Whether what somebody saves may name the secrets and connections that it names: judged at each save and deploy.

It is judged again at each use (`SecretChain.resolve`, `StoredConnections.resolve`): what a secret is for may change,
and only that counts. Here the author is told at once, with the place, instead of by a run that fails.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from millrace.app.connections import repository as connections
from millrace.auth.author import author, require_use
from millrace.auth.permissions import Permission
from millrace.auth.scopes import connection_fault, names_in, secret_fault
from millrace.auth.secrets import SecretChain
from millrace.core.errors import Fault
from millrace.ports.database import Database
from millrace.ports.secrets import SecretUse

Places = Mapping[str, Sequence[str]]
"""Names, and where each stands."""
Scopes = Mapping[str, Collection[str] | None]


class NamedSecrets:
    def __init__(self, database: Database, secrets: SecretChain) -> None:
        self._database = database
        self._secrets = secrets

    async def faults(self, workflow: str, secrets: Places, connected: Places, *, saving: bool) -> list[Fault]:
        """Names of secrets and connections that are not for this workflow, at each of their places.

        Those that there are not (yet) are no fault. `saving`: raise `Forbidden` if the author may not use them.
        """
        of_secrets = await self._secrets.scopes(frozenset(secrets)) if secrets else {}
        of_connections = await self._scopes_of_connections(frozenset(connected)) if connected else {}
        if saving:
            require_all(Permission.SECRET_USE, secrets, of_secrets, workflow)
            require_all(Permission.CONNECTION_USE, connected, of_connections, workflow)
        use = SecretUse(workflow, "a definition", keeps_to_hosts=True)
        return [
            *_faults("secret_scope", secrets, of_secrets, use, secret_fault),
            *_faults("connection_scope", connected, of_connections, use, connection_fault),
        ]

    async def _scopes_of_connections(self, names: frozenset[str]) -> Scopes:
        found = await self._database.read(lambda connection: connections.scopes_of(connection, names))
        return {name: names_in(workflows) for name, workflows in found.items()}


def require_all(permission: Permission, places: Places, scopes: Scopes, workflow: str) -> None:
    """Raise `Forbidden` unless the author may name all of them in a definition of this workflow."""
    principal = author()
    if principal is not None:
        for name in places:
            require_use(principal, permission, name, scopes.get(name), workflow)


def _faults(
    code: str,
    places: Places,
    scopes: Scopes,
    use: SecretUse,
    judge: Callable[[str, Collection[str] | None, SecretUse], str | None],
) -> list[Fault]:
    told = []
    for name, where in places.items():
        reason = judge(name, scopes.get(name), use)
        if reason is not None:
            what, _, remedy = reason.partition("; ")
            told += [Fault(place, code, what, remedy) for place in where]
    return told
