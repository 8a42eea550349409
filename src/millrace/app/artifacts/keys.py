"""Where objects lie in the store: below their run, or among the uploads. The sweep reads these keys back.

    uploads/ARTIFACT                             a file that a user sent, or that came with a webhook
    runs/RUN/TASK.ATTEMPT.TOKEN/ARTIFACT         a file that an attempt wrote
    runs/RUN/TASK.ATTEMPT.TOKEN/output           a payload of an attempt that is too large for its row
    runs/RUN/run/input                           a payload of the run itself

The task's name is there for people; the token makes the key unique.
"""

import re
from dataclasses import dataclass

from millrace.ports.store import ClaimedAttempt

RUNS = "runs"
UPLOADS = "uploads"

LONGEST_TASK = 48
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose object it is."""

    run_id: str
    token: str | None
    """Of the attempt that wrote it."""


def of_upload(artifact_id: str) -> str:
    return f"{UPLOADS}/{artifact_id}"


def of_attempt(attempt: ClaimedAttempt, name: str) -> str:
    task = _NOT_PLAIN.sub("_", attempt.path)[:LONGEST_TASK]
    return f"{RUNS}/{attempt.run_id}/{task}.{attempt.number}.{attempt.token}/{name}"


def of_run(run_id: str, name: str) -> str:
    return f"{RUNS}/{run_id}/run/{name}"


def origin_of(key: str) -> Origin:
    """Whose object lies under a key below `RUNS`."""
    _, run_id, *rest = key.split("/")
    attempt = rest[0].split(".") if len(rest) > 1 else []
    return Origin(run_id, attempt[2] if len(attempt) == 3 else None)
