"""Passwords: which are taken, and their hashes (Argon2).

A hash takes tens of milliseconds and 64 MB on purpose, so few are made at a time, away from the event loop, and a long
queue is refused. Where there is no password to compare with, as much work is done, so that nobody learns who is there.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from millrace.auth.logins.guesses import is_guessed
from millrace.core.errors import Fault, InvalidRequest, Unavailable

if TYPE_CHECKING:
    from pwdlib import PasswordHash

T = TypeVar("T")

SHORTEST: Final = 12
LONGEST: Final = 1_024
AT_ONCE: Final = 2
"""Hashes at a time."""
WAITING: Final = 20
"""So many may wait for that."""
REMEDY: Final = f"write {SHORTEST} to {LONGEST} characters, such as four words that have nothing to do with you"


class Passwords:
    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way = 0

    def refuse_if_crowded(self) -> None:
        """Raises `Unavailable` if too many wait already."""
        if self._under_way >= AT_ONCE + WAITING:
            raise Unavailable("too_many_logins", "too many logins are under way; try again in a moment")

    async def hashed(self, password: str) -> str:
        return await self._in_turn(lambda: self._hasher.hash(_normal(password)))

    async def verified(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        """Whether it is the password, and a hash to keep instead if hashes are made otherwise now.

        Without a hash it is not, which takes as long to say.
        """
        if len(password) > LONGEST:
            password = password[:LONGEST] + "…"
        normal = _normal(password)
        known = password_hash if password_hash is not None else await self._in_turn(lambda: self._of_nobody)
        right, fresh = await self._in_turn(lambda: self._hasher.verify_and_update(normal, known))
        return right and password_hash is not None, fresh

    async def _in_turn(self, work: Callable[[], T]) -> T:
        self.refuse_if_crowded()
        self._under_way += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._under_way -= 1

    @cached_property
    def _hasher(self) -> "PasswordHash":
        # Loaded only here: most commands and processes never see a password.
        from pwdlib import PasswordHash

        return PasswordHash.recommended()

    @cached_property
    def _of_nobody(self) -> str:
        import secrets

        return self._hasher.hash(secrets.token_urlsafe(32))


def check_password(password: str, *own: str, path: str = "password") -> None:
    """Raises `InvalidRequest` for one that is easily guessed; `own`: what everybody knows of the user."""
    message = None
    if not SHORTEST <= len(password) <= LONGEST:
        message = f"a password has {SHORTEST} to {LONGEST} characters"
    elif _plain(password) in {_plain(text) for word in own for text in (word, word.partition("@")[0])}:
        message = "the password is the name or the e-mail address"
    elif is_guessed(_normal(password)):
        message = "the password is among those that are tried first: common words, rows of keys, repetitions"
    if message is not None:
        fault = Fault(path, "password", message, REMEDY)
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])


def _normal(password: str) -> str:
    """The same characters may be typed as different ones (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _plain(text: str) -> str:
    return "".join(character for character in _normal(text).casefold() if character.isalnum())
