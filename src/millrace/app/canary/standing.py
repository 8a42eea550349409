"""What becomes of a workflow's canary when the workflow is changed. Called within the transaction of every change.

A canary stands beside the version that was deployed when it began, so it ends when another is, whichever way that came
about: it is promoted if it is that version itself, and replaced otherwise.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from millrace.app.canary import repository
from millrace.app.canary.repository import CanaryRow
from millrace.core.values import Instant


@dataclass(frozen=True, slots=True)
class CanaryChange:
    """What is to be live: the canary that is, with another share; a new one, in the place of it; or none any more."""

    wanted: CanaryRow | None


def follow(
    connection: Connection,
    live: CanaryRow | None,
    deployed: int | None,
    change: CanaryChange | None,
    *,
    by: str,
    now: Instant,
) -> CanaryRow | None:
    """End, change or begin a canary, and answer the one that is live then. `deployed` is deployed from now on."""
    if live is not None and deployed != live.stable:
        outcome = "promoted" if deployed == live.version else "replaced"
        repository.end(connection, live.id, outcome, by=by, now=now)
        live = None
    if change is None:
        return live
    wanted = change.wanted
    if live is not None and wanted is not None and wanted.id == live.id:
        repository.set_share(connection, live.id, wanted.share)
        return wanted
    if live is not None:
        repository.end(connection, live.id, "stopped" if wanted is None else "replaced", by=by, now=now)
    if wanted is None:
        return None
    begun = replace(wanted, started_at=now)
    repository.add(connection, begun)
    return begun
