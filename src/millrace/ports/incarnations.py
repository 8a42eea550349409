"""The lives of workers, as they and the store tell each other of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of a worker process."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """`running`: the attempts the database holds for this incarnation; `stop`: those of them to be ended."""

    running: frozenset[tuple[str, str, int]]
    stop: frozenset[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class LostAttempt:
    run_id: str
    path: str
    number: int
