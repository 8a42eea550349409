"""Erasing a person: his account goes as if it was deleted, and what says who he was goes with it. His id stays.

The audit log goes before the account, since it may name him anywhere: it is read through and erased part by part, each
in a transaction of its own, or nobody else could write for as long as it takes; a worker whose lease cannot be renewed
would be lost. The last transaction erases the account, and what was written meanwhile. Who is cut short is begun anew:
rows that say what he was called are erased after those that only name him, so nothing is left that nobody knows of.

A request of his that is being answered at that moment may still leave a name behind: to erase him once more finds it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from millrace.app.audit.erasing import erase, seal_all
from millrace.app.audit.repository import AuditRow
from millrace.app.identity import repository as users
from millrace.app.identity.texts import ERASED_NAME, erased_place, shown_email
from millrace.app.identity.users import found, refuse_last_admin
from millrace.app.identity.views import user_view
from millrace.app.privacy import repository
from millrace.app.privacy.traces import Known, Said, names_in, tells_name
from millrace.app.runs.repository import NEAR, first_id
from millrace.auth import repository as accounts
from millrace.auth.audit.actions import Action
from millrace.auth.audit.personal import ERASED
from millrace.auth.audit.writing import note
from millrace.auth.grants import repository as grants
from millrace.auth.logins.throttling import counted_as
from millrace.auth.names import UserNames
from millrace.auth.permissions import PERMISSIONS, Role, require_rights
from millrace.auth.principal import Principal
from millrace.auth.repository import AccountRow
from millrace.auth.vault.vault import Vault
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.values import Instant, JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

AT_ONCE: Final = 200
"""Rows of the audit log that are read, or erased, in one go."""
RUNS_AT_ONCE: Final = 5_000
"""Runs that are looked at in one go for who started them."""
NAMING: Final = 10_000
"""Rows about the account, the newest, that are asked what it was called."""
_BEFORE_ALL: Final = ""


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows of the log that are to be erased, of those up to `last`."""

    ids: Sequence[str]
    last: str
    more: bool


class Erasure:
    def __init__(self, database: Database, clock: Clock, vault: Vault, names: UserNames) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._names = names

    async def erase(self, reference: str, confirm: str, *, by: Principal) -> JsonObject:
        """For ever, a user who was deleted before, too. `confirm` is the e-mail address or the name.

        Raises `NotFound`, `Forbidden` `beyond_own_rights`, `Conflict` `last_admin`, and `InvalidRequest` for another
        address or name. Who is erased already is answered as the first time.
        """
        started = self._clock.now()
        known = await self._database.read(
            lambda connection: _known_before(connection, _judged(connection, reference, confirm, by))
        )
        erased = await self._erase_log(known)
        await self._erase_starts(known.user_id)

        def work(connection: "Connection") -> AccountRow:
            row = _judged(connection, reference, confirm, by)
            self._finish(connection, row, known, started, by, erased=erased)
            return found(connection, row.id)

        row = await self._database.write(work)
        self._names.forget(row.id)
        return user_view(row)

    async def _erase_log(self, known: Known) -> int:
        """Erase what is his of all rows of the log; answers of how many."""
        erased = 0
        for naming in (False, True):
            page = _Page((), _BEFORE_ALL, more=True)
            while page.more:
                page = await self._database.read(partial(_page, known=known, after=page.last, naming=naming))
                if page.ids:
                    erased += await self._database.write(partial(self._erase_page, known=known, ids=page.ids))
        return erased

    async def _erase_starts(self, user_id: str) -> None:
        """Erase where he started runs from, of all that there are."""
        last, more = _BEFORE_ALL, True
        while more:
            page = await self._database.read(partial(repository.runs_after, run_id=last, limit=RUNS_AT_ONCE))
            more, last = len(page) == RUNS_AT_ONCE, page[-1][0] if page else last
            own = [run_id for run_id, by in page if by == user_id]
            for first in range(0, len(own), AT_ONCE):
                part = own[first : first + AT_ONCE]
                await self._database.write(partial(repository.erase_addresses, run_ids=part))

    def _erase_page(self, connection: "Connection", known: Known, ids: Sequence[str]) -> int:
        return self._erase_rows(connection, known, repository.rows_of(connection, ids))

    def _erase_rows(self, connection: "Connection", known: Known, rows: Sequence[AuditRow]) -> int:
        seal_all(connection, self._vault)
        return sum(erase(connection, self._vault, row, known.parts_of(row)) for row in rows)

    def _finish(
        self, connection: "Connection", row: AccountRow, before: Known, started: Instant, by: Principal, *, erased: int
    ) -> None:
        """Erase the account, and what was written since `started`; `erased`: how many rows of the log were before."""
        since = first_id(started - NEAR)
        said = [said for one in _since(connection, since) for said in names_in(one, row.id)]
        known = _known(connection, row, (*before.said, *said))
        addresses = before.addresses.union(
            str(one["address"]) for one in repository.sessions_of(connection, row.id) if one["address"]
        )
        is_new = not _is_erased(row)
        if is_new:
            self._erase_account(connection, row)
            _note(connection, row.id, by)
        rows = list(_since(connection, since))
        addresses |= {one.address for one in rows if one.actor_id == row.id and one.address is not None}
        erased += self._erase_rows(connection, known, rows)
        repository.delete_failures(connection, *counted_as(known.emails, addresses))
        repository.erase_mails(connection, known.emails)
        if erased and not is_new:
            _note(connection, row.id, by)

    def _erase_account(self, connection: "Connection", row: AccountRow) -> None:
        now = self._clock.now()
        users.revoke_keys_of(connection, row.id, now)
        repository.rename_keys(connection, row.id)
        grants.remove_of_user(connection, row.id)
        repository.delete_logins(connection, row.id)
        accounts.save_account(
            connection,
            row.id,
            name=ERASED_NAME,
            email=erased_place(row.id),
            password_hash=None,
            password_set_at=None,
            must_change_password=False,
            last_login_at=None,
            updated_at=now,
            disabled_at=row.disabled_at or now,
            deleted_at=row.deleted_at or now,
        )


def _judged(connection: "Connection", reference: str, confirm: str, by: Principal) -> AccountRow:
    """The account, if it may be erased: as it is when that begins, and once more when it is done."""
    row = found(connection, reference)
    require_rights(by, PERMISSIONS[Role(row.role)], "power over this account")
    if not _is_erased(row):
        _refuse_unconfirmed(row, confirm)
        refuse_last_admin(connection, row)
    return row


def _is_erased(row: AccountRow) -> bool:
    return row.email == erased_place(row.id)


def _refuse_unconfirmed(row: AccountRow, confirm: str) -> None:
    known = {row.name, shown_email(row.email) or row.name}
    if confirm.strip().casefold() not in {name.casefold() for name in known}:
        remedy = "write the e-mail address or the name of this user, so that it is no accident"
        fault = Fault("confirm", "value", "this is not who is to be erased", remedy)
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])


def _known_before(connection: "Connection", row: AccountRow) -> Known:
    """By what he is known now, and was before, as far as the log says."""
    said = {("name", name) for name in repository.actor_names(connection, row.id) if name != ERASED}
    for one in repository.rows_about(connection, {"user": [row.id]}, limit=NAMING):
        said |= set(names_in(one, row.id))
    known = _known(connection, row, said)
    return replace(known, addresses=frozenset(repository.actor_addresses(connection, row.id)))


def _known(connection: "Connection", row: AccountRow, said: Iterable[Said]) -> Known:
    """By what he is known now, and was said to be."""
    said = {*said, ("name", row.name), ("email", shown_email(row.email) or "")}
    said |= {("email", str(one["email"] or "")) for one in repository.identities_of(connection, row.id)}
    return Known(
        row.id,
        frozenset(key.id for key in repository.keys_of(connection, row.id)),
        frozenset(str(one["id"]) for one in repository.sessions_of(connection, row.id)),
        emails=frozenset(text.lower() for kind, text in said if kind == "email" and text),
        names=frozenset(text for kind, text in said if kind == "name" and text not in {ERASED_NAME, ERASED}),
    )


def _page(connection: "Connection", known: Known, after: str, *, naming: bool) -> _Page:
    """The next rows of the log; `naming`: those that say what he was called, or the others."""
    rows = repository.rows_after(connection, after, AT_ONCE)
    ids = [row.id for row in rows if tells_name(row, known.user_id) is naming and known.is_in(row)]
    return _Page(ids, rows[-1].id if rows else after, more=len(rows) == AT_ONCE)


def _since(connection: "Connection", after: str) -> Iterator[AuditRow]:
    while rows := repository.rows_after(connection, after, AT_ONCE):
        yield from rows
        after = rows[-1].id


def _note(connection: "Connection", user_id: str, by: Principal) -> None:
    """Who erases himself is not named by it."""
    himself = (user_id, ERASED) if by.user_id == user_id else None
    note(connection, Action.USER_ERASE, user_id, ERASED_NAME, by=himself)
