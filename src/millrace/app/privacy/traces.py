"""Which rows of the audit log are about a person, by his id, and by the names and addresses that he was known by.

An address is looked for anywhere in a text, a name of several words, too. A name of one word only counts where it is
the whole of a value: otherwise who calls himself "production" could have half the log erased.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from millrace.app.audit.repository import AuditRow, content_of
from millrace.app.identity.texts import NOWHERE
from millrace.auth.audit.actions import Action
from millrace.auth.audit.personal import ABOUT, BY, ERASED, Part
from millrace.core.values import JsonValue

Said: TypeAlias = tuple[str, str]
"""`name` or `email`, and which."""

_NAMING: Final = {"name", "email"}
"""Fields of a row about a user that say what he was called."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a person is known by."""

    user_id: str
    key_ids: frozenset[str]
    session_ids: frozenset[str]
    emails: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    """Where he acted from."""

    @property
    def said(self) -> Iterator[Said]:
        yield from (("email", email) for email in self.emails)
        yield from (("name", name) for name in self.names)

    def is_in(self, row: AuditRow) -> bool:
        """Whether anything of him is still there to be erased."""
        return any(getattr(row, part.salt) is not None for part in self.parts_of(row))

    def parts_of(self, row: AuditRow) -> list[Part]:
        """What of this row is his: that he did it, that it was done to him, or both."""
        says_so = row.action == Action.USER_ERASE  # and names nobody
        about = not says_so and (self._is_named_by_id(row) or self._is_mentioned(row))
        # A login that failed is nobody's yet, but it came from where he is.
        by = row.actor_id == self.user_id or (about and row.actor_id is None and row.address is not None)
        return [part for part, wanted in ((BY, by), (ABOUT, about)) if wanted]

    def _is_named_by_id(self, row: AuditRow) -> bool:
        if row.entity_id is not None:
            named = {
                "user": row.entity_id == self.user_id,
                "password": row.entity_id == self.user_id,
                "login": row.entity_id == self.user_id or row.entity_id in self.session_ids,
                "api_key": row.entity_id in self.key_ids,
                "grant": row.entity_id.endswith(f"/{self.user_id}"),
            }
            if named.get(row.entity, False):
                return True
        # Also of a login or a key that was deleted long ago.
        if row.entity == "login" and row.actor_id == self.user_id:
            return True
        return row.entity in {"login", "api_key"} and self.user_id in _texts(row)

    def _is_mentioned(self, row: AuditRow) -> bool:
        if not self.emails and not self.names:
            return False
        values = [text.casefold() for text in _texts(row)]
        if any(name.casefold() in values for name in self.names):
            return True
        anywhere = [*self.emails, *(name for name in self.names if " " in name)]
        return any(_has(value, text.casefold()) for value in values for text in anywhere)


def tells_name(row: AuditRow, user_id: str) -> bool:
    """Whether `names_in` may find something in it."""
    return row.actor_id == user_id or (row.entity == "user" and row.entity_id == user_id)


def names_in(row: AuditRow, user_id: str) -> Iterator[Said]:
    """What a row says that this user is called."""
    if row.actor_id == user_id and row.actor != ERASED:
        yield "name", row.actor
    if row.entity == "user" and row.entity_id == user_id:
        if row.entity_name not in {None, ERASED}:
            yield "name", str(row.entity_name)
        for side in (row.before, row.after):
            content = content_of(side)
            if not isinstance(content, dict):
                continue
            for field in _NAMING & content.keys():
                value = content[field]
                if isinstance(value, str) and not value.endswith(NOWHERE):
                    yield field, value


def _texts(row: AuditRow) -> Collection[str]:
    found = [] if row.entity_name is None else [row.entity_name]
    for side in (row.before, row.after):
        found += _values(content_of(side))
    return found


def _values(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)


def _has(value: str, text: str) -> bool:
    """As words of their own."""
    return text in value and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", value) is not None
