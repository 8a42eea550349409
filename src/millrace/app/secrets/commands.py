"""Set and delete secrets, and seal everything with a new key. A value goes in here and comes out nowhere.

The masker knows a value before the database does, so no task can print one that would not be masked.
"""

from dataclasses import replace

from sqlalchemy import Connection

from millrace.app.secrets import repository
from millrace.app.secrets.queries import secret_view, unknown_secret
from millrace.app.secrets.repository import SecretRow
from millrace.app.usage.queries import users_of_secret
from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import LARGEST, NAME, SHORTEST, SecretChain
from millrace.auth.vault.envelope import CannotOpen, Subject
from millrace.auth.vault.key_source import EncryptionKeyUnusable
from millrace.auth.vault.vault import Vault
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.values import InvalidValue, JsonObject, JsonValue, check_value
from millrace.ports.clock import Clock
from millrace.ports.database import Database

LONGEST_NAME = 128


class SecretCommands:
    def __init__(
        self, database: Database, clock: Clock, vault: Vault, masker: SecretMasker, secrets: SecretChain
    ) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._masker = masker
        self._secrets = secrets

    async def put(self, name: str, value: str, *, by: str, description: str | None = None) -> tuple[JsonObject, bool]:
        """Set a secret: what is known of it now, the deployed workflows that read it, and whether it is new.

        Without a description the secret keeps the one it has. Raises `InvalidRequest`.
        """
        faults = [*_name_faults(name), *value_faults(value)]
        if faults:
            raise InvalidRequest("invalid_secret", "the secret cannot be kept", faults=faults)
        self._masker.learn([value])
        now = self._clock.now()

        def work(connection: Connection) -> tuple[SecretRow, list[JsonValue]]:
            before = repository.find_secret(connection, name)
            if before is None:
                row = SecretRow(name, description, 1, by, by, now, now)
            else:
                kept = before.description if description is None else description
                row = replace(before, description=kept, version=before.version + 1, updated_by=by, updated_at=now)
            sealed = self._vault.seal(connection, Subject(repository.TABLE, name, row.version), value)
            repository.save_secret(connection, row, sealed=sealed.text, key_id=sealed.key_id)
            return row, users_of_secret(connection, name)

        row, users = await self._database.write(work)
        overriding = await self._secrets.overriding(frozenset({name}))
        return {**secret_view(row, overriding), "used_by": users}, row.version == 1

    async def delete(self, name: str) -> JsonObject:
        """Delete a secret; answers the deployed workflows that read it. Raises `NotFound`."""

        def work(connection: Connection) -> tuple[bool, list[JsonValue]]:
            return repository.delete_secret(connection, name), users_of_secret(connection, name)

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


def _name_faults(name: str) -> list[Fault]:
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return []
    message = f"the name of a secret has letters, digits and _, at most {LONGEST_NAME}, and does not begin with a digit"
    return [Fault("name", "name", message, "write such as orders_api")]
