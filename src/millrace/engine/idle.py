"""Runs to which nothing happens just now, kept at hand: those that wait are likely to go on, and need not be loaded."""

from typing import Final

from millrace.engine.cell import Cell

MOST_KEPT: Final = 40_000
"""Task runs in all, each run counting as one more: some 40 MB. A run of ten thousand tasks takes much of that alone."""


class IdleCells:
    """The oldest go first when they are too many together. What goes is loaded again when something happens to it."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._weights: dict[str, int] = {}
        """By run, the oldest first."""
        self._kept = 0

    def keep(self, cell: Cell) -> list[str]:
        """Take a cell in, and answer the runs that are kept no longer."""
        self.take(cell.run_id)
        weight = 1 + (0 if cell.run is None else len(cell.run.tasks))
        self._weights[cell.run_id] = weight
        self._kept += weight
        dropped = []
        while self._kept > self._most:
            oldest = next(iter(self._weights))
            self.take(oldest)
            dropped.append(oldest)
        return dropped

    def take(self, run_id: str) -> None:
        """Something happens to this run, if it is kept."""
        self._kept -= self._weights.pop(run_id, 0)
