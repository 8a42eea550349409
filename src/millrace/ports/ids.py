"""The port for identifiers: one factory for all ids of an installation."""

from typing import Protocol


class Ids(Protocol):
    def new(self) -> str:
        """A UUIDv7 in its 36-character form: unique, and in order of creation within a process."""
        ...
