"""Set, scope, roll back and delete secrets, and seal everything with a new key. A value goes in here and never out.

The masker knows a value before the database does, so no task can print one that would not be masked.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import Connection

from millrace.app.secrets import repository
from millrace.app.secrets.queries import listed, secret_view, unknown_secret
from millrace.app.secrets.repository import SecretRow
from millrace.app.secrets.scopes import AS_BEFORE, Scope
from millrace.app.usage.queries import users_of_secret
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import LARGEST, NAME, SHORTEST, SecretChain
from millrace.auth.vault.envelope import CannotOpen, Subject
from millrace.auth.vault.key_source import EncryptionKeyUnusable
from millrace.auth.vault.vault import Vault
from millrace.core.errors import Conflict, Fault, InvalidRequest, NotFound
from millrace.core.values import InvalidValue, JsonObject, JsonValue, check_value
from millrace.ports.clock import Clock
from millrace.ports.database import Database

LONGEST_NAME = 128

Change: TypeAlias = Callable[[Connection, SecretRow], tuple[SecretRow, str]]
"""What a secret is to be, and its value, by what it is now; one that is new has the version 0."""


class SecretCommands:
    def __init__(
        self, database: Database, clock: Clock, vault: Vault, masker: SecretMasker, secrets: SecretChain
    ) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._masker = masker
        self._secrets = secrets

    async def put(
        self, name: str, value: str, *, by: str, description: str | None = None, scope: Scope = AS_BEFORE
    ) -> tuple[JsonObject, bool]:
        """Set a secret: what is known of it now, the deployed workflows that read it, and whether it is new.

        Without a description the secret keeps the one it has, and what the scope does not give. Hosts that it could not
        be sent to so far end its former versions: who set this value need not know those. Raises `InvalidRequest`.
        """
        _refuse([*_name_faults(name), *value_faults(value), *scope.faults()])

        def change(_: Connection, before: SecretRow) -> tuple[SecretRow, str]:
            row = replace(
                before,
                description=before.description if description is None else description,
                workflows=scope.kept_workflows(before.workflows),
                hosts=scope.kept_hosts(before.hosts),
            )
            return row, value

        shown = await self._saved(name, change, by, scope)
        return shown, shown["version"] == 1

    async def roll_back(self, name: str, version: int, *, by: str) -> JsonObject:
        """Have a former version hold again, as a new one; what the secret is for stays as it is. Answers as `put`.

        Raises `NotFound`, and `Conflict` for a version that holds already or does not open.
        """

        def change(connection: Connection, before: SecretRow) -> tuple[SecretRow, str]:
            if before.version == 0:
                raise unknown_secret(name)
            if version == before.version:
                raise Conflict("version_holds", f"version {version} of the secret {name!r} is the one that holds")
            former = repository.former_value(connection, name, version)
            if former is None:
                raise unknown_version("secret", name, version)
            try:
                return before, self._vault.open(Subject(repository.TABLE, name, version), former)
            except CannotOpen as error:
                raise Conflict("version_unusable", f"version {version}: {error}") from None

        return await self._saved(name, change, by)

    async def _saved(self, name: str, change: Change, by: str, scope: Scope = AS_BEFORE) -> JsonObject:
        now = self._clock.now()

        def work(connection: Connection) -> tuple[SecretRow, list[JsonValue]]:
            before = repository.find_secret(connection, name, lock=True)
            changed, value = change(connection, before or SecretRow(name, None, 0, by, by, now, now))
            # It is masked before anybody can use it.
            self._masker.learn([value])
            row = replace(changed, version=changed.version + 1, updated_by=by, updated_at=now)
            sealed = self._vault.seal(connection, Subject(repository.TABLE, name, row.version), value)
            repository.save_secret(connection, row, sealed=sealed.text, key_id=sealed.key_id)
            if before is not None and scope.widened_hosts(before.hosts):
                repository.forget_former(connection, name)
            known = None if before is None else _noted(before)
            note(connection, Action.SECRET_SET, name, name, before=known, after=_noted(row))
            return row, users_of_secret(connection, name)

        row, users = await self._database.write(work)
        return await self._shown(row, users)

    async def _shown(self, row: SecretRow, users: list[JsonValue]) -> JsonObject:
        return {**secret_view(row, await self._secrets.overriding(frozenset({row.name}))), "used_by": users}

    async def rescope(self, name: str, scope: Scope) -> JsonObject:
        """Say anew what a secret is for; its value and version stay. Answers as `put`.

        Raises `NotFound`, and `InvalidRequest`, also for hosts that it could not be sent to so far: those take its
        value, or who cannot read it would send it to a server of his own.
        """
        _refuse(scope.faults())

        def work(connection: Connection) -> tuple[SecretRow, list[JsonValue]]:
            before = repository.find_secret(connection, name, lock=True)
            if before is None:
                raise unknown_secret(name)
            _refuse(scope.widened_hosts(before.hosts))
            row = replace(
                before, workflows=scope.kept_workflows(before.workflows), hosts=scope.kept_hosts(before.hosts)
            )
            repository.save_scope(connection, row)
            note(connection, Action.SECRET_SET, name, name, before=_noted(before), after=_noted(row))
            return row, users_of_secret(connection, name)

        row, users = await self._database.write(work)
        return await self._shown(row, users)

    async def delete(self, name: str) -> JsonObject:
        """Delete a secret; answers the deployed workflows that read it. Raises `NotFound`."""

        def work(connection: Connection) -> tuple[bool, list[JsonValue]]:
            row = repository.find_secret(connection, name)
            if row is not None:
                repository.delete_secret(connection, name)
                note(connection, Action.SECRET_DELETE, name, name, before=_noted(row))
            return row is not None, users_of_secret(connection, name)

        deleted, users = await self._database.write(work)
        if not deleted:
            raise unknown_secret(name)
        return {"name": name, "used_by": users}

    async def rotate_key(self) -> JsonObject:
        """Seal every secret and connection with a new key. Raises `Conflict` if that cannot be done."""
        try:
            done = await self._vault.rotate()
        except (EncryptionKeyUnusable, CannotOpen) as error:
            raise Conflict("key_not_rotated", str(error)) from None
        former: list[JsonValue] = list(done.former)
        return {"key_id": done.key_id, "key_is_new": done.made, "resealed": done.resealed, "former_key_ids": former}


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise InvalidRequest("invalid_secret", "the secret cannot be kept", faults=faults)


def value_faults(value: str, path: str = "value") -> list[Fault]:
    """Why a text cannot be kept as a secret. No fault repeats any of it."""
    if len(value) > LARGEST:
        message = f"a secret has at most {LARGEST} characters, this has {len(value)}"
        return [Fault(path, "too_long", message, "divide it among several secrets")]
    if len(value.strip()) < SHORTEST:
        message = f"a secret shorter than {SHORTEST} characters, blanks around it aside, cannot be masked in logs"
        return [Fault(path, "too_short", message, "use a longer one")]
    try:
        check_value(value)
    except InvalidValue as error:
        return [Fault(path, "value", error.reason, "write text that has no such characters")]
    return []


def unknown_version(what: str, name: str, version: int) -> NotFound:
    message = f"the {what} {name!r} has no version {version}; `millrace {what}s versions {name}` lists those it has"
    return NotFound("version_not_found", message)


def _name_faults(name: str) -> list[Fault]:
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return []
    message = f"the name of a secret has letters, digits and _, at most {LONGEST_NAME}, and does not begin with a digit"
    return [Fault("name", "name", message, "write such as orders_api")]


def _noted(row: SecretRow) -> JsonObject:
    """What the audit log says of a secret."""
    return {**fields(row, "description", "version"), "workflows": listed(row.workflows), "hosts": listed(row.hosts)}
