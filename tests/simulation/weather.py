"""What a seed lets happen: how many processes there are and of what kind, and how bad the weather is for them."""

import random
from dataclasses import dataclass

from millrace.core.values import SECOND, Duration
from millrace.roles import Role
from tests.simulation.process import Kind

FATES = ("crash before", "crash after", "answer lost", "away", "carried out late", "fails midway", "slow")


@dataclass(frozen=True, slots=True)
class Weather:
    embedded: bool
    """One process after another, as on SQLite; otherwise several at a time, as on PostgreSQL."""
    kinds: tuple[Kind, ...]
    fates: tuple[str, ...]
    """What may become of a question to the database."""
    share: float
    """Of the questions that meet one of these fates."""
    latency: Duration
    """The longest that a question or an answer is on its way, if nothing else delays it."""
    lost_hints: float
    acts: tuple[str, ...]
    """What may happen to processes and to the clock."""
    trouble: Duration
    """How long it lasts. Then the world is left in peace."""
    crowded: bool = False
    """Whether two commits of a process may be under way at a time."""
    crash_at: int | None = None
    """For a crash at one boundary: the number of the commit."""

    @property
    def strict(self) -> bool:
        """Whether no two attempts of a task may ever be at work at the same time, not even for a moment.

        A process that stands still cannot end what it runs when its lease ends, and a clock that jumps ends leases and
        deadlines early.
        """
        return not {"stand still", "jump"} & set(self.acts)


def weather(chance: random.Random) -> Weather:
    embedded = chance.random() < 0.25
    fates = tuple(fate for fate in FATES if chance.random() < 0.5)
    if embedded:
        fates = tuple(fate for fate in fates if fate != "carried out late")
    acts = [act for act in ("die", "stop", "stand still", "jump", "database away") if chance.random() < 0.4]
    return Weather(
        embedded=embedded,
        kinds=_kinds(chance, embedded=embedded),
        fates=fates,
        share=chance.choice([0.0, 0.01, 0.03, 0.08]) if fates else 0.0,
        latency=chance.choice([3, 3, 50, 1_000]) * SECOND // 1_000,
        lost_hints=chance.choice([0.0, 0.1, 0.5, 1.0]),
        acts=tuple(acts),
        trouble=chance.choice([15, 30, 60]) * SECOND,
        crowded=not embedded and chance.random() < 0.5,
    )


def _kinds(chance: random.Random, *, embedded: bool) -> tuple[Kind, ...]:
    limits = chance.random() < 0.3
    if embedded:
        return (_kind(chance, Role.UP, ("*",), type_limits=limits),)
    if chance.random() < 0.5:
        roles = [Role.UP] * chance.choice([2, 2, 3])
    else:
        roles = [Role.SCHEDULER, Role.WORKER, *chance.choices([Role.API, Role.SCHEDULER, Role.WORKER, Role.UP], k=2)]
    queues = [("*",), ("default",), ("special",), ("default", "special")]
    kinds = [_kind(chance, role, chance.choice(queues), type_limits=limits) for role in roles]
    # Whatever queue a task names, somebody serves it.
    worker = next(number for number, kind in enumerate(kinds) if kind.role.works)
    kinds[worker] = _kind(chance, kinds[worker].role, ("*",), type_limits=limits)
    return tuple(kinds)


def _kind(chance: random.Random, role: Role, queues: tuple[str, ...], *, type_limits: bool) -> Kind:
    return Kind(role, chance.choice([1, 2, 3, 8]), queues, chance.choice([2.0, 7.0, 20.0]), type_limits)
