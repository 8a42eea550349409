"""Whose account an identity of a login provider opens: one transaction finds, links or makes it, and sets its role.

An account that is there already is linked only by an address that the provider says it has verified, and only if
nobody else of that provider has it. Who has power over the provider has power over these accounts, and over no others.
"""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from millrace.app.identity import repository
from millrace.app.identity.texts import LONGEST_NAME, checked_email, checked_name, provider_place
from millrace.auth import repository as accounts
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import fields, note
from millrace.auth.oidc import repository as identities
from millrace.auth.oidc.claims import Person, RoleRules
from millrace.auth.permissions import Access, Role
from millrace.auth.principal import UserKind
from millrace.auth.repository import AccountRow
from millrace.core.errors import Forbidden, InvalidRequest
from millrace.core.values import Instant
from millrace.ports.ids import Ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

LONGEST_EMAIL = 320


class OidcAccounts:
    def __init__(self, ids: Ids, rules: RoleRules) -> None:
        self._ids = ids
        self._rules = rules

    def opened(self, connection: "Connection", person: Person, now: Instant) -> AccountRow:
        """The account. Raises `Forbidden` `role_missing`, `account_disabled` or `email_taken`."""
        if person.role is None and self._rules.follow_groups:
            raise _without_role()
        account = self._known(connection, person, now) or self._linked(connection, person, now)
        account = account or self._made(connection, person, now)
        if account.disabled_at is not None:
            raise _disabled()
        if self._rules.follow_groups and person.role is not None:
            self._set_role(connection, account, person.role, now)
        return account

    def _known(self, connection: "Connection", person: Person, now: Instant) -> AccountRow | None:
        user_id = identities.user_of(connection, person.issuer, person.subject)
        account = None if user_id is None else accounts.find_account(connection, user_id)
        if account is None:
            return None
        if account.deleted_at is not None:
            # Deleted is for ever; but an administrator may have made him an account anew.
            account = self._linkable(connection, person)
            if account is None:
                raise _disabled()
        identities.save_identity(
            connection,
            person.issuer,
            person.subject,
            user_id=account.id,
            email=_kept_email(person),
            last_login_at=now,
        )
        return account

    def _linked(self, connection: "Connection", person: Person, now: Instant) -> AccountRow | None:
        account = self._linkable(connection, person)
        if account is not None:
            logger.info("user %s can log in by the OpenID Connect provider from now on", account.id)
            self._add_identity(connection, person, account.id, now)
            told = {"issuer": person.issuer}
            note(connection, Action.USER_UPDATE, account.id, account.name, after=told, by=(account.id, account.name))
        return account

    def _linkable(self, connection: "Connection", person: Person) -> AccountRow | None:
        email = _plain_email(person)
        account = None if email is None else accounts.find_by_email(connection, email)
        if account is None or not person.email_verified:
            return None
        return None if identities.has_identity(connection, account.id, person.issuer) else account

    def _made(self, connection: "Connection", person: Person, now: Instant) -> AccountRow:
        if person.role is None:
            raise _without_role()
        email, user_id = _plain_email(person), self._ids.new()
        if email is not None and accounts.find_by_email(connection, email) is not None:
            raise Forbidden(
                "email_taken",
                "another user has your e-mail address, and the login provider does not say enough to link the two; "
                "ask an administrator",
            )
        verified = email if person.email_verified else None
        values = {
            "id": user_id,
            "email": verified or provider_place(user_id),
            "name": _name(person),
            "role": person.role.value,
            "kind": UserKind.PERSON.value,
            "created_at": now,
            "updated_at": now,
        }
        repository.add_account(connection, values)
        self._add_identity(connection, person, user_id, now)
        made = accounts.find_account(connection, user_id)
        assert made is not None, "it was added just now"  # noqa: S101
        told = {**fields(made, "email", "name", "role"), "issuer": person.issuer}
        note(connection, Action.USER_CREATE, made.id, made.name, after=told, by=(made.id, made.name))
        return made

    def _add_identity(self, connection: "Connection", person: Person, user_id: str, now: Instant) -> None:
        identities.add_identity(
            connection,
            issuer=person.issuer,
            subject=person.subject,
            user_id=user_id,
            email=_kept_email(person),
            now=now,
        )

    def _set_role(self, connection: "Connection", account: AccountRow, role: Role, now: Instant) -> None:
        if account.role == role:
            return
        if role is Role.ADMIN and account.access == Access.GRANTED:
            # He could lift the restriction, which an administrator of Millrace has put on him.
            logger.warning(
                "user %s stays %s though the login provider says admin: the account is restricted to what was granted",
                account.id,
                account.role,
            )
            return
        if account.role == Role.ADMIN and not repository.has_another_admin(connection, account.id):
            logger.warning(
                "user %s stays an administrator though the login provider says %s: it is the last one",
                account.id,
                role.value,
            )
            return
        logger.info("user %s is %s now, by the groups of the login provider", account.id, role.value)
        accounts.save_account(connection, account.id, role=role.value, updated_at=now)
        by, old, new = (account.id, account.name), {"role": account.role}, {"role": role.value}
        note(connection, Action.USER_UPDATE, account.id, account.name, before=old, after=new, by=by)


def _plain_email(person: Person) -> str | None:
    """As users have it; `None` for what is no address."""
    if person.email is not None:
        with suppress(InvalidRequest):
            return checked_email(person.email)
    return None


def _kept_email(person: Person) -> str | None:
    email = person.email
    return email if email is not None and len(email) <= LONGEST_EMAIL and email.isprintable() else None


def _name(person: Person) -> str:
    for name in person.names:
        with suppress(InvalidRequest):
            return checked_name(name[:LONGEST_NAME])
    return checked_name(person.subject)


def _without_role() -> Forbidden:
    return Forbidden("role_missing", "none of your groups at the login provider may use this installation")


def _disabled() -> Forbidden:
    return Forbidden("account_disabled", "your account is disabled here; ask an administrator")
