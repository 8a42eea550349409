"""Set, roll back and delete connections. The secrets in them go in here and come out for tasks alone."""

import re
from dataclasses import dataclass, replace

import orjson
from sqlalchemy import Connection

from millrace.app.connections import repository
from millrace.app.connections.configs import ConfigForms, checked_config
from millrace.app.connections.queries import connection_view, unknown_connection
from millrace.app.connections.repository import ConnectionRow, FormerRow
from millrace.app.connections.types import TYPES
from millrace.app.secrets.commands import unknown_version
from millrace.app.secrets.queries import listed
from millrace.app.secrets.scopes import AS_BEFORE, Scope
from millrace.app.usage.queries import users_of_connection
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.auth.masking import SecretMasker
from millrace.auth.vault.connections import secret_texts
from millrace.auth.vault.envelope import CannotOpen, Sealed, Subject
from millrace.auth.vault.vault import Vault
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.values import PLAIN_VALUES, Instant, InvalidValue, JsonObject, JsonValue, check_value
from millrace.ports.clock import Clock
from millrace.ports.database import Database

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True)
class ConnectionRequest:
    type: str
    config: JsonObject
    description: str | None = None
    scope: Scope = AS_BEFORE


class ConnectionCommands:
    def __init__(self, database: Database, clock: Clock, vault: Vault, masker: SecretMasker) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._masker = masker

    async def put(self, name: str, request: ConnectionRequest, *, by: str) -> tuple[JsonObject, bool]:
        """Set a connection: as shown, with the deployed workflows that name it, and whether it is new.

        A secret field that is `***` keeps the secret it has. Raises `InvalidRequest`.
        """
        _check(name, request)
        now = self._clock.now()

        def work(connection: Connection) -> tuple[ConnectionRow, list[JsonValue]]:
            before = repository.find_connection(connection, name, lock=True)
            forms = checked_config(request.type, request.config, self._forms(before, request.type))
            self._masker.learn(secret_texts(forms.shown, forms.complete))
            row = self._row(connection, name, request, forms, before, by, now)
            repository.save_connection(connection, row)
            known = None if before is None else _noted(before)
            note(connection, Action.CONNECTION_SET, name, name, before=known, after=_noted(row))
            return row, users_of_connection(connection, name)

        row, users = await self._database.write(work)
        return {**connection_view(row), "used_by": users}, row.version == 1

    async def roll_back(self, name: str, version: int, *, by: str) -> JsonObject:
        """Have it say again what a former version said, as a new version; what it is for stays as it is.

        Raises `NotFound`, and `Conflict` for a version that holds already or does not open.
        """
        now = self._clock.now()

        def work(connection: Connection) -> tuple[ConnectionRow, list[JsonValue]]:
            before = repository.find_connection(connection, name, lock=True)
            if before is None:
                raise unknown_connection(name)
            if version == before.version:
                raise Conflict("version_holds", f"version {version} of the connection {name!r} is the one that holds")
            found = {row.version: row for row in repository.former_versions(connection, name)}
            if version not in found:
                raise unknown_version("connection", name, version)
            row = self._again(connection, before, found[version], by, now)
            repository.save_connection(connection, row)
            note(connection, Action.CONNECTION_SET, name, name, before=_noted(before), after=_noted(row))
            return row, users_of_connection(connection, name)

        row, users = await self._database.write(work)
        return {**connection_view(row), "used_by": users}

    def _again(
        self, connection: Connection, before: ConnectionRow, former: FormerRow, by: str, now: Instant
    ) -> ConnectionRow:
        """The row that says what a former one said; its secrets are sealed for their new place."""
        row = replace(
            before,
            type=former.type,
            config=former.config,
            version=before.version + 1,
            sealed=None,
            key_id=None,
            updated_by=by,
            updated_at=now,
        )
        if former.sealed is None or former.key_id is None:
            return row
        try:
            subject = Subject(repository.TABLE, before.name, former.version)
            complete = self._vault.open(subject, Sealed(former.sealed, former.key_id))
        except CannotOpen as error:
            raise Conflict("version_unusable", f"version {former.version}: {error}") from None
        self._masker.learn(secret_texts(orjson.loads(former.config), orjson.loads(complete)))
        sealed = self._vault.seal(connection, Subject(repository.TABLE, before.name, row.version), complete)
        return replace(row, sealed=sealed.text, key_id=sealed.key_id)

    async def rescope(self, name: str, scope: Scope) -> JsonObject:
        """Say anew which workflows a connection is for; its config and version stay. Answers it as `put` does.

        Raises `NotFound` and `InvalidRequest`.
        """
        if faults := scope.faults():
            raise InvalidRequest("invalid_connection", "the connection cannot be kept", faults=faults)

        def work(connection: Connection) -> tuple[ConnectionRow, list[JsonValue]]:
            before = repository.find_connection(connection, name, lock=True)
            if before is None:
                raise unknown_connection(name)
            row = replace(before, workflows=scope.kept_workflows(before.workflows))
            repository.save_scope(connection, row)
            note(connection, Action.CONNECTION_SET, name, name, before=_noted(before), after=_noted(row))
            return row, users_of_connection(connection, name)

        row, users = await self._database.write(work)
        return {**connection_view(row), "used_by": users}

    async def delete(self, name: str) -> JsonObject:
        """Delete a connection; answers the deployed workflows that name it. Raises `NotFound`."""

        def work(connection: Connection) -> tuple[bool, list[JsonValue]]:
            row = repository.find_connection(connection, name)
            if row is not None:
                repository.delete_connection(connection, name)
                note(connection, Action.CONNECTION_DELETE, name, name, before=_noted(row))
            return row is not None, users_of_connection(connection, name)

        deleted, users = await self._database.write(work)
        if not deleted:
            raise unknown_connection(name)
        return {"name": name, "used_by": users}

    def _row(
        self,
        connection: Connection,
        name: str,
        request: ConnectionRequest,
        forms: ConfigForms,
        before: ConnectionRow | None,
        by: str,
        now: Instant,
    ) -> ConnectionRow:
        version = 1 if before is None else before.version + 1
        complete = orjson.dumps(forms.complete).decode()
        subject = Subject(repository.TABLE, name, version)
        sealed = self._vault.seal(connection, subject, complete) if forms.secret else None
        row = ConnectionRow(
            name=name,
            type=request.type,
            description=request.description,
            config=orjson.dumps(forms.shown).decode(),
            sealed=None if sealed is None else sealed.text,
            key_id=None if sealed is None else sealed.key_id,
            version=version,
            created_by=by,
            updated_by=by,
            created_at=now,
            updated_at=now,
            workflows=request.scope.kept_workflows(None if before is None else before.workflows),
        )
        if before is None:
            return row
        kept = before.description if request.description is None else request.description
        return replace(row, description=kept, created_by=before.created_by, created_at=before.created_at)

    def _forms(self, row: ConnectionRow | None, kind: str) -> ConfigForms | None:
        """What a connection of the same type has now. One that does not open has nothing to keep."""
        if row is None or row.type != kind:
            return None
        shown = orjson.loads(row.config)
        if row.sealed is None or row.key_id is None:
            return ConfigForms(shown, shown)
        try:
            opened = self._vault.open(Subject(repository.TABLE, row.name, row.version), Sealed(row.sealed, row.key_id))
        except CannotOpen:
            return None
        return ConfigForms(shown, orjson.loads(opened))


def _noted(row: ConnectionRow) -> JsonObject:
    """With masks in place of what is secret."""
    config: JsonObject = orjson.loads(row.config)
    plain = fields(row, "type", "description", "version")
    return {**plain, "workflows": listed(row.workflows), "config": config}


def _check(name: str, request: ConnectionRequest) -> None:
    faults = []
    if not NAME.fullmatch(name):
        message = "the name of a connection has letters, digits, _ and -, at most 128, and begins with a letter or _"
        faults.append(Fault("name", "name", message, "write such as warehouse"))
    if request.type not in TYPES:
        message = f"there is no type {request.type[:40]!r} of connections"
        faults.append(Fault("type", "value", message, f"one of {', '.join(TYPES)}"))
    try:
        check_value(request.config, path="config")
    except InvalidValue as error:
        faults.append(Fault(error.path, "value", error.reason, PLAIN_VALUES))
    faults += request.scope.faults()
    if faults:
        raise InvalidRequest("invalid_connection", "the connection cannot be kept", faults=faults)
