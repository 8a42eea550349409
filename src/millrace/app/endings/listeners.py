"""Who is told that runs have ended: what each of them is told, and what it promises.

The follower asks and tells each listener in turn. It knows none of them; the composition root puts them together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from millrace.core.values import Instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class EndedRun:
    run_id: str
    workflow_id: str
    workflow_slug: str
    workflow_name: str
    version_id: str
    status: str
    """`completed`, `failed` or `cancelled`."""
    outcome: str | None
    """How its main part ended; a failed `finally` fails a run whose main part completed."""
    trigger_type: str
    trigger_id: str | None
    causation_depth: int
    error: str | None
    """JSON text of its failure."""
    finished_at: Instant


class EndingListener(Protocol):
    def listens(self, connection: "Connection") -> bool:
        """Whether the end of any run could matter to it, as the database is now.

        Asked in the snapshot in which the ends are found, so whoever began to listen before a run ended is asked in
        time. Where nobody listens, not even the rows of runs are read: this must cost no more than a look into an
        index.
        """
        ...

    async def runs_ended(self, ended: "Sequence[EndedRun]") -> None:
        """Act on the ends, in the order in which they were committed; what it did is durable when it returns.

        The same ends may come again, after a crash or from another process: doing it twice must be doing it once.
        Raises `StoreUnavailable` to be told again later.
        """
        ...
