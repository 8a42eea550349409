"""Erasing what is personal in rows of the audit log, so that the chain still holds.

Rows that wait for their seal get it first: so there is one way only in which a row is erased, and a row that is in the
chain is never one whose content was not sealed.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from millrace.app.audit import repository
from millrace.app.audit.chain import PURPOSE, erasure_of
from millrace.app.audit.repository import AuditRow
from millrace.app.audit.sealing import seal
from millrace.auth.audit.personal import PARTS, Part
from millrace.auth.vault.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

AT_ONCE: Final = 500


def seal_all(connection: "Connection", vault: Vault) -> None:
    """Seal what waits for it, in this transaction."""
    key_id, key = vault.own_key(PURPOSE)
    while rows := repository.unsealed(connection, AT_ONCE):
        seal(connection, rows, key_id, key)


def erase(connection: "Connection", vault: Vault, row: AuditRow, wanted: Collection[Part]) -> bool:
    """Erase these parts of a row that is sealed. Whether anything was left of them."""
    content = asdict(row)
    new = [part for part in wanted if content[part.salt] is not None]
    if not new:
        return False
    key_id, key = vault.own_key(PURPOSE)
    erased = [part for part in PARTS if part in new or content[part.salt] is None]
    values: dict[str, str | None] = {"erasure": erasure_of(key, row.id, erased), "erasure_key_id": key_id}
    for part in new:
        values |= {**part.erased, part.salt: None}
    repository.erase(connection, row.id, **values)
    return True


def erased_parts(row: Mapping[str, object]) -> list[Part]:
    return [part for part in PARTS if row[part.salt] is None]
