"""What was valid lately, by its hash: remembered for the limits alone, and looked up for each request all the same."""

from typing import Final

MOST_KNOWN: Final = 16_384
"""Credentials of one generation that are remembered to be valid."""


class Known:
    """Credentials that were valid when they were last looked up; those that were used least lately are forgotten."""

    def __init__(self) -> None:
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, credential: int) -> bool:
        return credential in self._young or credential in self._old

    def add(self, credential: int) -> None:
        if credential in self._young:
            return
        if len(self._young) >= MOST_KNOWN:
            self._old, self._young = self._young, set()
        self._young.add(credential)

    def discard(self, credential: int) -> None:
        self._young.discard(credential)
        self._old.discard(credential)
