"""The port for "look again": hints of a commit. Never the news itself, so losing one costs only time."""

from typing import Final, Protocol

ANY_RUN: Final = "*"
"""What to wait for to hear of every run. No run has such an id."""


class Bus(Protocol):
    def publish(self, run_id: str) -> None:
        """Say that rows of this run were committed. Never blocks."""
        ...

    async def wait(self, run_id: str, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a hint about the run, or about `ANY_RUN`, that comes after this call.

        True if one came.
        """
        ...
