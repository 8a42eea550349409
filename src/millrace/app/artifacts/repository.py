"""Reading and writing the rows of artifacts, and finding what in the object store no row refers to.

A row that an attempt wrote counts from when the attempt is committed as completed, and any row until it expires; what
does not count is shown to nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from millrace.app.walking import APART, TOGETHER, Walk, newest
from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.states import LIVE_ATTEMPT, AttemptStatus
from millrace.core.values import Instant
from millrace.ports.payloads import MARK, spilled
from millrace.storage.tables import artifacts, attempts, runs, task_runs

LIVE = [status.value for status in LIVE_ATTEMPT]


@dataclass(frozen=True, slots=True)
class NewArtifact:
    id: str
    name: str
    media_type: str
    size: int
    sha256: str
    object_key: str
    created_at: Instant
    expires_at: Instant | None
    run_id: str | None = None
    path: str | None = None
    attempt: int | None = None
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """What a list of artifacts may be narrowed to; `None` does not narrow."""

    run_id: str | None = None
    name: str | None = None
    """Part of the name, in any case of letters."""
    uploaded: bool | None = None
    """Whether a user sent it, or a task wrote it."""
    sight: Sight | None = None
    """Of the files of runs; of those that were sent, what the same user has sent is seen."""


@dataclass(frozen=True, slots=True)
class References:
    """What the rows of a run refer to in the object store."""

    run_exists: bool
    live_tokens: frozenset[str]
    keys: frozenset[str]
    dead: Sequence[str]
    """Ids of artifacts whose attempt ended without being completed."""


def add(connection: Connection, new: Iterable[NewArtifact]) -> None:
    connection.execute(insert(artifacts), [asdict(one) for one in new])


def find(connection: Connection, artifact_id: str, now: Instant) -> RowMapping | None:
    query = select(artifacts).where(artifacts.c.id == artifact_id, *_counts(now))
    return connection.execute(query).mappings().first()


def list_artifacts(
    connection: Connection, narrow: ArtifactFilter, now: Instant, *, before: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Artifacts, newest first: ids are in order of creation. Also the id below which the next page goes on, if any."""
    along = [] if before is None else [artifacts.c.id < before]
    fits = _counts(now)
    at_most = TOGETHER // 2  # the rows are long, and names are searched through
    if narrow.run_id is not None:
        along.append(artifacts.c.run_id == narrow.run_id)
        at_most = APART
    if narrow.name is not None:
        fits.insert(0, artifacts.c.name.icontains(narrow.name, autoescape=True))
    if narrow.uploaded is not None:
        of_run = func.coalesce(artifacts.c.run_id, "")
        fits.insert(0, of_run == "" if narrow.uploaded else of_run != "")
    if narrow.sight is not None:
        fits.insert(0, _is_seen(narrow.sight))
        at_most = APART  # for each the run is looked up
    found = newest(connection, artifacts.c.id, [Walk(tuple(along), tuple(fits), at_most)], limit=limit)
    query = select(artifacts).where(artifacts.c.id.in_(found.ids)).order_by(artifacts.c.id.desc())
    return connection.execute(query).mappings().all() if found.ids else [], found.next


def _is_seen(sight: Sight) -> ColumnElement[bool]:
    of_run = select(runs.c.workflow_id).where(runs.c.id == artifacts.c.run_id).scalar_subquery()
    own = artifacts.c.run_id.is_(None) & (artifacts.c.created_by == sight.user_id)
    return or_(own, seen(of_run, sight))


def give_to_run(connection: Connection, ids: Sequence[str], run_id: str) -> None:
    """Let what was there before a run be its own."""
    connection.execute(update(artifacts).where(artifacts.c.id.in_(ids)).values(run_id=run_id))


def remove(connection: Connection, ids: Sequence[str]) -> int:
    """Answers how many of them there were."""
    return connection.execute(delete(artifacts).where(artifacts.c.id.in_(ids))).rowcount


def expired(connection: Connection, now: Instant, limit: int) -> Mapping[str, str]:
    """The object keys of artifacts whose time is over, by the artifacts' ids."""
    query = select(artifacts.c.id, artifacts.c.object_key).where(artifacts.c.expires_at <= now)
    return {id_: key for id_, key in connection.execute(query.order_by(artifacts.c.expires_at).limit(limit))}


def known_uploads(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    return frozenset(connection.execute(select(artifacts.c.id).where(artifacts.c.id.in_(ids))).scalars())


def references_of(connection: Connection, run_id: str) -> References:
    """Everything in one snapshot: what is neither live nor referred to now never will be."""
    run = connection.execute(
        select(runs.c.input, runs.c.variables, runs.c.trigger_data, runs.c.output).where(runs.c.id == run_id)
    ).first()
    live = connection.execute(
        select(attempts.c.token).where(attempts.c.run_id == run_id, attempts.c.status.in_(LIVE))
    ).scalars()
    files = connection.execute(
        select(artifacts.c.id, artifacts.c.object_key, attempts.c.status)
        .outerjoin(
            attempts,
            (attempts.c.run_id == artifacts.c.run_id)
            & (attempts.c.path == artifacts.c.path)
            & (attempts.c.number == artifacts.c.attempt),
        )
        .where(artifacts.c.run_id == run_id, artifacts.c.attempt.is_not(None))
    ).all()
    kept = {*LIVE, AttemptStatus.COMPLETED.value}
    payloads = [*(run or ()), *_spilled_payloads(connection, run_id)]
    return References(
        run_exists=run is not None,
        live_tokens=frozenset(live),
        keys=frozenset(key for _, key, status in files if status in kept)
        | {stored.key for text in payloads if text and (stored := spilled(text)) is not None},
        dead=[id_ for id_, _, status in files if status not in kept],
    )


def _spilled_payloads(connection: Connection, run_id: str) -> Iterable[str]:
    for column in (task_runs.c.input, task_runs.c.output):
        query = select(column).where(task_runs.c.run_id == run_id, func.substr(column, 1, 1) == MARK)
        yield from connection.execute(query).scalars()


def _counts(now: Instant) -> list[ColumnElement[Any]]:
    # A value rather than `exists`, which PostgreSQL may answer by reading all attempts there are.
    ended = (
        select(attempts.c.status)
        .where(
            attempts.c.run_id == artifacts.c.run_id,
            attempts.c.path == artifacts.c.path,
            attempts.c.number == artifacts.c.attempt,
        )
        .scalar_subquery()
    )
    return [
        or_(artifacts.c.expires_at.is_(None), artifacts.c.expires_at > now),
        or_(artifacts.c.attempt.is_(None), ended == AttemptStatus.COMPLETED.value),
    ]
