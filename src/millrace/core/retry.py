"""When an attempt that did not end well is followed by another, and how long after. Arithmetic only.

Own failures and crashes are counted apart: a task that is allowed three attempts and loses its worker twice
still has three. A crash proves nothing about the task, but one that takes its worker down every time must not
do so for ever, hence `MAX_CRASHES`.
"""

from math import log2
from zlib import crc32

from millrace.core.failures import RETRIED_BY_DEFAULT, Failure
from millrace.core.plan import RetryPlan
from millrace.core.values import SECOND, Duration

MAX_CRASHES = 10
LONGEST_CRASH_DELAY: Duration = 30 * SECOND


def delay_after_failure(policy: RetryPlan, failures: int, failure: Failure, *, seed: str) -> Duration | None:
    """Microseconds to wait before the next attempt, or `None` when there is none.

    `failures` counts this one. The n-th retry waits `delay · multiplier^(n-1)`, at most `max_delay`, moved by up
    to `jitter` of itself. The jitter is a function of `seed`, so that a fold repeated elsewhere decides the same.
    """
    retried = RETRIED_BY_DEFAULT if policy.on is None else policy.on
    if failures >= policy.max_attempts or failure.kind not in retried:
        return None
    delay = min(policy.delay * _growth(policy.multiplier, failures - 1), policy.max_delay)
    spread = crc32(f"{seed}:{failures}".encode()) / 0xFFFFFFFF * 2 - 1
    return round(delay * (1 + policy.jitter * spread))


def _growth(multiplier: float, times: int) -> float:
    """`multiplier` to the power of `times`. Beyond 2^64, where it only says "longer than any limit", it stays there."""
    if multiplier > 1 and times * log2(multiplier) > 64:
        return 2.0**64
    return multiplier**times


def delay_after_crash(policy: RetryPlan, crashes: int) -> Duration | None:
    """Microseconds to wait before the task starts again after its worker was lost, or `None` when it must not.

    `crashes` counts this one: the first is repeated at once, the second after 1 s, doubling, at most 30 s.
    """
    if not policy.on_crash or crashes >= MAX_CRASHES:
        return None
    return 0 if crashes == 1 else min(SECOND * 2 ** (crashes - 2), LONGEST_CRASH_DELAY)
